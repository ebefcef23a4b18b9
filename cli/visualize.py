"""`pocketface visualize`."""

from __future__ import annotations

import argparse
import functools
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ..model_templates.catalogue import DETECTOR, RECOGNIZER
from .console import progress, tell
from .json_lines import add_json, faces_as_json, print_json
from .parser import a_path, count, fraction, positive_count, size
from .recognize_flags import add_calibration, add_max_fmr, people_of

if TYPE_CHECKING:
    from ..apps.visualize import Seen, Summary


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument(
        "--template", metavar="NAME|FILE", help=f"whose model it is, or is the default ({DETECTOR})"
    )
    parser.add_argument(
        "--load-weights",
        type=a_path,
        metavar="FILE|NAME",
        help="weights, any model file, or a template's name",
    )
    parser.add_argument(
        "--detector",
        type=a_path,
        metavar="FILE|NAME",
        help=f"finds the faces for a classifier (default: {DETECTOR})",
    )
    parser.add_argument(
        "--gallery",
        type=a_path,
        metavar="FILE",
        help="names the people of a .gallery file; the model is a recogniser (default: "
        f"{RECOGNIZER})",
    )
    add_max_fmr(parser)
    add_calibration(parser)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "source",
        nargs="?",
        metavar="SOURCE",
        help="camera number, video, photo, folder of photos, or stream (rtsp://, http://)",
    )
    source.add_argument("--video", metavar="SOURCE", help="the same")
    parser.add_argument(
        "--output",
        type=a_path,
        metavar="PATH",
        help="keep the drawn pictures: a photo, a folder, or an .mp4, as the source is",
    )
    parser.add_argument("--force", action="store_true", help="overwrite files that are there")
    parser.add_argument("--no-show", action="store_true", help="open no window")
    parser.add_argument(
        "--input-size",
        type=size,
        metavar="HxW",
        help="instead of the file's, if that is free",
    )
    parser.add_argument(
        "--score-threshold", type=fraction, metavar="0..1", help="instead of the model's own"
    )
    parser.add_argument("--nms-iou", type=fraction, metavar="0..1", help="likewise")
    parser.add_argument("--device", default="cpu", help="cpu (default), or what the runtime knows")
    parser.add_argument("--threads", type=positive_count, metavar="N", help="of the runtime")
    parser.add_argument(
        "--delay",
        type=count,
        metavar="MS",
        help="time each picture stays; 0 waits for a key (default: 0 for photos, 1 for frames)",
    )
    add_json(parser, "photo or frame")


def run(args: argparse.Namespace) -> None:
    """Process the source, and print what was found."""
    args.source = args.video if args.source is None else args.source
    people = people_of(args)
    default = DETECTOR if people is None else RECOGNIZER
    from ..apps.visualize import VisualizeRequest, visualize
    from ..tasks.weights import open_model

    with ExitStack() as stack:
        # Only when there is a frame to tell of, and a terminal to show it on.
        bar = functools.cache(lambda: stack.enter_context(progress("frames")))
        shown = sys.stderr is not None and sys.stderr.isatty()
        summary = visualize(
            VisualizeRequest(
                source=args.source,
                open_model=lambda: open_model(
                    args.template or (None if args.load_weights else default),
                    args.load_weights,
                    device=args.device,
                    threads=args.threads,
                    input_size=args.input_size,
                ),
                detector=args.detector,
                people=people,
                output=args.output,
                force=args.force,
                show=not args.no_show,
                score_threshold=args.score_threshold,
                nms_iou=args.nms_iou,
                device=args.device,
                threads=args.threads,
                delay=args.delay,
                on_seen=_teller(args),
                on_frame=(lambda done, total: bar()(done, total)) if shown else None,
            )
        )
    if not args.json:
        _print_summary(summary)


def _teller(args: argparse.Namespace) -> Callable[[Seen], None]:
    """Prints what was found in a picture."""
    one_photo = Path(args.source).is_file()

    def as_json(seen: Seen) -> None:
        print_json(
            {
                "source": seen.source if seen.photo is None else str(seen.photo),
                "frame": seen.frame,
                "time": None if seen.time is None else round(seen.time, 3),
                "faces": faces_as_json(seen.faces, seen.answers),
            }
        )

    def as_text(seen: Seen) -> None:
        if seen.photo is not None:
            _print_count(seen)
            if one_photo:
                _print_faces(seen)

    return as_json if args.json else as_text


def _print_count(seen: Seen) -> None:
    counts = Counter(one.kind for one in seen.told if one.kind is not None)
    kinds = "".join(f", {number} {kind}" for kind, number in sorted(counts.items()))
    tell(f"{seen.photo}: {_faces(len(seen.faces))}{kinds}")


def _print_faces(seen: Seen) -> None:
    texts = [f"  {one.text}" for one in seen.told] or [""] * len(seen.faces)
    for score, box, text in zip(seen.faces.scores, seen.faces.boxes, texts, strict=True):
        corners = " ".join(f"{value:.1f}" for value in box)
        tell(f"  score {score:.3f}  box {corners}{text}")


def _print_summary(summary: Summary) -> None:
    kind = summary.source.kind
    if kind != "photo":
        unit = "photos" if kind == "folder" else "frames"
        rate = f", {summary.pictures / summary.seconds:.1f} {unit} per second"
        unread = f", {summary.unreadable} unreadable" if summary.unreadable else ""
        tell(
            f"{summary.source.name}: {summary.pictures} {unit}{unread}, "
            f"{_faces(summary.faces)}{rate}"
        )
    if summary.output is not None:
        tell(f"written: {summary.output}")


def _faces(number: int) -> str:
    return f"{number} face" if number == 1 else f"{number} faces"
