"""The HTTP service: takes a photo and answers with the labels of its faces."""
