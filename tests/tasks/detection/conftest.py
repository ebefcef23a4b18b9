"""Photos, trainings on them, and WIDER folders."""

from __future__ import annotations

from ...small_training import airport, drawn_photos, settings
from ...wider_folder import make_wider, plain_wider_ap

__all__ = ["airport", "drawn_photos", "make_wider", "plain_wider_ap", "settings"]
