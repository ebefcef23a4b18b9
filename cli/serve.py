"""`pocketface serve`."""

from __future__ import annotations

import argparse
import os

from ..apps.classify import FACE_SCORE
from ..apps.work_dir import weights_for
from .parser import a_path, count, fraction, positive_count


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.add_argument(
        "--template",
        default="glasses-n",
        metavar="NAME|FILE",
        help="whose weights are the default (glasses-n)",
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
        "--face-score",
        type=fraction,
        default=FACE_SCORE,
        metavar="0..1",
        help=f"of the detector, from which on a face counts (default: {FACE_SCORE})",
    )
    parser.add_argument("--device", default="cpu", help="cpu (default), or what the runtime knows")
    parser.add_argument(
        "--threads",
        type=positive_count,
        default=1,
        metavar="N",
        help="of the runtime, for one photo (default: 1)",
    )


def run(args: argparse.Namespace) -> None:
    """Answer over HTTP until Ctrl-C."""
    from ..apps.service.app import Limits, Settings
    from ..apps.service.server import address_of, bind, serve

    settings = Settings(
        classifier=weights_for(args.template, args.load_weights),
        detector=args.detector or weights_for("face-detection-n", None),
        face_score=args.face_score,
        device=args.device,
        threads=args.threads,
        limits=Limits(
            at_work=args.at_work or max(1, _cores() // args.workers), waiting=args.waiting
        ),
    )
    with bind(args.host, args.port) as listening:
        # Before there are processes, in each of which it would fail.
        settings.open()
        where = address_of(listening)
        print(f"listening at {where}: curl -F image=@photo.jpg {where}/glass_no_glass/", flush=True)
        serve(settings, listening, workers=args.workers)


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1
