"""Face recognition: takes an aligned face and gives a vector to compare it by."""
