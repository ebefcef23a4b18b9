"""Test on labelled heads whether a segmenter's pictures and masks are the right way round."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.mask_pairs import SUFFIX
from ..errors import DataError, ImageError, UserError
from ..tasks.load import load_as
from ..tasks.measuring import Labels, Progress, check_lost
from ..tasks.segmentation.heads import read_head
from ..tasks.segmentation.model import FaceSegmenter
from ..tasks.segmentation.samples import read
from .verdict import FEW, gain_bounds, interval, some_of, verdict_of

_log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]

MARGIN = 0.003
"""Gain in IoU, 0 to 1, above which another way is reported if it is significant."""

_STEPS = (1, 2, 4)
"""How far masks are moved, in pixels of an input of `_SIDE`."""
_SIDE = 256

_DRAWS = 2000


class Way(NamedTuple):
    """A fault that a file or its caller may have, undone.

    Attributes:
        name: What is done.
        picture: What is done to a head, uint8 (H, W, 3).
        mask: What is done to the mask found in it, uint8 (H, W).
    """

    name: str
    picture: Callable[[Pixels], Pixels]
    mask: Callable[[Pixels], Pixels]


@dataclass(frozen=True)
class MaskTrial:
    """The result of one way.

    Attributes:
        name: What was done.
        iou: IoU of the classes' pixels of all heads together, 0 to 1; the background is none.
        low: Lower end of its 95 % bootstrap interval.
        high: Upper end of that interval.
    """

    name: str
    iou: float
    low: float
    high: float


@dataclass(frozen=True)
class MaskDiagnosis:
    """What labelled heads say about a segmenter.

    Attributes:
        path: The segmenter's file.
        heads: Number of heads used.
        trials: The results, best first.
        verdict: "as declared", "mismatch", "undecided" (another way is better, but not surely) or
            "useless".
        gain: IoU of the best trial minus that of the file as it is, with its lower and upper
            bounds (corrected for the number of alternatives).
    """

    path: Path
    heads: int
    trials: tuple[MaskTrial, ...]
    verdict: str
    gain: tuple[float, float, float]

    @property
    def too_few(self) -> bool:
        """Whether there are too few heads for another verdict than "undecided"."""
        return self.heads < FEW


AS_IT_IS = "as it is"


def ways(side: int) -> list[Way]:
    """All ways that are tried, `AS_IT_IS` first.

    Args:
        side: Width of the input, in pixels.
    """
    found = [
        Way(AS_IT_IS, _same, _same),
        Way("red and blue swapped", lambda head: head[..., ::-1], _same),
        Way("mask mirrored", _same, lambda mask: mask[:, ::-1]),
        Way("mask upside down", _same, lambda mask: mask[::-1]),
        Way("head mirrored", lambda head: head[:, ::-1], _same),
    ]
    for step in dict.fromkeys(max(1, round(step * side / _SIDE)) for step in _STEPS):
        for name, rows, columns in (
            ("left", 0, -step),
            ("right", 0, step),
            ("up", -step, 0),
            ("down", step, 0),
        ):
            found.append(Way(f"mask {step} px {name}", _same, _move(rows, columns)))
    return found


def diagnose_masks(
    path: Path,
    *,
    labels: Labels,
    limit: int = 50,
    runtime: str | None = None,
    threads: int | None = None,
    on_progress: Progress | None = None,
) -> MaskDiagnosis:
    """Try a segmenter on labelled heads as it is, and with each usual fault undone.

    Args:
        path: A segmenter's file.
        labels: Lists of photos and masks, and the folders of their photos.
        limit: Number of heads to use, spread evenly over all.
        runtime: Runtime, as `tasks.load` takes it; None for the file's default.
        threads: Threads for one inference; None for one per core.
        on_progress: Called with the number of heads done and the total.

    Raises:
        ModelFileError: The file cannot be opened, or is no segmenter.
        UserError: The labels are of another kind.
        DataError: More than half of the heads cannot be read, or none has a labelled pixel.
    """
    model = load_as(FaceSegmenter, path, runtime=runtime, threads=threads)
    for file in labels.files:
        if not file.name.endswith(SUFFIX):
            raise UserError(f"{file}: for a segmenter: expected lists named …{SUFFIX}")
    samples = some_of(read(labels, rules=model.contract.rules), limit)
    tried = ways(model.contract.input.width)
    counts: list[list[tuple[int, int]]] = []
    lost: list[str] = []
    for done, sample in enumerate(samples, start=1):
        try:
            head, truth = read_head(sample, model.contract.input)
        except ImageError as error:
            _log.warning("left out: %s", error)
            lost.append(str(error))
        else:
            counts.append(list(_counts(model, tried, head, truth)))
        if on_progress is not None:
            on_progress(done, len(samples))
    check_lost(lost, total=len(samples))
    return _diagnosis(path, tried, np.array(counts, np.float64))


def _counts(
    model: FaceSegmenter, tried: list[Way], head: Pixels, truth: Pixels
) -> Iterator[tuple[int, int]]:
    """For each way the pixels that mask and truth have in common, and those that either has."""
    known: dict[Callable[[Pixels], Pixels], Pixels] = {}
    for way in tried:
        if way.picture not in known:
            (shares,) = model.segment([way.picture(head)])
            known[way.picture] = model.classes_of(shares)
        found = way.mask(known[way.picture])
        same = (found == truth) & (truth > 0)
        yield int(same.sum()), int((found > 0).sum() + (truth > 0).sum() - same.sum())


def _diagnosis(path: Path, tried: list[Way], counts: NDArray[np.float64]) -> MaskDiagnosis:
    """Judge what `_counts` gives of each head, (heads, ways, 2)."""
    common, either = counts[..., 0], counts[..., 1]
    if not either.sum():
        raise DataError(f"{path}: neither it nor the labels have a pixel in these photos")
    count = len(common)
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), _DRAWS)
    whole = common.sum(0) / either.sum(0)
    draws = (drawn @ common) / np.maximum(drawn @ either, 1)
    order = np.argsort(-whole, kind="stable")
    trials = tuple(
        MaskTrial(tried[way].name, float(whole[way]), *interval(draws[:, way])) for way in order
    )
    best = order[0]
    bounds = gain_bounds(draws[:, best], draws[:, 0], alternatives=len(tried) - 1)
    gain = (float(whole[best] - whole[0]), *bounds)
    verdict = verdict_of(trials[0].iou, gain, margin=MARGIN, samples=count)
    return MaskDiagnosis(path, count, trials, verdict, gain)


def _same(picture: Pixels) -> Pixels:
    return picture


def _move(rows: int, columns: int) -> Callable[[Pixels], Pixels]:
    """Moves a mask down and to the right; its edges are repeated."""

    def move(mask: Pixels) -> Pixels:
        height, width = mask.shape
        up = (np.arange(height) - rows).clip(0, height - 1)
        left = (np.arange(width) - columns).clip(0, width - 1)
        return np.asarray(mask[np.ix_(up, left)])

    return move
