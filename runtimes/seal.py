"""A file's SHA-256 inside the file: damage that loads silently is noticed all the same.

The digest is that of the file with 64 zeros in the digest's own place, and of the names and
contents of its other parts, if it has any. It stands behind a mark that occurs nowhere else, so
that it is found, and compared, before any parser sees the file.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from ..errors import ModelFileError
from ..files import atomic_write, sha256_file

SEAL_KEY = "pocketface.seal"
"""Metadata key of the seal, wherever a format has keys; OpenVINO's is a path of two parts."""

_MARK = b"pocketface-sha256:"
BLANK_SEAL = _MARK.decode() + "0" * 64
"""What an exporter writes in the seal's place; `seal` fills it in."""

_SEAL = re.compile(re.escape(_MARK) + rb"([0-9a-f]{64})")

SAVED_MODEL_CONTRACT = Path("assets.extra", "pocketface.json")
"""Where a SavedModel has contract and seal: TensorFlow leaves that folder to its users."""

_SEALED_FILES = {
    ".mlpackage": Path("Data", "com.apple.CoreML", "model.mlmodel"),
    ".savedmodel": SAVED_MODEL_CONTRACT,
}
"""Of models that are folders: the file that has the seal."""


def seal(path: Path) -> None:
    """Write the digest into a file that has `BLANK_SEAL`, or an old seal, exactly once.

    Args:
        path: What `load` opens; a folder for `.mlpackage` and `.savedmodel`.

    Raises:
        ValueError: There is no single place for it.
    """
    target = _sealed_file(path)
    content = target.read_bytes()
    if len(_SEAL.findall(content)) != 1:
        raise ValueError(f"{target}: no single place for the digest")
    digest = _digest(path, content)
    with atomic_write(target) as handle:
        handle.write(_SEAL.sub(_MARK + digest.encode(), content))


def check_seal(path: Path) -> bool:
    """Compare a file, and its other parts, with the digest inside it.

    Args:
        path: What `load` opens; a folder for `.mlpackage` and `.savedmodel`.

    Returns:
        Whether it has one: other people's files have none.

    Raises:
        ModelFileError: The file cannot be read, or is not what was sealed.
    """
    target = _sealed_file(path)
    try:
        content = target.read_bytes()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ModelFileError(f"{target}: cannot be read: {error.strerror or error}") from error
    found = _SEAL.findall(content)
    if not found:
        return False
    try:
        digest = _digest(path, content)
    except OSError as error:
        part = Path(error.filename or path).name
        raise ModelFileError(
            f"{path}: {part}, a part of it, cannot be read: {error.strerror or error}"
        ) from error
    if found != [digest.encode()]:
        others = [part.name for part in _other_parts(path)]
        whole = f"{path}{' with ' + ', '.join(others[:3]) if others else ''}"
        raise ModelFileError(
            f"{whole}: damaged, or changed since its export: the content does not match its SHA-256"
        )
    return True


def model_files(path: Path) -> list[Path]:
    """All files that make up a model: the one that `load` opens, or all in its folder."""
    return [_sealed_file(path), *_other_parts(path)]


def _sealed_file(path: Path) -> Path:
    return path / _SEALED_FILES.get(path.suffix, "")


def _other_parts(path: Path) -> list[Path]:
    if path.suffix == ".xml":
        return [path.with_suffix(".bin")]
    if not path.is_dir():
        return []
    # Not what file managers leave behind.
    files = [file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")]
    return sorted(set(files) - {_sealed_file(path)})


def _digest(path: Path, content: bytes) -> str:
    whole = hashlib.sha256(_SEAL.sub(BLANK_SEAL.encode(), content))
    for part in _other_parts(path):
        name = part.relative_to(path).as_posix() if path.is_dir() else part.suffix
        whole.update(f"\n{name} {sha256_file(part)}".encode())
    return whole.hexdigest()
