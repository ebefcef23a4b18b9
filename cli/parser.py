"""Argument parsing shared by the commands: one-line errors that name what was expected."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..errors import UserError
from ..model_templates.catalogue import DETECTOR, SECOND_DETECTOR, file_path

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
"""Precisions of the arithmetic in training; the first is the default."""

FOREIGN = (
    "a checkpoint of Detectron2 (.pkl, .pth), torchvision or MMDetection (.pth), or OpenVINO's .xml"
)
"""What `--load-weights` reads too, for the template that is given."""


class Parser(argparse.ArgumentParser):
    """Raises `UserError` where argparse would print its usage and exit; allows no abbreviations."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)
        # SUPPRESS: flags before the verb are not reset by the defaults of the verb's parser.
        self.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help="show tracebacks"
        )
        self.add_argument(
            "-v", "--verbose", action="store_true", default=argparse.SUPPRESS, help="say more"
        )

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting."""
        raise UserError(message, hint=f"see `{self.prog} --help`")

    def refuse(self, unknown: Sequence[str], arguments: Sequence[str]) -> NoReturn:
        """Raise for unknown arguments, with a hint to the help of their command."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                verb = next((word for word in arguments if word in action.choices), None)
                if verb is not None:
                    action.choices[verb].refuse(unknown, arguments)
        near = difflib.get_close_matches(unknown[0], self._option_string_actions, n=1)
        also = f"did you mean {near[0]}? " if near else ""
        raise UserError(
            f"unrecognized arguments: {' '.join(unknown)}", hint=f"{also}see `{self.prog} --help`"
        )


def fraction(text: str) -> float:
    """A number from 0 to 1."""
    return _share(text, "from 0 to 1", inside=lambda value: 0 <= value <= 1)


def part(text: str) -> float:
    """A share of what is split into two parts, of which none may be empty."""
    return _share(text, "above 0 and below 1", inside=lambda value: 0 < value < 1)


def _share(text: str, expected: str, *, inside: Callable[[float], bool]) -> float:
    value = _number(text)
    if not inside(value):
        meant = f"; {value:g} % is {value / 100:g}" if 2 <= value <= 100 else ""
        raise argparse.ArgumentTypeError(f"expected a number {expected}, found {text!r}{meant}")
    return value


def percentage(text: str) -> float:
    """A percentage, as tables have it, as a share of 1; up to 1 it is taken for a share already."""
    value = _number(text.removesuffix("%"))
    share = value if value <= 1 and not text.endswith("%") else value / 100
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError(f"expected a percentage from 0 to 100, found {text!r}")
    return round(share, 6)  # 83.06 / 100 is not 0.8306


def positive(text: str) -> float:
    """A finite number above 0."""
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, found {text!r}")
    return value


def count(text: str) -> int:
    """A whole number, 0 or more."""
    return _whole(text, least=0)


def positive_count(text: str) -> int:
    """A whole number, 1 or more."""
    return _whole(text, least=1)


def _whole(text: str, *, least: int) -> int:
    if re.fullmatch(r"[0-9]{10,}", text):
        raise argparse.ArgumentTypeError(
            f"expected a whole number of 9 digits at most, found {text[:80]!r}"
        )
    if not re.fullmatch(r"[0-9]+", text) or int(text) < least:
        raise argparse.ArgumentTypeError(
            f"expected a whole number, {least} or more, found {text!r}"
        )
    return int(text)


def size(text: str) -> tuple[int, int]:
    """HEIGHTxWIDTH in pixels, as (height, width)."""
    match = re.fullmatch(r"([0-9]{1,5})[xX]([0-9]{1,5})", text)
    if match is None:
        raise argparse.ArgumentTypeError(
            f"expected HEIGHTxWIDTH in pixels, as 480x640, found {text!r}"
        )
    return int(match[1]), int(match[2])


def names(text: str) -> list[str]:
    """Names separated by commas, at least one."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise argparse.ArgumentTypeError(f"expected names with commas between, found {text!r}")
    return found


def positive_counts(text: str) -> list[int]:
    """Whole numbers of 1 or more, separated by commas."""
    return [positive_count(one) for one in names(text)]


def a_path(text: str) -> Path:
    """A path; refuses the empty text, which would mean the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("expected a path, found ''")
    return file_path(text)


def add_detector(parser: argparse.ArgumentParser, which: str = "a detector with landmarks") -> None:
    """Add the flag of the detector that finds the faces of photos, with what it must be."""
    parser.add_argument(
        "--detector",
        type=a_path,
        metavar="FILE|NAME",
        help=f"{which} (default: {DETECTOR})",
    )


def add_second_opinion(parser: argparse.ArgumentParser) -> None:
    """Add the flag of the detector that is asked about doubtful faces, see `second_opinion_of`."""
    parser.add_argument(
        "--second-opinion",
        type=a_path,
        metavar="FILE|NAME|none",
        help=f"a detector that is asked about doubtful faces (default: {SECOND_DETECTOR})",
    )


def second_opinion_of(args: argparse.Namespace) -> Path | None:
    """The file of that detector; None if nobody is to be asked."""
    from ..tasks.named import model_path

    if args.second_opinion == Path("none"):
        return None
    return model_path(args.second_opinion or SECOND_DETECTOR, device=args.device)


def paths(values: Sequence[str] | None) -> list[Path]:
    """The paths of a flag that takes many, separated by spaces or commas.

    A comma inside the name of an existing file or folder is part of that name.
    """
    found: list[Path] = []
    for value in values or ():
        parts = [value] if Path(value).exists() else names(value)
        found.extend(Path(part) for part in parts)
    return found


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, found {text!r}") from None
