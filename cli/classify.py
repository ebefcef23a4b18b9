"""`pocketface classify`."""

from __future__ import annotations

import argparse
from contextlib import ExitStack

from ..apps.classify import (
    FACE_SCORE,
    Copies,
    PhotoClassifier,
    answers_csv,
    check_csv,
    classify_photos,
    find_photos,
)
from ..apps.work_dir import weights_for
from .console import progress
from .parser import a_path, fraction, positive_count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.add_argument(
        "photos", nargs="+", type=a_path, metavar="PATH", help="photos, and folders of photos"
    )
    parser.add_argument(
        "--template",
        default="glasses-n",
        metavar="NAME|FILE",
        help="whose weights are the default (glasses-n)",
    )
    parser.add_argument(
        "--load-weights",
        type=a_path,
        metavar="FILE",
        help="the classifier: weights or any model file",
    )
    parser.add_argument(
        "--detector",
        type=a_path,
        metavar="FILE",
        help="a detector with landmarks (default: the weights of face-detection-n)",
    )
    parser.add_argument(
        "--csv", type=a_path, metavar="FILE", help="all answers: a row for each face"
    )
    parser.add_argument(
        "--copy-to", type=a_path, metavar="DIR", help="copy the photos with glasses to this folder"
    )
    parser.add_argument(
        "--face-score",
        type=fraction,
        default=FACE_SCORE,
        metavar="0..1",
        help=f"of the detector, from which on a face counts (default: {FACE_SCORE})",
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), or what the runtime knows")
    parser.add_argument("--threads", type=positive_count, metavar="N", help="of the runtime")


def run(args: argparse.Namespace) -> None:
    """Print the path of each photo with glasses in it."""
    photos = dict(find_photos(args.photos))
    if args.csv is not None:
        check_csv(args.csv, photos)
    copies = None if args.copy_to is None else Copies(args.copy_to, args.photos)
    classifier = PhotoClassifier.open(
        weights_for(args.template, args.load_weights),
        args.detector or weights_for("face-detection-n", None),
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
            if one.answer == classifier.positive:
                print(one.path, flush=True)
                if copies is not None:
                    copies.add(one.path, photos[one.path])
