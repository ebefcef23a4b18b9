"""What callers may write for files, photos, names and classes, turned into what the rooms take."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..data.class_names import ClassNames
from ..data.pairs import check_there
from ..errors import UserError
from ..model_templates.catalogue import TEMPLATE_FILE, file_path, template_names
from ..tasks.measuring import Labels
from ..tasks.weights import Given

Paths = Given | Sequence[Given]
"""A path, or several."""

Names = str | Sequence[str]
"""Names, or one text of them with commas between."""

Counts = int | Sequence[int]
"""A whole number of 1 or more, or several."""

Annotations = Paths | Labels
"""Annotation files, or labelled photos as a whole."""

Classes = Mapping[str, Names]
"""By name of a class of ours, what annotation files call it."""


def check_counts(**counts: int | None) -> None:
    """Refuse numbers of things, by their names, that are below 1; None is the default.

    Raises:
        UserError: One is.
    """
    for name, value in counts.items():
        if value is not None and value < 1:
            raise UserError(f"{name} {value}: expected 1 or more")


def check_not_negative(**numbers: int | None) -> None:
    """The same of numbers that may be 0.

    Raises:
        UserError: One is below 0.
    """
    for name, value in numbers.items():
        if value is not None and value < 0:
            raise UserError(f"{name} {value}: expected 0 or more")


def check_rate(base_learning_rate: float | None) -> None:
    """Refuse what is no learning rate.

    Raises:
        UserError: It is not above 0, or not finite.
    """
    if base_learning_rate is not None and not 0 < base_learning_rate < math.inf:
        raise UserError(f"base_learning_rate {base_learning_rate}: expected a number above 0")


def sources(model: Given | None, weights: Given | None) -> tuple[Given | None, Given | None]:
    """The template and the file that are meant, either of which may be None.

    Args:
        model: Name or file of a template, a folder that holds one, or a model or weights file.
        weights: A file to use with the template.
    """
    if model is None or weights is not None or _is_template(Path(model)):
        return model, weights
    return None, model


def _is_template(path: Path) -> bool:
    if str(path) in template_names() or path.suffix in (".yaml", ".yml"):
        return True
    # A name that is misspelt has no suffix either, and is told the names that there are.
    return (path / TEMPLATE_FILE).exists() if path.exists() else not path.suffix


def path_list(given: Paths | None) -> list[Path]:
    """The paths."""
    if given is None:
        return []
    return [file_path(one) for one in ([given] if isinstance(given, str | os.PathLike) else given)]


def optional_path(given: Given | None) -> Path | None:
    """The path, if there is one."""
    return None if given is None else file_path(given)


def name_list(given: Names | None) -> list[str] | None:
    """The names, if there are any."""
    if given is None or not isinstance(given, str):
        return None if given is None else list(given)
    return [name.strip() for name in given.split(",") if name.strip()]


def count_list(name: str, given: Counts) -> list[int]:
    """The whole numbers, at least one.

    Raises:
        UserError: There is none, or one is below 1.
    """
    found = [given] if isinstance(given, int) else list(given)
    if not found or not all(isinstance(one, int) and one >= 1 for one in found):
        raise UserError(f"{name} {given!r}: expected whole numbers, 1 or more")
    return found


def labels_of(
    annotations: Annotations | None,
    photos: Paths | None,
    *,
    classes: Classes | None = None,
    official: Given | None = None,
    part: str = "",
) -> Labels:
    """Labelled photos, of which all files and folders are there.

    Args:
        annotations: Annotation files; or all of it, and then nothing of the rest.
        photos: Folders of the photos, one for each file or one for all.
        classes: What the annotation files call the classes.
        official: Folder of an official protocol.
        part: What stands before the parameters' names in error messages, as "val_".

    Raises:
        UserError: Files without folders, or the other way round.
        DataError: A file or folder is not there, or their numbers do not match.
    """
    names = (f"{part}annotations", f"{part}photos")
    if not isinstance(annotations, Labels):
        pairs = tuple(
            (ours, theirs)
            for ours, given in (classes or {}).items()
            for theirs in ([given] if isinstance(given, str) else given)
        )
        annotations = Labels(
            path_list(annotations), path_list(photos), optional_path(official), ClassNames(pairs)
        )
    elif photos is not None or classes or official is not None:
        raise UserError(
            f"{names[0]}: a Labels holds folders and names of classes too; expected none beside it"
        )
    files, roots = path_list(annotations.files), path_list(annotations.roots)
    check_there(files, roots, flags=names)
    return Labels(files, roots, annotations.official, annotations.classes)
