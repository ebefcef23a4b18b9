"""Face classification: takes an aligned face and gives one of two labels."""
