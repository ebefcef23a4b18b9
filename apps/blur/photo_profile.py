"""The ICC profile of a photo."""

from __future__ import annotations

from typing import Any


def sound_profile(found: Any) -> bytes | None:
    """A colour profile without what may follow it; None if it is none.

    By its length and signature (ICC.1:2022, section 7.2): it may hold something else.
    """
    if not isinstance(found, bytes) or found[36:40] != b"acsp":
        return None
    size = int.from_bytes(found[:4], "big")
    return found[:size] if size <= len(found) else None
