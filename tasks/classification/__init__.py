"""Face classification: an aligned face in, one of two labels out."""
