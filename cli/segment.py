"""`pocketface segment`."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ..apps.faces import FACE_SCORE
from ..errors import UserError
from ..model_templates.catalogue import SEGMENTER
from . import photo_classifier
from .console import progress, tell
from .json_lines import faces_as_json, print_json
from .parser import a_path, add_detector, fraction, positive_count

if TYPE_CHECKING:
    from ..apps.segment import Segmented, SegmentSummary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument(
        "sources",
        nargs="+",
        type=a_path,
        metavar="PATH",
        help="photos, folders of photos, and videos",
    )
    parser.add_argument(
        "--as",
        dest="kind",
        choices=("mask", "overlay", "cutout", "json"),
        default="mask",
        help="a grey PNG (255 is face; of several classes their numbers), the drawn picture, each "
        "face on transparency, or JSON lines (default: mask)",
    )
    parser.add_argument(
        "--output",
        type=a_path,
        metavar="DIR",
        help="folder of the files, with the sources' names (default: masks, overlays, cutouts)",
    )
    parser.add_argument("--each", action="store_true", help="a mask's file for each face")
    parser.add_argument("--force", action="store_true", help="overwrite files that are there")
    parser.add_argument(
        "--heads",
        action="store_true",
        help="each picture is one head already cut, with some room around it: search no faces",
    )
    parser.add_argument(
        "--template",
        metavar="NAME|FILE",
        help=f"whose weights it is, or whose are the default ({SEGMENTER})",
    )
    parser.add_argument(
        "--load-weights",
        type=a_path,
        metavar="FILE|NAME",
        help="the segmenter: weights, any model file, or a template's name",
    )
    add_detector(parser)
    parser.add_argument(
        "--score",
        type=fraction,
        metavar="0..1",
        help=f"of the detector, from which on a face counts (default: {FACE_SCORE})",
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), or what the runtime knows")
    parser.add_argument("--threads", type=positive_count, metavar="N", help="of the runtime")


def run(args: argparse.Namespace) -> None:
    """Segment the sources, and print what was found."""
    from ..apps.segment import SegmentRequest, segment

    for flag, value in (("--detector", args.detector), ("--score", args.score)):
        if args.heads and value is not None:
            raise UserError(f"{flag} {value}: --heads searches no faces")
    segmenter, detector = photo_classifier.files_of(args, default=SEGMENTER)
    with ExitStack() as stack:
        summary = segment(
            SegmentRequest(
                sources=args.sources,
                segmenter=segmenter,
                detector=None if args.heads else detector,
                device=args.device,
                threads=args.threads,
                kind=args.kind,
                output=args.output,
                score=args.score,
                each=args.each,
                force=args.force,
                on_seen=_tell_json if args.kind == "json" else _tell_text,
                on_progress=stack.enter_context(progress("pictures")),
            )
        )
    if args.kind != "json":
        _tell_summary(summary)


def _tell_json(seen: Segmented) -> None:
    print_json(
        {
            "file": str(seen.path),
            "frame": seen.frame,
            "time": None if seen.time is None else round(seen.time, 3),
            "faces": _as_json(seen),
        }
    )


def _as_json(seen: Segmented) -> list[dict[str, Any]]:
    if seen.faces is not None:
        return faces_as_json(seen.faces, seen.masks)
    unknown = {"box": None, "score": None, "landmarks": None}
    return [{**unknown, "result": mask} for mask in seen.masks]


def _tell_text(seen: Segmented) -> None:
    if seen.frame is not None:
        return
    if not seen.masks:
        tell(f"{seen.path}: no face" + ("; nothing is marked" if seen.written else ""))
        return
    area = sum(mask.area for mask in seen.masks)
    tell(f"{seen.path}: {_counted(len(seen.masks), 'face')}, {_counted(area, 'pixel')}")


def _tell_summary(summary: SegmentSummary) -> None:
    pictures = summary.photos + summary.frames
    parts = [
        _counted(number, name)
        for number, name in ((summary.photos, "photo"), (summary.frames, "frame"))
        if number
    ]
    parts.append(_counted(summary.faces, "face"))
    if summary.without:
        parts.append(f"{summary.without} without a face")
    if summary.unreadable:
        parts.append(f"{summary.unreadable} unreadable")
    tell(f"{', '.join(parts)}, {pictures / summary.seconds:.1f} pictures per second")
    if summary.output is not None:
        tell(f"written: {summary.output}")


def _counted(number: int, name: str) -> str:
    return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"
