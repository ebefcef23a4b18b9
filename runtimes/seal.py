"""A file's SHA-256 inside the file, to detect damage that would load silently.

The digest covers the file with 64 zeros in place of the digest, and the names and contents of its
other parts, if any. It follows a mark that occurs nowhere else, so that it can be found and
compared before any parser reads the file. It shows damage; it does not show who made a file, as
whoever changes one can write the digest anew.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from ..errors import ModelFileError
from ..files import atomic_write, sha256_file

SEAL_KEY = "pocketface.seal"
"""Metadata key of the seal, if the format has keys; OpenVINO uses a path of two parts."""

_MARK = b"pocketface-sha256:"
BLANK_SEAL = _MARK.decode() + "0" * 64
"""Placeholder that an exporter writes; `seal` replaces it."""

_SEAL = re.compile(re.escape(_MARK) + rb"([0-9a-f]{64})")
_PIECE = 1 << 20

SAVED_MODEL_CONTRACT = Path("assets.extra", "pocketface.json")
"""Place of a SavedModel's contract and seal, in a folder that TensorFlow leaves to users."""

_SEALED_FILES = {
    ".mlpackage": Path("Data", "com.apple.CoreML", "model.mlmodel"),
    ".savedmodel": SAVED_MODEL_CONTRACT,
}
"""For models that are folders, the file that holds the seal."""


def seal(path: Path) -> None:
    """Write the digest into a file that has `BLANK_SEAL`, or an old seal, exactly once.

    Args:
        path: The path that `load` opens; a folder for `.mlpackage` and `.savedmodel`.

    Raises:
        ValueError: The file does not have exactly one place for the digest.
    """
    target = _sealed_file(path)
    found, digest = _digest(path)
    if len(found) != 1:
        raise ValueError(f"{target}: no single place for the digest")
    with atomic_write(target) as handle:
        handle.write(_SEAL.sub(_MARK + digest.encode(), target.read_bytes()))


def check_seal(path: Path) -> bool:
    """Compare a file, and its other parts, with the digest inside it.

    Args:
        path: The path that `load` opens; a folder for `.mlpackage` and `.savedmodel`.

    Returns:
        Whether the file has a seal; third-party files have none.

    Raises:
        ModelFileError: The file cannot be read, or does not match its seal.
    """
    if not _sealed_file(path).exists():
        return False
    try:
        found, digest = _digest(path)
    except OSError as error:
        part = Path(error.filename or path)
        which = f"{path}:" if part == path else f"{path}: {part.name}, a part of it,"
        raise ModelFileError(f"{which} cannot be read: {error.strerror or error}") from error
    if not found:
        return False
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


def parts_of(*models: Path) -> list[Path]:
    """The models and all files that make them up, which nothing that is written may replace."""
    return [part for model in models for part in (model, *model_files(model))]


def _sealed_file(path: Path) -> Path:
    return path / _SEALED_FILES.get(path.suffix, "")


def _other_parts(path: Path) -> list[Path]:
    if path.suffix == ".xml":
        return [path.with_suffix(".bin")]
    if not path.is_dir():
        return []
    # Hidden files are left out: file managers create them.
    files = [file for file in path.rglob("*") if file.is_file() and not file.name.startswith(".")]
    return sorted(set(files) - {_sealed_file(path)})


def _digest(path: Path) -> tuple[list[bytes], str]:
    """The digests inside a model, one if all is well, and that of its content.

    The file is read in pieces, so that its size does not matter.
    """
    found: list[bytes] = []
    whole, rest = hashlib.sha256(), b""
    with _sealed_file(path).open("rb") as file:
        while piece := file.read(_PIECE):
            rest += piece
            found += _SEAL.findall(rest)
            rest = _SEAL.sub(BLANK_SEAL.encode(), rest)
            # A seal may go on in the next piece.
            whole.update(rest[: 1 - len(BLANK_SEAL)])
            rest = rest[1 - len(BLANK_SEAL) :]
    whole.update(rest)
    if found:
        for part in _other_parts(path):
            name = part.relative_to(path).as_posix() if path.is_dir() else part.suffix
            whole.update(f"\n{name} {sha256_file(part)}".encode())
    return found, whole.hexdigest()
