"""Measure the accuracy of predictions: figures, their protocol, metrics.yaml."""
