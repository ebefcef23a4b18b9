"""A file's SHA-256 inside the file: damage that loads silently is noticed all the same.

The digest is that of the file with 64 zeros in the digest's own place.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..errors import ModelFileError

SEAL_KEY = "pocketface.content_sha256"
"""Metadata key of the digest in ONNX `metadata_props`."""

BLANK = "0" * 64
"""What stands in the digest's place until `seal`."""


def seal(content: bytes) -> bytes:
    """Put the digest in the place of `BLANK`, which must occur exactly once.

    Raises:
        ValueError: It does not.
    """
    if content.count(BLANK.encode()) != 1:
        raise ValueError("no single place for the digest")
    digest = hashlib.sha256(content).hexdigest()
    return content.replace(BLANK.encode(), digest.encode())


def check_seal(path: Path, digest: str | None) -> None:
    """Compare a file with the digest that was read from it; files without one pass.

    Raises:
        ModelFileError: They differ.
    """
    if digest is None:
        return
    content = path.read_bytes().replace(digest.encode(), BLANK.encode())
    if hashlib.sha256(content).hexdigest() != digest:
        raise ModelFileError(
            f"{path}: damaged, or changed since its export: its content does not match its SHA-256"
        )
