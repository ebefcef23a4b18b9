"""A template and photos small enough to train on in a test."""

from __future__ import annotations

from ..small_training import airport, drawn_photos, settings

__all__ = ["airport", "drawn_photos", "settings"]
