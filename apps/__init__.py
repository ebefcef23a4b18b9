"""What people do with the models: find, draw, show, keep."""
