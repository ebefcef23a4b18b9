"""Flags of the commands that find faces in photos and label them."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..apps.faces import FACE_SCORE
from ..errors import ModelFileError
from ..model_templates.catalogue import CLASSIFIER, DETECTOR
from .parser import a_path, add_detector, fraction


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the two model files, the device and the threads."""
    parser.add_argument(
        "--template",
        metavar="NAME|FILE",
        help=f"whose weights it is, or whose are the default ({CLASSIFIER})",
    )
    parser.add_argument(
        "--load-weights",
        type=a_path,
        metavar="FILE|NAME",
        help="the classifier: weights, any model file, or a template's name",
    )
    add_detector(parser)
    parser.add_argument(
        "--face-score",
        type=fraction,
        default=FACE_SCORE,
        metavar="0..1",
        help=f"of the detector, from which on a face counts (default: {FACE_SCORE})",
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), or what the runtime knows")


def files_of(args: argparse.Namespace, *, default: str = CLASSIFIER) -> tuple[Path, Path]:
    """The files of the model of aligned faces, or of a default template, and of the detector."""
    from ..tasks.named import model_path
    from ..tasks.weights import model_file

    for given in (args.load_weights, args.detector):
        if given is not None and not model_path(given).exists():
            raise ModelFileError(f"{given}: no such file")
    template = args.template or (None if args.load_weights else default)
    model = model_file(template, args.load_weights, device=args.device)
    return model, model_path(args.detector or DETECTOR, device=args.device)
