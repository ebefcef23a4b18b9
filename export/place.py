"""Finished files to their place, whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from ..errors import UserError
from ..runtimes.seal import model_files
from .certificate import certificate_path


def move_model(path: Path, folder: Path) -> Path:
    """Move a model's files, and its certificate, to their place; the one that `load` opens last.

    Args:
        path: What `load` opens; on the same file system.
        folder: Where to. An older model there, and its certificate, is replaced.

    Returns:
        What `load` opens, in its place.

    Raises:
        UserError: Something that is no model is in its place.
    """
    for file in model_files(path):
        with open(file, "rb+") as handle:  # Windows syncs no file that cannot be written
            os.fsync(handle.fileno())
    parts = [path] if path.is_dir() else [*model_files(path)[1:], path]
    certificate = certificate_path(path)
    for part in (*parts, certificate):
        _check_place(folder / part.name, part)
    # One of an older file must not stand beside this one, nor an older file that failed.
    (folder / certificate.name).unlink(missing_ok=True)
    remove_model(folder / failed(path).name)
    for part in parts:
        target = folder / part.name
        if target.is_dir() and not target.is_symlink():
            # A folder cannot take the place of one that is not empty.
            old = Path(tempfile.mkdtemp(dir=path.parent, prefix=".old-"))
            os.replace(target, old / target.name)
        os.replace(part, target)
    if certificate.exists():
        os.replace(certificate, folder / certificate.name)
    return folder / path.name


def remove_model(path: Path) -> None:
    """Remove a model's files and its certificate; what is no model stays."""
    if path.is_dir() and not path.is_symlink():
        if not model_files(path)[0].exists():
            return
        shutil.rmtree(path)
    else:
        for part in (path, *model_files(path)[1:]):
            part.unlink(missing_ok=True)
    certificate_path(path).unlink(missing_ok=True)


def failed(path: Path) -> Path:
    """What a file that does not pass verification is named."""
    return path.with_stem(f"{path.stem}-failed")


def _check_place(target: Path, part: Path) -> None:
    """Is there nothing, or what a new file may replace: a file a file, a model another one?"""
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
