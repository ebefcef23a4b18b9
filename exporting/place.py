"""Move finished model files to their place."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PocketfaceError, UserError
from ..places import check_not_read
from ..runtimes import opened
from ..runtimes.seal import model_files, parts_of
from ..tasks.load import load
from .certificate import certificate_path
from .formats import EXPORTERS, stem_of

if TYPE_CHECKING:
    from ..model_templates.contract import Contract
    from ..models.weights import Weights


def check_kept(
    weights: Weights, folder: Path, flag: str, *, formats: Iterable[str], precisions: Iterable[str]
) -> None:
    """Refuse to write model files over the weights that they are made from, or another template's.

    Other people's weights may be named as our files are: `model.xml` with `model.bin`.

    Args:
        weights: The weights.
        folder: Folder for the files.
        flag: The command-line flag that named the folder.
        formats: Keys of `EXPORTERS`.
        precisions: Precisions of the files, as their names have them.

    Raises:
        UserError: Such a file, with or without NMS inside, would replace a part of the weights, or
            a model of another template.
    """
    read, name = parts_of(opened(weights.path)), weights.template.name
    stems = [stem_of(one) + end for one, end in product(precisions, ("", "_nms"))]
    suffixes = [suffix for one in formats for suffix in EXPORTERS[one].suffixes]
    for stem, suffix in product(stems, suffixes):
        path = folder / f"{stem}{suffix}"
        for target in (path, failed(path)):
            check_not_read(target, flag, read)
        there = contract_at(path) if path.exists() else None
        if there is not None and there.name != name:
            raise UserError(
                f"{flag} {folder}: holds {path.name} of {there.name}; expected of {name} or none",
                hint="name another folder",
            )


def contract_at(path: Path) -> Contract | None:
    """The contract of a model file; None if it is not there, or none of ours."""
    try:
        return load(path).contract
    except PocketfaceError:
        return None


def move_model(path: Path, folder: Path) -> Path:
    """Move a model's files and certificate to their place; the file that `load` opens goes last.

    Args:
        path: The file that `load` opens, on the same file system as `folder`.
        folder: The target folder. An older model of that name and its certificate are replaced.

    Returns:
        The new path of the file that `load` opens.

    Raises:
        UserError: Something other than a model is in its place.
    """
    for file in model_files(path):
        with open(file, "rb+") as handle:  # Windows syncs only files open for writing
            os.fsync(handle.fileno())
    parts = [path] if path.is_dir() else [*model_files(path)[1:], path]
    certificate = certificate_path(path)
    for part in (*parts, certificate):
        _check_place(folder / part.name, part)
    # Remove an older file's certificate, and an older file that failed.
    (folder / certificate.name).unlink(missing_ok=True)
    remove_model(folder / failed(path).name)
    for part in parts:
        target = folder / part.name
        if target.is_dir() and not target.is_symlink():
            # A folder cannot replace a folder that is not empty.
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=".old-"))
            os.replace(target, old / target.name)
        os.replace(part, target)
    if certificate.exists():
        os.replace(certificate, folder / certificate.name)
    return folder / path.name


def remove_model(path: Path) -> None:
    """Remove a model's files and its certificate; anything else stays."""
    if path.is_dir() and not path.is_symlink():
        if not model_files(path)[0].exists():
            return
        shutil.rmtree(path)
    else:
        for part in (path, *model_files(path)[1:]):
            part.unlink(missing_ok=True)
    certificate_path(path).unlink(missing_ok=True)


def failed(path: Path) -> Path:
    """Name of a file that failed verification."""
    return path.with_stem(f"{path.stem}-failed")


def _check_place(target: Path, part: Path) -> None:
    """Raise unless the target is free, or may be replaced: a file by a file, a model by a model."""
    if not target.exists() and not target.is_symlink():
        return
    if not part.is_dir():
        if target.is_dir():
            raise UserError(f"{target}: is a folder, in the place of a file to be written")
        return
    if target.is_symlink() or not target.is_dir():
        raise UserError(f"{target}: is a file, in the place of a folder to be written")
    if any(target.iterdir()) and not model_files(target)[0].exists():
        raise UserError(f"{target}: is a folder, but no model that this one could replace")
