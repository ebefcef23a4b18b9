"""Readers and converters of photo collections, and the only photo decoder."""
