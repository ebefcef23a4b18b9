"""A template and photos small enough to train on in a test."""

from __future__ import annotations

from ..small_training import _begun_once, airport, begun, drawn_photos, settings

__all__ = ["_begun_once", "airport", "begun", "drawn_photos", "settings"]
