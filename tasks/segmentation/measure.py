"""Measure a segmenter on heads with masks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from ...data.mask_pairs import MaskPair, read_list
from ...errors import ImageError, UserError
from ...evaluation.figures import Figure, Figures
from ...evaluation.masks import BOUNDARY_PIXELS, BOUNDARY_SIDE, MaskFigures
from ...files import sha256_file
from ...model_templates.contract import Contract
from ..measuring import (
    Evaluation,
    Labels,
    Measured,
    Options,
    Progress,
    check_lost,
    files_of,
    flags_given,
    protocol_of,
)
from ..timing import Item
from .heads import read_head, read_truth
from .model import FaceSegmenter
from .rules import segmentation_rules
from .samples import read
from .truths import Truths

_log = logging.getLogger(__name__)

FIGURES = (
    Figure(
        "iou",
        "IoU",
        column="IoU",
        chart="IoU, %",
        budget="min-iou",
        decisive=True,
        may_drop=1.0,
        compared=True,
        followed=True,
    ),
    Figure("dice", "Dice", column="Dice", compared=True, followed=True),
    Figure(
        "boundary_f",
        f"F1 of borders ({BOUNDARY_PIXELS:g} px of {BOUNDARY_SIDE})",
        column="boundary F",
        compared=True,
        followed=True,
    ),
    Figure("soft_dice", "Dice of the probabilities"),
    Figure("mean_iou", "IoU, mean over photos"),
    Figure("worst_tenth", "IoU that nine of ten photos exceed"),
    Figure("loss", "Cross-entropy", unit="nat", followed=True),
    Figure("images", "Photos measured", unit="photos"),
    Figure("unreadable", "Photos or masks that cannot be read", unit="photos"),
)

official_photos = None


def measure(
    model: FaceSegmenter,
    samples: Sequence[MaskPair],
    *,
    on_progress: Progress | None = None,
) -> Measured:
    """See `tasks.parts.Measure`."""
    whole, _ = _figures_of(model, samples, on_progress=on_progress)
    return Measured(whole.figures())


def _figures_of(
    model: FaceSegmenter,
    samples: Sequence[MaskPair],
    *,
    on_progress: Progress | None = None,
    truths: Truths | None = None,
) -> tuple[MaskFigures, dict[str, MaskFigures]]:
    """The figures of all samples, and of those with each tag.

    In a photo that cannot be read nothing is found. One whose mask cannot be read is left out.
    What the masks show is counted in `truths`.

    Raises:
        DataError: More than half of the photos cannot be read.
    """
    spec, count = model.contract.input, len(model.rules.classes)
    whole, tagged = MaskFigures(count), dict[str, MaskFigures]()
    lost: list[str] = []
    for index, sample in enumerate(samples):
        tags = dict.fromkeys(sample.tags)
        parts = [whole, *(tagged.setdefault(tag, MaskFigures(count)) for tag in tags)]
        try:
            head, truth = read_head(sample, spec)
        except ImageError as error:
            wanted = read_truth(sample, spec)
            _log.warning("%s: %s", "left out" if wanted is None else "counted as wrong", error)
            lost.append(str(error))
            for part in parts:
                part.add_lost(wanted)
        else:
            (shares,) = model.segment([head])
            found = model.classes_of(shares)
            for part in parts:
                part.add(shares, found, truth)
            if truths is not None:
                truths.add(sample, truth)
        if on_progress is not None:
            on_progress(index + 1, len(samples))
    check_lost(lost, total=len(samples))
    return whole, tagged


def promised(figures: Figures) -> Figures:
    """See `tasks.parts.Measure`."""
    return figures


def protocol(_: Contract) -> str:
    """See `tasks.parts.Measure`."""
    return "pixels of all heads together"


def evaluate(
    model: FaceSegmenter,
    labels: Labels,
    options: Options,
    *,
    on_progress: Progress | None = None,
) -> Evaluation:
    """See `tasks.parts.Measure`; `further` are IoU of each class, and figures of each tag."""
    contract = model.contract
    if given := flags_given(labels, options):
        raise UserError(f"{given[0]}: not for {model.path}, which is for {contract.task}")
    samples = read(labels, rules=contract.rules)
    classes = model.rules.classes
    truths = Truths(classes)
    whole, tagged = _figures_of(model, samples, on_progress=on_progress, truths=truths)
    truths.report()
    said: dict[str, Any] = {
        "input": f"heads brought to {contract.input.width}x{contract.input.height}",
        "pixels": "of all photos together",
        "threshold": model.rules.threshold,
        **protocol_of(model, labels, options),
    }
    further: dict[Figure, float | None] = {}
    if len(classes) > 1:
        for name, value in zip(classes, whole.by_class(), strict=True):
            further[Figure(f"iou_of_{name}", f"IoU of {name}")] = value
    for tag, part in sorted(tagged.items()):
        figures = part.figures()
        for figure in FIGURES:
            if figure.compared or figure.key == "images":
                own = Figure(f"{figure.key}_on_{tag}", f"{figure.title}: {tag}", figure.unit)
                further[own] = figures[figure.key]
    return Evaluation(whole.figures(), said, files_of(model, labels.files), further)


def labels_fit(labels: Labels, contract: Contract | None) -> Labels:
    """See `tasks.parts.Measure`."""
    if contract is None:
        return labels
    return labels.fitting(segmentation_rules(contract).classes, name=contract.name)


def measured_on(labels: Labels, _: Sequence[Item], *, timed: int) -> str:
    """See `tasks.parts.Measure`."""
    named = ", ".join(f"{file.name} {sha256_file(file)[:12]}" for file in labels.files)
    count = sum(len(read_list(file).pairs) for file in labels.files)
    return f"{count} heads ({named}); timed on {timed}, one head in each photo"
