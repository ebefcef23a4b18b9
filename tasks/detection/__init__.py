"""Face detection: takes a photo and gives boxes, scores and, for some models, landmarks."""
