"""The HTTP service: a photo in, what a classifier says of the faces in it out."""
