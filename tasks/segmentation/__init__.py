"""Face segmentation: takes an aligned head and gives a class for each pixel."""
