"""Flags of what tells known people from others."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..apps.recognize_rate import MAX_FMR
from ..errors import UserError
from .parser import a_path, positive

if TYPE_CHECKING:
    from ..apps.recognize_people import PeopleRequest


def add_max_fmr(parser: argparse.ArgumentParser, default: float | None = None) -> None:
    """Add the flag for the false match rate.

    Args:
        parser: The command's parser.
        default: What is there if it is not given; None also means `MAX_FMR`, but shows whether it
            was given.
    """
    parser.add_argument(
        "--max-fmr",
        type=positive,
        default=default,
        metavar="0..1",
        help="false match rate: share of strangers that may be taken for the person "
        f"(default: {MAX_FMR:g})",
    )


def add_calibration(parser: argparse.ArgumentParser) -> None:
    """Add the flag for the file of `recognize calibrate`."""
    parser.add_argument(
        "--calibration",
        type=a_path,
        metavar="FILE",
        help="what similarities mean, by `recognize calibrate` (default: what the model says)",
    )


def people_of(args: argparse.Namespace) -> PeopleRequest | None:
    """What --gallery asks for; None without it.

    Raises:
        UserError: Other flags of it are there alone.
    """
    if args.gallery is None:
        for flag, value in (("--max-fmr", args.max_fmr), ("--calibration", args.calibration)):
            if value is not None:
                raise UserError(f"{flag} {value}: goes with --gallery alone")
        return None
    from ..apps.recognize_people import PeopleRequest

    return PeopleRequest(
        gallery=args.gallery,
        max_fmr=MAX_FMR if args.max_fmr is None else args.max_fmr,
        calibration=args.calibration,
    )
