"""`pocketface blur` of archives: on other machines with --ray, or in object stores."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PocketfaceError, UserError
from ..model_templates.catalogue import DETECTOR, RECOGNIZER, SEGMENTER
from .console import progress, tell
from .json_lines import print_json
from .parser import a_path, second_opinion_of

if TYPE_CHECKING:
    from ..apps.blur.manifest import Done, Failed
    from ..apps.blur.request import BlurRequest


def a_place(text: str) -> Path | str:
    """A path, or an address as s3://bucket/photos."""
    return text if "://" in text else a_path(text)


def add_archive(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="HOST:PORT",
        help="blur the photos of one folder or address on a Ray cluster, or on all cores of this "
        "machine, and go on with what an earlier such run began (needs the extra archive)",
    )
    parser.add_argument(
        "--manifest",
        type=a_path,
        metavar="FILE",
        help="what says what is done, of --ray and of addresses (default: in the folder --output)",
    )


def is_archive(args: argparse.Namespace) -> bool:
    """Whether paths are handed to `run_archive`.

    Raises:
        UserError: A flag goes with archives alone.
    """
    addresses = [*args.sources, args.output]
    if args.ray is not None or any(isinstance(one, str) for one in addresses):
        return True
    if args.manifest is not None:
        raise UserError(f"--manifest {args.manifest}: goes with --ray, or an address as s3://…")
    return False


def run_archive(args: argparse.Namespace) -> None:
    """Blur the photos of one folder or address, and print what was hidden."""
    from ..apps.archive.request import ArchiveRequest
    from ..apps.archive.run import blur_archive

    if len(args.sources) != 1:
        raise UserError(
            f"{', '.join(map(str, args.sources))}: expected one folder or address, as --ray or an "
            f"address is given, found {len(args.sources)}"
        )
    if args.output is None:
        raise UserError(
            f"{args.sources[0]}: expected --output, a folder or an address, for what is written"
        )
    others = {
        f"--tracks {args.tracks}": args.tracks is not None,
        f"--report {args.report}": args.report is not None,
        # Videos of archives are left out.
        f"--codec {args.codec}": args.codec != "h264",
        "--no-audio": not args.keep_audio,
    }
    for flag, given in others.items():
        if given:
            raise UserError(f"{flag}: does not go with --ray, nor with addresses")
    tell_line = _tell_json if args.json else _tell_failed

    def on_line(line: Done | Failed) -> None:
        with redirect_stdout(stdout):
            tell_line(line)

    with ExitStack() as stack:
        on_progress = stack.enter_context(progress("photos"))
        stdout = sys.stdout  # above the bar, where there is one
        # Ray tells there of processes that died, amid lines of JSON.
        stack.enter_context(redirect_stdout(sys.stderr))
        summary = blur_archive(
            ArchiveRequest(
                settings=_settings(args),
                source=str(args.sources[0]),
                output=str(args.output),
                manifest=args.manifest,
                ray=args.ray,
                on_line=on_line,
                on_progress=on_progress,
            )
        )
    if not args.json:
        rate = summary.photos / max(summary.seconds, 1e-9)
        tell(
            f"{_photos(summary.photos)}, {summary.hidden:,} faces hidden, "
            f"{summary.without:,} without a face, {summary.skipped:,} done before, "
            f"{rate:.1f} photos per second"
        )
    if summary.failed:
        first = summary.failed[0]
        raise PocketfaceError(
            f"{_photos(len(summary.failed))} not blurred: nothing is written of "
            f"{first.source}{', …' if len(summary.failed) > 1 else ''}: {first.failed}",
            hint="the same command tries again",
        )


def _photos(number: int) -> str:
    return "1 photo" if number == 1 else f"{number:,} photos"


def _tell_json(line: Done | Failed) -> None:
    print_json(asdict(line))


def _tell_failed(line: Done | Failed) -> None:
    from ..apps.blur.manifest import Failed

    if isinstance(line, Failed):
        tell(f"{line.source}: not blurred: {line.failed}")


def _settings(args: argparse.Namespace) -> BlurRequest:
    from ..api.blur import cover_of, who_of
    from ..apps.blur.find import MAX_SIDE, SCORE
    from ..apps.blur.photo_metadata import check_groups
    from ..apps.blur.request import BlurRequest
    from ..tasks.named import model_path

    device = args.device
    return BlurRequest(
        sources=(),
        detector=model_path(args.detector or DETECTOR, device=device),
        second_opinion=second_opinion_of(args),
        segmenter=model_path(SEGMENTER, device=device) if args.shape == "mask" else None,
        cover=cover_of(args.style, args.shape, args.grow, args.picture),
        score=SCORE if args.score is None else args.score,
        max_side=args.max_side or MAX_SIDE,
        who=who_of(
            args.only or args.except_,
            "only" if args.only else "except",
            args.max_fmr,
            args.recognizer or RECOGNIZER,
            device,
        ),
        keep=check_groups(args.keep_metadata),
        lossless_jpeg=args.lossless_jpeg,
        force=args.force,
        device=device,
        threads=args.threads,
    )
