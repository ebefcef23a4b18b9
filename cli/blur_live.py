"""`pocketface blur --live`."""

from __future__ import annotations

import argparse

from ..errors import UserError
from ..model_templates.catalogue import DETECTOR
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
    from ..api.blur import cover_of
    from ..apps.blur.find import MAX_SIDE, SCORE, FaceFinder
    from ..apps.blur.live import LiveRequest, blur_live
    from ..tasks.named import model_path

    others = {
        "a PATH": args.sources,
        "--only": args.only,
        "--except": args.except_,
        "--tracks": args.tracks,
        "--report": args.report,
        "--resume": args.resume,
        "--ray": args.ray is not None,
        "--manifest": args.manifest,
        "an address as --output": isinstance(args.output, str),
    }
    for flag, given in others.items():
        if given:
            raise UserError(f"--live {args.live}: does not go with {flag}")
    cover = cover_of(args.style, args.shape, args.grow, args.picture)
    score = SCORE if args.score is None else args.score
    finder = FaceFinder(
        model_path(args.detector or DETECTOR, device=args.device),
        score=score,
        max_side=args.max_side or MAX_SIDE,
        device=args.device,
        threads=args.threads,
    )
    count = blur_live(
        LiveRequest(
            source=args.live,
            finder=finder,
            output=args.output,
            show=args.show,
            cover=cover,
            score=score,
            keep_audio=args.keep_audio,
        )
    )
    written = "" if args.output is None else f", written: {args.output}"
    tell(f"{count:,} frames{written}")
