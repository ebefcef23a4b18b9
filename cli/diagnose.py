"""`pocketface diagnose`."""

from __future__ import annotations

import argparse

from ..errors import PocketfaceError, UserError
from .console import print_table, progress, tell
from .labels import add_classes, labels_of
from .parser import a_path, positive_count, size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument(
        "model",
        type=a_path,
        metavar="FILE|NAME",
        help="a detector, ours or another's; or a segmenter of ours",
    )
    parser.add_argument(
        "--test-ann-files",
        nargs="+",
        required=True,
        metavar="JSON",
        help="COCO JSON of faces; .masks.json for a segmenter",
    )
    parser.add_argument(
        "--test-data-roots",
        nargs="+",
        required=True,
        metavar="DIR",
        help="folders of the photos, one for each file or one for all",
    )
    add_classes(parser)
    parser.add_argument(
        "--declared",
        metavar="COLOUR,RANGE,RESIZE",
        help="what its photos are said to go through, as rgb,0-1,letterbox: bgr or rgb; 0-255, "
        "0-1, -1-1 or imagenet; letterbox or stretch (default: what its contract says)",
    )
    parser.add_argument(
        "--limit", type=positive_count, default=50, metavar="N", help="photos to try (default 50)"
    )
    parser.add_argument(
        "--input-size", type=size, metavar="HxW", help="where the file leaves it free"
    )
    parser.add_argument("--runtime", help="for .onnx: onnxruntime (default) or openvino")
    parser.add_argument("--threads", type=positive_count, metavar="N", help="of the runtime")


def run(args: argparse.Namespace) -> None:
    """Try all pre-processings; fail if the declared one is not the best."""
    from ..data.mask_pairs import SUFFIX

    if any(str(file).endswith(SUFFIX) for file in args.test_ann_files):
        _diagnose_masks(args)
        return
    from ..apps.diagnose import diagnose
    from ..tasks.detection.preprocessing import Preprocessing

    declared = None if args.declared is None else Preprocessing.parse(args.declared)
    labels = labels_of(args, "test")
    with progress("photos") as on_progress:
        found = diagnose(
            args.model,
            labels=labels,
            declared=declared,
            limit=args.limit,
            input_size=args.input_size,
            runtime=args.runtime,
            threads=args.threads,
            on_progress=on_progress,
        )
    print_table(
        f"{found.path}: outputs of the kind {found.kind}; {found.faces} faces in "
        f"{found.photos} photos",
        ("colour", "range", "resize", "AP50", "95 %", ""),
        [
            (
                trial.preprocessing.colour,
                trial.preprocessing.range,
                trial.preprocessing.resize,
                f"{100 * trial.ap:.1f}",
                f"{100 * trial.low:.1f} to {100 * trial.high:.1f}",
                "declared" if trial.preprocessing == found.declared else "",
            )
            for trial in found.trials
        ],
        numbers=(3,),
    )
    best = found.trials[0].preprocessing
    if found.verdict == "useless":
        raise PocketfaceError(
            f"{found.path}: finds hardly a face in any way: pre-processing is not its trouble"
        )
    more = f"; more than {found.photos} photos would tell"
    tied = (
        f", {found.others_as_good} other ways being as good{more}" if found.others_as_good else ""
    )
    if found.gain is None:
        tell(f"{found.path}: declares nothing; it finds most with {best}{tied}")
        return
    gain, low, high = (100 * one for one in found.gain)
    points = f"{gain:.1f} points of AP50 (between {low:.1f} and {high:.1f})"
    if found.verdict == "mismatch":
        raise PocketfaceError(
            f"{found.path}: pre-processing mismatch: it finds {points} more with {best} than as "
            f"declared, {found.declared}"
        )
    if found.verdict == "undecided" and found.too_few:
        few = _photos(found.with_faces, " with faces")
        tell(
            f"{found.path}: undecided: {few} too few: it finds {gain:.1f} points of AP50 more "
            f"with {best} than as declared, {found.declared}"
        )
        return
    if found.verdict == "undecided":
        tell(
            f"{found.path}: undecided: it finds {points} more with {best} than as declared, "
            f"{found.declared}{more}"
        )
        return
    what = "is the best" if best == found.declared else f"is as good as {best}, {points} less"
    tell(f"{found.path}: as declared: {found.declared} {what}{tied}")


def _diagnose_masks(args: argparse.Namespace) -> None:
    """Try a segmenter with each usual fault undone; fail if that is better."""
    from ..apps.diagnose_masks import AS_IT_IS, diagnose_masks

    for flag, value in (("--declared", args.declared), ("--input-size", args.input_size)):
        if value is not None:
            raise UserError(f"{flag}: not for a segmenter, whose contract says it")
    with progress("photos") as on_progress:
        found = diagnose_masks(
            args.model,
            labels=labels_of(args, "test"),
            limit=args.limit,
            runtime=args.runtime,
            threads=args.threads,
            on_progress=on_progress,
        )
    print_table(
        f"{found.path}: {found.heads} heads",
        ("", "IoU", "95 %"),
        [
            (one.name, f"{100 * one.iou:.1f}", f"{100 * one.low:.1f} to {100 * one.high:.1f}")
            for one in found.trials
        ],
        numbers=(1,),
    )
    best = found.trials[0].name
    gain, low, high = (100 * one for one in found.gain)
    points = f"{gain:.1f} points of IoU (between {low:.1f} and {high:.1f})"
    if found.verdict == "useless":
        raise PocketfaceError(f"{found.path}: finds hardly a face in any way")
    if found.verdict == "mismatch":
        raise PocketfaceError(f"{found.path}: mismatch: {points} more with {best}")
    if found.verdict == "undecided" and found.too_few:
        tell(
            f"{found.path}: undecided: {_photos(found.heads)} too few: {gain:.1f} points of "
            f"IoU more with {best}"
        )
        return
    if found.verdict == "undecided":
        tell(f"{found.path}: undecided: {points} more with {best}; more photos would tell")
        return
    what = "is the best" if best == AS_IT_IS else f"is as good as with {best}, {points} less"
    tell(f"{found.path}: {AS_IT_IS} {what}")


def _photos(number: int, what: str = "") -> str:
    return f"1 photo{what} is" if number == 1 else f"{number} photos{what} are"
