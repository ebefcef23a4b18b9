"""Augmentation, target assignment, losses, and the training loop."""
