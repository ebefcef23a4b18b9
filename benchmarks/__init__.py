"""What each model file costs and how good it is, on this machine."""
