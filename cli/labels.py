"""Flags that name labelled photos, checked before anything is loaded."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..data.class_names import FLAG, ClassNames
from ..data.pairs import paired
from ..errors import DataError, UserError
from ..tasks.measuring import Labels
from .parser import paths


def add_classes(parser: argparse.ArgumentParser) -> None:
    """Add the flag that says what annotation files call our classes."""
    parser.add_argument(
        FLAG,
        action="append",
        default=[],
        metavar="OURS=THEIRS",
        help="what the annotation files call a class, as face=Face,face=head; can be repeated",
    )


def labels_of(args: argparse.Namespace, part: str, *, official: Path | None = None) -> Labels:
    """The labelled photos of --PART-ann-files, --PART-data-roots and --classes.

    Raises:
        UserError: See `check_labels_there`; or --classes is no list of OURS=THEIRS.
    """
    files = paths(getattr(args, f"{part}_ann_files"))
    roots = paths(getattr(args, f"{part}_data_roots"))
    check_labels_there(files, roots, flags=(f"--{part}-ann-files", f"--{part}-data-roots"))
    return Labels(files, roots, official, ClassNames.parse(args.classes))


def check_labels_there(
    files: Sequence[Path], roots: Sequence[Path], *, flags: tuple[str, str]
) -> None:
    """Refuse annotation files and folders of photos that are not there, or not paired.

    Raises:
        UserError: One flag is without the other, or there are neither one folder nor one for
            each file.
        DataError: A file or folder is not there.
    """
    if bool(files) != bool(roots):
        raise UserError(f"{flags[0]} and {flags[1]} go together")
    if files:
        paired(files, roots, flags=flags)
    for file in files:
        if not file.exists():
            raise DataError(f"{flags[0]} {file}: no such file")
    for root in roots:
        if not root.is_dir():
            raise DataError(f"{flags[1]} {root}: no such folder")
