"""What a segmenter finds while it learns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...data.mask_pairs import MaskPair
from ...drawing import draw_masks
from ...errors import ImageError
from ...evaluation.contact_sheet import contact_sheet
from ...evaluation.masks import planes_of
from ...mask import Mask
from .heads import read_head
from .model import FaceSegmenter

_COLUMNS, _SIDE = 6, 192


def preview(model: FaceSegmenter, samples: Sequence[MaskPair]) -> NDArray[np.uint8]:
    """See `tasks.parts.Preview`: heads, their labelled masks, and what the network finds."""
    rules, pictures = model.rules, []
    for sample in samples:
        try:
            head, truth = read_head(sample, model.contract.input)
        except ImageError:  # measuring has warned of it
            continue
        labelled = planes_of(truth, len(rules.classes)).astype(np.float32)
        (found,) = model.segment([head])
        pictures.append(head)
        for shares in (labelled, found):
            size = (head.shape[0], head.shape[1])
            mask = Mask(shares, 0, 0, size, rules.classes, rules.threshold)
            pictures.append(draw_masks(head, [mask]))
    captions = ["photo", "labelled", "found"] * (len(pictures) // 3)
    return contact_sheet(pictures, captions, columns=_COLUMNS, side=_SIDE)
