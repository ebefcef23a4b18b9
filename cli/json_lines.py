"""Answers as JSON for other programs: one object on each line of standard output."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..results import Detections


def add_json(parser: argparse._ActionsContainer, what: str) -> None:
    """Add the flag to a parser, or to a group of its flags."""
    parser.add_argument(
        "--json", action="store_true", help=f"print JSON lines, one for each {what}"
    )


def print_json(record: Mapping[str, Any]) -> None:
    """Print an object as one line, at once; letters beyond ASCII are escaped.

    Results of models are written as their `to_dict` has them, arrays as lists.
    """
    print(json.dumps(record, allow_nan=False, default=_plain), flush=True)


def _plain(value: Any) -> Any:
    return value.to_dict() if hasattr(value, "to_dict") else value.tolist()


def faces_as_json(faces: Detections, answers: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Faces, each with the answer of the model that was shown it as `result`, or None."""
    return [
        {**face.to_dict(), "result": answer}
        for face, answer in zip(faces, answers or repeat(None, len(faces)), strict=True)
    ]
