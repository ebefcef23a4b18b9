"""`pocketface blur --live`."""

from __future__ import annotations

import argparse

from ..errors import UserError
from ..model_templates.catalogue import DETECTOR, RECOGNIZER
from .console import tell


def add_live(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument(
        "--live",
        metavar="SOURCE",
        help="blur a camera's number, a stream (rtsp://, http://) or a video in one pass, half a "
        "second behind; q or Ctrl-C ends it",
    )
    parser.add_argument("--show", action="store_true", help="with --live: open a window")


def run_live(args: argparse.Namespace) -> None:
    """Blur one source as it comes."""
    from ..api.blur import cover_of, who_of
    from ..apps.blur.find import MAX_SIDE, SCORE, FaceFinder
    from ..apps.blur.live import LiveRequest, blur_live
    from ..apps.blur.who import Who
    from ..apps.faces import check_landmarks
    from ..tasks.named import model_path

    others = {
        "a PATH": args.sources,
        "--tracks": args.tracks,
        "--report": args.report,
        "--second-opinion": args.second_opinion,
        "--report-detector": args.report_detector,
        "--keep-metadata": args.keep_metadata,
        "--lossless-jpeg": args.lossless_jpeg,
        f"--codec {args.codec}": args.codec != "h264",
        "--json": args.json,
        "--resume": args.resume,
        "--ray": args.ray is not None,
        "--manifest": args.manifest,
        "an address as --output": isinstance(args.output, str),
    }
    for flag, given in others.items():
        if given:
            raise UserError(f"--live {args.live}: does not go with {flag}")
    cover = cover_of(args.style, args.shape, args.grow, args.picture)
    finder = FaceFinder(
        model_path(args.detector or DETECTOR, device=args.device),
        score=SCORE if args.score is None else args.score,
        max_side=args.max_side or MAX_SIDE,
        device=args.device,
        threads=args.threads,
    )
    asked = who_of(
        args.only or args.except_,
        "only" if args.only else "except",
        args.max_fmr,
        args.recognizer or RECOGNIZER,
        args.device,
    )
    who = None
    if asked is not None:
        check_landmarks(finder.own)
        who = Who(asked, device=args.device, threads=args.threads)
    count = blur_live(
        LiveRequest(
            source=args.live,
            finder=finder,
            output=args.output,
            show=args.show,
            cover=cover,
            who=who,
            force=args.force,
            keep_audio=args.keep_audio,
        )
    )
    written = "" if args.output is None else f", written: {args.output}"
    tell(f"{count:,} frames{written}")
