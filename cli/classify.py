"""`pocketface classify`."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from . import photo_classifier
from .console import progress, tell_path
from .json_lines import add_json, faces_as_json, print_json
from .parser import a_path, positive_count

if TYPE_CHECKING:
    from ..apps.classify import PhotoAnswer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument(
        "photos", nargs="+", type=a_path, metavar="PATH", help="photos, and folders of photos"
    )
    photo_classifier.add_arguments(parser)
    parser.add_argument(
        "--csv", type=a_path, metavar="FILE", help="all answers: a row for each face"
    )
    parser.add_argument(
        "--force", action="store_true", help="overwrite the file of --csv if it is there"
    )
    parser.add_argument(
        "--copy-to",
        type=a_path,
        metavar="DIR",
        help="copy the photos with the last label (glasses) to this folder",
    )
    parser.add_argument("--threads", type=positive_count, metavar="N", help="of the runtime")
    add_json(parser, "photo")


def run(args: argparse.Namespace) -> None:
    """Print the path of each photo with a face of the last label (glasses), or all as JSON."""
    from ..apps.answers_csv import answers_csv
    from ..apps.classify import PhotoClassifier, classify_photos
    from ..apps.copies import Copies
    from ..apps.photo_files import find_photos
    from ..places import CSV, check_new_file
    from ..runtimes.seal import parts_of

    photos = dict(find_photos(args.photos))
    models = photo_classifier.files_of(args)
    if args.csv is not None:
        inputs = [*photos, *parts_of(*models)]
        check_new_file(args.csv, "--csv", inputs=inputs, force=args.force, suffixes=CSV)
    copies = None if args.copy_to is None else Copies(args.copy_to, args.photos)
    classifier = PhotoClassifier.open(
        *models,
        face_score=args.face_score,
        device=args.device,
        threads=args.threads,
    )
    with ExitStack() as stack:
        write = None if args.csv is None else stack.enter_context(answers_csv(args.csv))
        on_progress = stack.enter_context(progress("photos"))
        for one in classify_photos(classifier, list(photos), on_progress=on_progress):
            if write is not None:
                write(one)
            if args.json:
                print_json(_as_json(one))
            if one.answer == classifier.positive:
                if not args.json:
                    tell_path(one.path)
                if copies is not None:
                    copies.add(one.path, photos[one.path])


def _as_json(one: PhotoAnswer) -> dict[str, Any]:
    return {
        "file": str(one.path),
        "answer": one.answer,
        "faces": faces_as_json(one.faces, one.labels),
    }
