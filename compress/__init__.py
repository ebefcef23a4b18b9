"""Smaller and faster files of trained weights, which keep their promise or are not written."""
