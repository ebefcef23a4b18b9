"""`pocketface data`: convert and split annotations."""

from __future__ import annotations

import argparse

from ..model_templates.catalogue import DETECTOR
from ..places import check_place
from .console import progress, tell
from .data_identities import add_identities
from .data_masks import add_masks
from .parser import a_path, count, fraction, part

LABELLING_DETECTOR = "face-detection-m"
"""Template whose weights label photos unless another detector is named."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verbs below `data` and their flags."""
    verbs = parser.add_subparsers(metavar="ACTION", required=True)

    wider = verbs.add_parser("wider", help="WIDER FACE's official layout to COCO JSON")
    wider.add_argument("folder", type=a_path, metavar="DIR", help="holds wider_face_split")
    wider.add_argument("--output", type=a_path, metavar="DIR", help="default: DIR itself")
    wider.set_defaults(action=_wider)

    split = verbs.add_parser("split", help="split a COCO file in two, by photo")
    split.add_argument("annotations", type=a_path, metavar="ANN", help="COCO JSON")
    split.add_argument(
        "--train-fraction",
        type=part,
        default=0.95,
        metavar="0..1",
        help="share of the photos for the train part (default 0.95)",
    )
    split.add_argument("--seed", type=count, default=0, metavar="N", help="of the choice")
    split.add_argument("--output", type=a_path, required=True, metavar="DIR")
    split.set_defaults(action=_split)

    glasses = verbs.add_parser(
        "glasses", help="photos with and without glasses to lists of faces with landmarks"
    )
    glasses.add_argument(
        "source",
        type=a_path,
        metavar="DIR|CSV",
        help="MeGlass (holds meta.txt), a folder with folders glass and no_glass, or a CSV with "
        "columns image (or path), glasses (or label) and perhaps split",
    )
    glasses.add_argument("--output", type=a_path, required=True, metavar="DIR")
    glasses.add_argument(
        "--test-fraction",
        type=part,
        metavar="0..1",
        help="share of MeGlass's people for test.csv; nobody is in both",
    )
    glasses.add_argument(
        "--detector",
        type=a_path,
        metavar="FILE|NAME",
        help=f"a detector with landmarks (default: {DETECTOR})",
    )
    glasses.set_defaults(action=_glasses)

    label = verbs.add_parser(
        "label", help="your photos to COCO JSON, with the faces that a detector finds"
    )
    label.add_argument("folder", type=a_path, metavar="DIR", help="of photos")
    label.add_argument("--output", type=a_path, required=True, metavar="FILE", help="a new one")
    label.add_argument(
        "--detector",
        type=a_path,
        metavar="FILE|NAME",
        help=f"weights, any model file, or a template's name (default: {LABELLING_DETECTOR})",
    )
    label.add_argument(
        "--score",
        type=fraction,
        metavar="0..1",
        help="from which on it is a face (default: the detector's threshold)",
    )
    label.add_argument(
        "--unsure",
        type=fraction,
        metavar="0..1",
        help="from which on it may be one: training ignores what is there (default 0.2, or what "
        "the detector gives)",
    )
    label.set_defaults(action=_label)

    add_masks(verbs)
    add_identities(verbs)


def run(args: argparse.Namespace) -> None:
    """Run the verb below `data`."""
    args.action(args)


def _wider(args: argparse.Namespace) -> None:
    from ..data.wider import convert_wider

    check_place(args.output or args.folder, "--output", folder=True)
    with progress("photos") as on_progress:
        written = convert_wider(args.folder, output=args.output, on_progress=on_progress)
    for path in written:
        tell(f"written: {path}")


def _split(args: argparse.Namespace) -> None:
    from ..data.split import split_coco

    check_place(args.output, "--output", folder=True)
    for path in split_coco(
        args.annotations, train_fraction=args.train_fraction, seed=args.seed, output=args.output
    ):
        tell(f"written: {path}")


def _glasses(args: argparse.Namespace) -> None:
    from ..apps.prepare_faces import prepare_faces
    from ..tasks.named import model_path

    detector = model_path(args.detector or DETECTOR)
    with progress("photos") as on_progress:
        lists = prepare_faces(
            args.source,
            args.output,
            detector=detector,
            test_fraction=args.test_fraction,
            on_progress=on_progress,
        )
    for one in lists:
        left_out = f", {one.unreadable} left out as unreadable" if one.unreadable else ""
        tell(f"written: {one.path} ({one.photos} photos, {one.no_face} without a face{left_out})")


def _label(args: argparse.Namespace) -> None:
    from ..apps.label_photos import label_photos
    from ..tasks.detection.model import FaceDetector
    from ..tasks.load import load_as

    def open_detector() -> FaceDetector:
        return load_as(FaceDetector, args.detector or LABELLING_DETECTOR)

    with progress("photos") as on_progress:
        made = label_photos(
            args.folder,
            args.output,
            open_detector=open_detector,
            score=args.score,
            unsure=args.unsure,
            on_progress=on_progress,
        )
    left_out = f"; {made.unreadable} left out as unreadable" if made.unreadable else ""
    tell(
        f"written: {args.output} ({made.photos} photos, {made.faces} faces, {made.unsure} perhaps "
        f"faces{left_out})"
    )
