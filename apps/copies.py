"""Copies of chosen photos in a folder."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from ..files import FULL, scratch_folder
from ..places import check_place

_log = logging.getLogger(__name__)


class Copies:
    """Copies photos into a folder under their paths below their source; overwrites nothing.

    Args:
        folder: Where the copies go; made at the first copy.
        sources: The files and folders that the photos are read from.

    Raises:
        UserError: The folder lies in a source, or cannot be written; see `check_place`.
    """

    def __init__(self, folder: Path, sources: Sequence[Path]) -> None:
        inside = folder.resolve()
        for source in sources:
            if source.is_dir() and source.resolve() in (inside, *inside.parents):
                raise UserError(
                    f"--copy-to {folder}: lies in {source}, among the photos to be read"
                )
        check_place(folder, "--copy-to", folder=True)
        self.folder = folder

    def add(self, photo: Path, name: Path) -> Path | None:
        """Copy a photo atomically; returns the copy's path, or None for a photo that is gone.

        Raises:
            OSError: The copy cannot be written.
        """
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(target.parent) as scratch:
            copy = scratch / "copy"
            try:
                shutil.copyfile(photo, copy)
            except OSError as error:
                if error.errno in FULL:  # `copyfile` names the photo
                    raise OSError(error.errno, error.strerror, str(target)) from error
                _log.warning("%s: not copied: %s", photo, error.strerror)
                return None
            number = 1
            while not _put(copy, target):
                if target.is_file() and target.read_bytes() == photo.read_bytes():
                    return target
                number += 1
                target = self.folder / name.with_stem(f"{name.stem}-{number}")
        return target


def _put(copy: Path, target: Path) -> bool:
    """Move a file to its final name; False if that name is taken."""
    try:
        os.link(copy, target)
    except FileExistsError:
        return False
    except OSError:  # the file system has no hard links
        if os.path.lexists(target):
            return False
        os.replace(copy, target)
    return True
