"""Hide the faces of photos and videos."""
