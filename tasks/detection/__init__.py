"""Face detection: a photo in, boxes, scores and perhaps landmarks out."""
