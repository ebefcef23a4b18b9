"""Read and write COCO JSON files without interpreting them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ..errors import DataError
from ..files import reading
from ..places import write_lists

FACE_CATEGORY: Final = {"id": 1, "name": "face"}
"""The only category of the files that we write."""


_LISTS = ("images", "annotations", "categories")


def load_coco_json(path: Path) -> dict[str, Any]:
    """Read a COCO JSON file, checking only its outermost structure.

    Returns:
        A dict in which `images`, `annotations` and `categories` are lists.

    Raises:
        DataError: The file cannot be read, is not JSON (with line and column), lacks a list or has
            one twice.
    """
    with reading(path, DataError):
        text = path.read_bytes()
    try:
        content = json.loads(text)
        if any(text.count(f'"{key}"'.encode()) > 1 for key in _LISTS):
            json.loads(text, object_pairs_hook=_without_twins)
    except json.JSONDecodeError as error:
        where = f"{path}:{error.lineno}:{error.colno}"
        raise DataError(f"{where}: not JSON: {error.msg}; expected COCO JSON") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}; expected COCO JSON") from error
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise DataError(f"{path}: not a COCO file: expected an object, found {kind}")
    for key in _LISTS:
        if not isinstance(content.get(key), list):
            found = type(content[key]).__name__ if key in content else "nothing"
            raise DataError(f"{path}: not a COCO file: {key}: expected a list, found {found}")
    return content


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, of which two values with one key would be read as one."""
    found = dict(pairs)
    if len(found) < len(pairs):
        for key in _LISTS:
            if sum(name == key for name, _ in pairs) > 1:
                raise ValueError(f"the key {key!r} is there twice")
    return found


def save_coco_json(content: Mapping[str, Any], path: Path) -> None:
    """Write a COCO JSON file; see `save_coco_jsons`."""
    save_coco_jsons({path: content})


def save_coco_jsons(contents: Mapping[Path, Mapping[str, Any]]) -> None:
    """Write several COCO JSON files, or none.

    Raises:
        DataError: A number is not finite.
        UserError: See `write_lists`.
        OSError: The folder cannot be written.
    """
    texts = {}
    for path, content in contents.items():
        try:
            texts[path] = json.dumps(content, allow_nan=False)
        except ValueError as error:
            raise DataError(f"{path}: cannot be written: {error}") from error
    write_lists(texts)
