"""Measure the speed, size and accuracy of model files on this machine."""
