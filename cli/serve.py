"""`pocketface serve`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..apps.recognize_rate import MAX_FMR
from ..cores import cores
from ..errors import ModelFileError, UserError
from . import photo_classifier
from .parser import a_path, add_second_opinion, count, positive_count, second_opinion_of
from .recognize_flags import add_calibration, add_max_fmr

if TYPE_CHECKING:
    from ..apps.service.recognize import RecognitionSettings

_NAMES = {1: ("photo",), 2: ("one", "other")}
"""What photos are called in the commands that are printed, by their number."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    photo_classifier.add_arguments(parser)
    add_second_opinion(parser)
    parser.add_argument(
        "--segmenter",
        type=a_path,
        metavar="FILE|NAME",
        help="a face segmenter, for masks at /segment/ (default: none)",
    )
    parser.add_argument(
        "--recognizer",
        type=a_path,
        metavar="FILE|NAME",
        help="a face recogniser, to compare two photos at /compare/ (default: none)",
    )
    parser.add_argument(
        "--gallery",
        type=a_path,
        metavar="FILE",
        help="a .gallery file, whose people are known at /identify/ (default: none)",
    )
    add_max_fmr(parser)
    add_calibration(parser)
    parser.add_argument(
        "--token-file",
        type=a_path,
        metavar="FILE",
        help="holds a token that clients must send (default: $POCKETFACE_TOKEN, or none)",
    )
    parser.add_argument(
        "--tls-cert",
        type=a_path,
        metavar="FILE",
        help="a certificate, PEM, with those between it and its root: HTTPS (default: HTTP)",
    )
    parser.add_argument(
        "--tls-key",
        type=a_path,
        metavar="FILE",
        help="its private key, without a password (default: in the certificate's file)",
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
    from ..apps.service.tls import Tls
    from ..apps.service.token import read_token

    token = read_token(args.token_file)
    if args.tls_key is not None and args.tls_cert is None:
        raise UserError(f"--tls-key {args.tls_key}: goes with --tls-cert alone")
    tls = None if args.tls_cert is None else Tls(args.tls_cert, args.tls_key)
    classifier, detector = photo_classifier.files_of(args)
    settings = Settings(
        classifier=classifier,
        detector=detector,
        second_opinion=second_opinion_of(args),
        segmenter=_file_of(args.segmenter, device=args.device),
        recognition=_recognition_of(args),
        face_score=args.face_score,
        device=args.device,
        threads=args.threads,
        limits=Limits(
            at_work=args.at_work or max(1, cores() // args.workers), waiting=args.waiting
        ),
        token=token,
    )
    with bind(args.host, args.port) as listening:
        config, endpoints = make_config(settings, workers=args.workers, tls=tls)
        where = address_of(listening, tls=tls is not None)
        secret = "" if token is None else '-H "Authorization: Bearer $TOKEN" '
        # In one write: whoever reads the first line alone does not keep the service from starting.
        print("".join(_commands(where, endpoints, secret)), end="", flush=True)
        serve(config, listening)


def _commands(where: str, endpoints: dict[str, int], secret: str) -> Iterator[str]:
    """A line for each endpoint: where it is, and how to ask it."""
    from ..apps.service.detect import BLUR

    for endpoint, photos in endpoints.items():
        fields = " ".join(f"-F image=@{name}.jpg" for name in _NAMES[photos])
        saved = "-o blurred_photo.jpg " if endpoint == f"/{BLUR}/" else ""
        yield f"listening at {where}: curl {secret}{saved}{fields} {where}{endpoint}\n"


def _file_of(given: Path | None, *, device: str) -> Path | None:
    """A model's file; what it is named by may be a template."""
    from ..tasks.named import model_path

    if given is None:
        return None
    path = model_path(given, device=device)
    if not path.exists():
        raise ModelFileError(f"{given}: no such file")
    return path


def _recognition_of(args: argparse.Namespace) -> RecognitionSettings | None:
    """What recognises people; None without --recognizer."""
    recognizer = _file_of(args.recognizer, device=args.device)
    if recognizer is None:
        for name in ("gallery", "max_fmr", "calibration"):
            if (value := getattr(args, name)) is not None:
                flag = f"--{name.replace('_', '-')}"
                raise UserError(f"{flag} {value}: goes with --recognizer alone")
        return None
    from ..apps.service.recognize import RecognitionSettings

    return RecognitionSettings(
        recognizer=recognizer,
        gallery=args.gallery,
        max_fmr=MAX_FMR if args.max_fmr is None else args.max_fmr,
        calibration=args.calibration,
    )
