"""Find the photos that annotations name, and tell which names are one file."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Hashable
from pathlib import Path

_DRIVE = re.compile(r"[A-Za-z]:")


def leads_out(name: str) -> bool:
    """Whether a photo's name is absolute or goes up a folder, by the rules of any system."""
    if "\0" in name or name.startswith(("/", "\\")) or _DRIVE.match(name):
        return True
    return ".." in name and ".." in re.split(r"[/\\]", name)


def find_photo(root: Path, name: str) -> Path | None:
    r"""Find a photo below its root by a name that another system may have written.

    Tried in turn: the name as it stands; with `/` for Windows' `\`, and letters composed (Linux,
    Windows) or decomposed (macOS).

    Returns:
        The file's path; None if there is no such file, or the name leads out of the root.
    """
    found = _name_on_disk(os.fspath(root), name)
    return None if found is None else Path(root, found)


def plain_name(name: str) -> str:
    r"""A name without what systems write differently: `\`, `./`, decomposed letters, case."""
    forward = name.replace("\\", "/")
    if "./" in forward or "//" in forward:
        first, *parts = forward.split("/")
        forward = "/".join([first, *(part for part in parts if part not in ("", "."))])
        forward = forward.removeprefix("./")
    return unicodedata.normalize("NFC", forward).lower()


class PhotoFiles:
    """Finds photos, and gives each file one key however its name is written."""

    def __init__(self) -> None:
        self._roots: dict[Path, str] = {}
        self._first: dict[str, str] = {}

    def find(self, root: Path, name: str) -> tuple[Hashable, Path] | None:
        """Find a photo as `find_photo` does.

        Returns:
            The file's key, which it gets by other names too, and its path; None if there is no
            such file. Names that differ only in their case are one file if the disk says so.
        """
        found = _name_on_disk(os.fspath(root), name)
        if found is None:
            return None
        if root not in self._roots:
            self._roots[root] = os.path.realpath(root)
        path = os.path.join(self._roots[root], found)
        plain = plain_name(path)
        first = self._first.setdefault(plain, path)
        same = first == path or os.path.samefile(first, path)
        return plain if same else path, root / found


def _name_on_disk(root: str, name: str) -> str | None:
    """The name by which a photo is found below its root."""
    if leads_out(name):
        return None
    if os.path.isfile(os.path.join(root, name)):
        return name
    if name.isascii() and "\\" not in name:
        return None
    forward = name.replace("\\", "/")
    for form in ("NFC", "NFD"):
        written = unicodedata.normalize(form, forward)
        if os.path.isfile(os.path.join(root, written)):
            return written
    return None
