"""Flags of the commands that find faces in photos and label them."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..apps.faces import FACE_SCORE
from ..errors import ModelFileError
from ..tasks.weights import model_file
from .parser import a_path, fraction


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the two model files, the device and the threads."""
    parser.add_argument(
        "--template",
        metavar="NAME|FILE",
        help="whose weights it is, or whose are the default (glasses-n)",
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
        "--face-score",
        type=fraction,
        default=FACE_SCORE,
        metavar="0..1",
        help=f"of the detector, from which on a face counts (default: {FACE_SCORE})",
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), or what the runtime knows")


def files_of(args: argparse.Namespace) -> tuple[Path, Path]:
    """The classifier's file and the detector's file."""
    for path in (args.load_weights, args.detector):
        if path is not None and not path.exists():
            raise ModelFileError(f"{path}: no such file")
    template = args.template or (None if args.load_weights else "glasses-n")
    classifier = model_file(template, args.load_weights)
    return classifier, args.detector or model_file("face-detection-n", None)
