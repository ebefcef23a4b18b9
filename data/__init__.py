"""Readers and converters of photo collections, and the one way to decode a photo."""
