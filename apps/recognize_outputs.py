"""What commands that recognise people write: drawn photos and tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..drawing import draw_faces
from ..files import atomic_write, name_in_utf8
from ..places import CSV, check_new_file
from .mask_files import check_places, places_of
from .recognize_faces import PhotoFaces
from .recognize_verdict import ANSWERS, Verdict

Pixels = NDArray[np.uint8]
WriteRow = Callable[[Sequence[object]], None]

STDOUT = Path("-")
"""Where a table goes that is to be printed."""

_SHORT = 8
"""Letters of a name that has no room above its face."""

_SHARE = 0.2
"""Side of the reference face that is laid into a drawn photo, as a share of its shorter side."""


def drawn_places(
    photos: Mapping[Path, Path],
    folder: Path | None,
    *,
    given: Sequence[Path],
    inputs: Sequence[Path],
    force: bool,
) -> dict[Path, Path]:
    """The path of each drawn photo: its name and subfolder, in the folder of --output.

    Args:
        photos: Each photo, and its path below what the user named.
        folder: The folder; None if nothing is drawn.
        given: The files and folders of the photos that the user named.
        inputs: Other files that are read, and never replaced.
        force: Whether older files may be replaced.

    Raises:
        UserError: See `check_places`.
    """
    if folder is None:
        return {}
    places = places_of(photos, "overlay", folder, video=False)
    check_places(places, folder, given=given, inputs=inputs, each=False, force=force)
    return places


def check_table(path: Path | None, *, inputs: Iterable[Path], force: bool) -> None:
    """Refuse a path of --csv that cannot be written, or has what may be wanted.

    Args:
        path: The file; `STDOUT` and None are none.
        inputs: The photos and all other files that are read.
        force: Whether an older file may be replaced, unless it is read.

    Raises:
        UserError: See `check_new_file`.
    """
    if path is not None and path != STDOUT:
        check_new_file(path, "--csv", inputs=inputs, force=force, suffixes=CSV)


@contextmanager
def table(
    path: Path | None, columns: Sequence[str], on_line: Callable[[str], None] | None
) -> Iterator[WriteRow]:
    """Write a CSV row by row; the file appears when the block ends without an exception.

    Args:
        path: The file; `STDOUT` for lines that are given to `on_line`; None for no table.
        columns: The heading.
        on_line: Called with each line, without its end, if the path is `STDOUT`.

    Yields:
        A function that writes a row.

    Raises:
        OSError: The file cannot be written.
    """
    with ExitStack() as stack:
        handle = None
        if path is not None and path != STDOUT:
            handle = stack.enter_context(atomic_write(path, "w"))

        def write(row: Sequence[object]) -> None:
            line = io.StringIO()
            csv.writer(line, lineterminator="\n").writerow(row)
            if handle is not None:
                handle.write(line.getvalue())
            elif path == STDOUT and on_line is not None:
                on_line(line.getvalue().removesuffix("\n"))

        write(columns)
        yield write


def cells(seen: PhotoFaces, index: int) -> list[object]:
    """A face's number, box and score, as tables have them."""
    box = [f"{value:.1f}" for value in seen.faces.boxes[index]]
    return [seen.numbers[index], *box, f"{seen.faces.scores[index]:.4f}"]


def verdict_cells(verdict: Verdict) -> list[object]:
    """Similarity and probability, as tables have them."""
    probability = "" if verdict.probability is None else f"{verdict.probability:.4f}"
    return [f"{verdict.similarity:.4f}", probability]


def caption(name: str, verdict: Verdict | None = None) -> list[str]:
    """What may be written beside a face, to choose from by the room there is.

    Args:
        name: Of the person, or the answer.
        verdict: Whose probability, or similarity without one, is added.
    """
    # Names of folders may hold bytes that are no text, and lines that break.
    name = " ".join(name_in_utf8(name).split())
    short = [name, f"{name[:_SHORT]}..."]
    if verdict is None:
        return short
    if verdict.probability is None:
        return [f"{name} {verdict.similarity:.2f}", *short]
    return [f"{name} {verdict.probability:.0%}", *short]


def draw_verdicts(
    seen: PhotoFaces,
    verdicts: Sequence[Verdict],
    *,
    captions: Sequence[Sequence[str]] | None = None,
    reference: Pixels | None = None,
) -> Pixels:
    """A drawn copy of a photo, with what was said of each face.

    Args:
        seen: The photo.
        verdicts: Of each face.
        captions: What is drawn in place of the answer; see `caption`.
        reference: The face that all were compared with, to be laid into a corner.

    Returns:
        uint8 (H, W, 3), BGR.
    """
    if captions is None:
        captions = [caption(verdict.answer, verdict) for verdict in verdicts]
    colours = [ANSWERS.index(verdict.answer) for verdict in verdicts]
    drawn = draw_faces(seen.image, seen.faces, captions=captions, colours=colours)
    if reference is not None:
        _lay_in(drawn, reference, seen.faces.boxes)
    return drawn


def _lay_in(drawn: Pixels, face: Pixels, boxes: NDArray[np.float32]) -> None:
    """Put a small picture into the corner that hides least of the faces: top left if none does."""
    height, width = drawn.shape[:2]
    side = round(_SHARE * min(height, width))
    if side < 8:
        return
    corners = [(x, y) for y in (0, height - side) for x in (0, width - side)]
    hidden = [
        (
            (np.minimum(boxes[:, 2], x + side) - np.maximum(boxes[:, 0], x)).clip(0)
            * (np.minimum(boxes[:, 3], y + side) - np.maximum(boxes[:, 1], y)).clip(0)
        ).sum()
        for x, y in corners
    ]
    x, y = corners[int(np.argmin(hidden))]
    line = max(1, side // 40)
    framed = np.zeros((side, side, 3), np.uint8)
    inner = side - 2 * line
    framed[line:-line, line:-line] = cv2.resize(face, (inner, inner), interpolation=cv2.INTER_AREA)
    drawn[y : y + side, x : x + side] = framed
