"""Applications of the models: find, label, draw and show faces."""
