"""`pocketface blur`."""

from __future__ import annotations

import argparse
import functools
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PocketfaceError, UserError
from ..model_templates.catalogue import DETECTOR, RECOGNIZER, REPORT_DETECTOR
from .blur_archive import a_place, add_archive, is_archive, run_archive
from .blur_live import add_live, run_live
from .console import progress, tell
from .json_lines import add_json, faces_as_json, print_json
from .parser import (
    a_path,
    add_detector,
    add_second_opinion,
    fraction,
    names,
    positive,
    positive_count,
    second_opinion_of,
)

if TYPE_CHECKING:
    from ..apps.blur.request import Blurred, BlurSummary
    from ..apps.blur.video import BlurredVideo

_STYLES = ("mosaic", "gaussian", "solid", "emoji", "replace")
_SHAPES = ("ellipse", "box", "mask")
_CODECS = ("h264", "hevc", "vp9", "av1")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument(
        "sources",
        nargs="*",
        type=a_place,
        metavar="PATH",
        help="photos, videos, and folders of them; or one address, as s3://bucket/photos",
    )
    parser.add_argument(
        "--output",
        type=a_place,
        metavar="DIR",
        help="folder of the files, with the sources' names (default: blurred_NAME beside each); "
        "with --live the .mp4 file",
    )
    parser.add_argument("--force", action="store_true", help="overwrite files that are there")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with what an earlier run with --resume began in --output: what is done and "
        "unchanged stays",
    )
    parser.add_argument(
        "--style", choices=_STYLES, default="mosaic", help="how faces are hidden (default: mosaic)"
    )
    parser.add_argument(
        "--picture", type=a_path, metavar="FILE", help="what --style replace puts over faces"
    )
    parser.add_argument(
        "--shape",
        choices=_SHAPES,
        default="ellipse",
        help="which pixels: an ellipse (default), the box, or those of a face's mask",
    )
    parser.add_argument(
        "--grow",
        type=positive,
        default=1.4,
        metavar="1..10",
        help="size of what is hidden, relative to the face (default: 1.4)",
    )
    add_detector(parser, "finds the faces; with landmarks for --shape mask, --only and --except")
    add_second_opinion(parser)
    parser.add_argument(
        "--score",
        type=fraction,
        metavar="0..1",
        help="of the detector, from which on a face is hidden (default: 0.3)",
    )
    parser.add_argument(
        "--max-side",
        type=positive_count,
        metavar="PIXELS",
        help="longest side at which a photo is searched for small faces (default: 1920)",
    )
    who = parser.add_mutually_exclusive_group()
    who.add_argument(
        "--except",
        dest="except_",
        type=a_path,
        metavar="GALLERY",
        help="hide everybody but who is surely one of these people, by `recognize enroll`",
    )
    who.add_argument(
        "--only",
        type=a_path,
        metavar="GALLERY",
        help="hide these people alone, and whoever may be one of them",
    )
    parser.add_argument(
        "--max-fmr",
        type=positive,
        metavar="0..1",
        help="false match rate: share of strangers that may be taken for one of them (default: "
        "0.001 with --except, 0.3 with --only)",
    )
    parser.add_argument(
        "--recognizer",
        type=a_path,
        metavar="FILE|NAME",
        help=f"the recogniser that the gallery is of (default: {RECOGNIZER})",
    )
    parser.add_argument(
        "--keep-metadata",
        type=names,
        default=[],
        metavar="GROUPS",
        help="of date, camera, exposure, copyright, description, location, with commas "
        "(default: none)",
    )
    parser.add_argument(
        "--lossless-jpeg",
        action="store_true",
        help="of a JPEG change only the blocks that a face's outline touches (needs the extra "
        "lossless-jpeg)",
    )
    parser.add_argument(
        "--codec", choices=_CODECS, default="h264", help="of videos (default: h264)"
    )
    sound = parser.add_mutually_exclusive_group()
    sound.add_argument(
        "--keep-audio",
        action="store_true",
        default=True,
        help="the sound of videos, packet for packet (the default)",
    )
    sound.add_argument(
        "--no-audio", dest="keep_audio", action="store_false", help="videos without sound"
    )
    parser.add_argument(
        "--tracks",
        type=a_path,
        metavar="FILE",
        help="render a video by its .tracks.json, corrected by hand, instead of looking for faces",
    )
    add_live(parser)
    add_archive(parser)
    parser.add_argument(
        "--report",
        type=a_path,
        metavar="FILE",
        help="search what was written by another detector, and list what it finds as JSON, with a "
        "contact sheet of faces that are seen",
    )
    parser.add_argument(
        "--report-detector",
        type=a_path,
        metavar="FILE|NAME",
        help=f"that detector, or YuNet's .onnx (default: {REPORT_DETECTOR})",
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), or what the runtime knows")
    parser.add_argument(
        "--threads",
        type=positive_count,
        metavar="N",
        help="in all, by which up to four photos, or frames of a video, are looked at at once "
        "(default: one per core)",
    )
    add_json(parser, "photo and video")


def run(args: argparse.Namespace) -> None:
    """Blur the sources, and print what was hidden."""
    from ..api.blur import blur

    gallery = args.only or args.except_
    if gallery is None and args.recognizer is not None:
        raise UserError(f"--recognizer {args.recognizer}: goes with --only or --except")
    if args.live is not None:
        run_live(args)
        return
    if args.show:
        raise UserError("--show: goes with --live")
    if not args.sources:
        raise UserError(
            "expected photos, videos or folders to blur, or --live SOURCE",
            hint=f"{args.ray} counts as --ray HOST:PORT: write --ray last" if args.ray else None,
        )
    if args.report is None and args.report_detector is not None:
        raise UserError(f"--report-detector {args.report_detector}: goes with --report FILE")
    if is_archive(args):
        run_archive(args)
        return
    with ExitStack() as stack:
        # Only when there is a video, and a terminal to show it on.
        bar = functools.cache(lambda unit: stack.enter_context(progress(unit)))
        shown = sys.stderr is not None and sys.stderr.isatty()
        summary = blur(
            args.sources,
            args.output,
            style=args.style,
            picture=args.picture,
            shape=args.shape,
            grow=args.grow,
            detector=args.detector or DETECTOR,
            second_opinion=second_opinion_of(args),
            score=args.score,
            max_side=args.max_side,
            gallery=gallery,
            rule="only" if args.only else "except",
            max_fmr=args.max_fmr,
            recognizer=args.recognizer or RECOGNIZER,
            keep_metadata=args.keep_metadata,
            lossless_jpeg=args.lossless_jpeg,
            codec=args.codec,
            keep_audio=args.keep_audio,
            tracks=args.tracks,
            report=args.report,
            report_detector=args.report_detector or REPORT_DETECTOR,
            force=args.force,
            resume=args.resume,
            device=args.device,
            threads=args.threads,
            on_video=_video_json if args.json else _video_text,
            on_frame=(lambda done, all_: bar("frames")(done, all_)) if shown else None,
            on_search=(lambda done, all_: bar("frames searched")(done, all_)) if shown else None,
            on_blurred=_tell_json if args.json else _tell_text,
            on_progress=stack.enter_context(progress("files")),
        )
    if not args.json:
        _tell_summary(summary)
        if summary.leaks is not None:
            tell(f"{args.report}: {_counted(summary.leaks, 'face')} seen by another detector")
    if summary.failed:
        raise PocketfaceError(
            f"{_counted(len(summary.failed), 'file')} not blurred: nothing is written of "
            f"{', '.join(map(str, summary.failed[:3]))}{', …' if len(summary.failed) > 3 else ''}"
        )


def _tell_json(seen: Blurred) -> None:
    record: dict[str, Any] = {"file": str(seen.path), "output": str(seen.output)}
    if len(seen.found) == 1:
        record["faces"] = faces_as_json(seen.found[0])
    else:
        record["frames"] = [faces_as_json(faces) for faces in seen.found]
    print_json({**record, "hidden": seen.hidden})


def _tell_text(seen: Blurred) -> None:
    found = sum(map(len, seen.found))
    said = _counted(seen.hidden, "face") if found else "no face"
    if seen.hidden < found:
        said += f" of {found:,}"
    frames = f" in {len(seen.found):,} frames" if len(seen.found) > 1 else ""
    tell(f"{seen.output}: {said}{frames}")


def _video_json(path: Path, output: Path, done: BlurredVideo) -> None:
    tracks = done.tracks
    print_json(
        {
            "file": str(path),
            "output": str(output),
            "tracks": None if done.sidecar is None else str(done.sidecar),
            "frames": len(tracks.times),
            "faces": len(tracks.paths),
            "hidden": sum(bool(path.hidden.any()) for path in tracks.paths),
            "black": done.black,
        }
    )


def _video_text(_: Path, output: Path, done: BlurredVideo) -> None:
    count = len(done.tracks.times)
    black = f", {done.black:,} black" if done.black else ""
    tell(
        f"{output}: {_counted(len(done.tracks.paths), 'face')} in {count:,} frames{black} "
        f"(found in {done.finding:.1f} s, written in {done.writing:.1f} s)"
    )
    if done.sidecar is not None:
        tell(f"{done.sidecar}: where they are; --tracks renders it again")


def _tell_summary(summary: BlurSummary) -> None:
    parts = []
    if summary.videos:
        parts.append(_counted(summary.videos, "video"))
    if summary.photos or not summary.videos:
        parts += [_counted(summary.photos, "photo"), f"{_counted(summary.hidden, 'face')} hidden"]
    if summary.without:
        parts.append(f"{summary.without:,} without a face")
    if summary.skipped:
        parts.append(f"{summary.skipped:,} done before")
    if summary.photos and not summary.videos:
        rate = summary.photos / max(summary.seconds, 1e-9)
        parts.append(f"{rate:.1f} photos per second")
    tell(", ".join(parts))


def _counted(number: int, name: str) -> str:
    return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"
