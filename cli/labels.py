"""Flags that name labelled photos, checked before anything is loaded."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..data.class_names import FLAG, ClassNames
from .parser import paths

ANNOTATIONS = (
    "COCO JSON of faces; .csv for a classifier, .masks.json for a segmenter, .identities.json for "
    "a recogniser"
)
"""What annotation files are, in the help of a flag."""

if TYPE_CHECKING:
    from ..tasks.measuring import Labels


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
        UserError: See `check_there`; or --classes is no list of OURS=THEIRS.
    """
    from ..data.pairs import check_there
    from ..tasks.measuring import Labels

    files = paths(getattr(args, f"{part}_ann_files"))
    roots = paths(getattr(args, f"{part}_data_roots"))
    check_there(files, roots, flags=(f"--{part}-ann-files", f"--{part}-data-roots"))
    return Labels(files, roots, official, ClassNames.parse(args.classes))
