"""`pocketface serve`."""

from __future__ import annotations

import argparse
import os

from ..errors import ModelFileError
from . import photo_classifier
from .parser import a_path, count, positive_count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    photo_classifier.add_arguments(parser)
    parser.add_argument(
        "--segmenter",
        type=a_path,
        metavar="FILE|NAME",
        help="a face segmenter, for masks at /segment/ (default: none)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at (default: 127.0.0.1, for this machine only; 0.0.0.0 for all)",
    )
    parser.add_argument("--port", type=count, default=8888, help="default: 8888; 0: any free one")
    parser.add_argument(
        "--workers", type=positive_count, default=1, metavar="N", help="processes (default: 1)"
    )
    parser.add_argument(
        "--at-work",
        type=positive_count,
        metavar="N",
        help="photos at once in each process (default: the cores that there are for it)",
    )
    parser.add_argument(
        "--waiting",
        type=count,
        default=64,
        metavar="N",
        help="requests that may wait in each process; more get 503 (default: 64)",
    )
    parser.add_argument(
        "--threads",
        type=positive_count,
        default=1,
        metavar="N",
        help="of the runtime, for one photo (default: 1)",
    )


def run(args: argparse.Namespace) -> None:
    """Answer over HTTP until Ctrl-C."""
    from ..apps.service.app import Settings
    from ..apps.service.limits import Limits
    from ..apps.service.server import address_of, bind, make_config, serve
    from ..tasks.named import model_path

    classifier, detector = photo_classifier.files_of(args)
    segmenter = None
    if args.segmenter is not None:
        segmenter = model_path(args.segmenter, device=args.device)
        if not segmenter.exists():
            raise ModelFileError(f"{args.segmenter}: no such file")
    settings = Settings(
        classifier=classifier,
        detector=detector,
        segmenter=segmenter,
        face_score=args.face_score,
        device=args.device,
        threads=args.threads,
        limits=Limits(
            at_work=args.at_work or max(1, _cores() // args.workers), waiting=args.waiting
        ),
    )
    with bind(args.host, args.port) as listening:
        config, endpoints = make_config(settings, workers=args.workers)
        where = address_of(listening)
        for endpoint in endpoints:
            print(f"listening at {where}: curl -F image=@photo.jpg {where}{endpoint}", flush=True)
        serve(config, listening)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows do not have it
        return os.cpu_count() or 1
