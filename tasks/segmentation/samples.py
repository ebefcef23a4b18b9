"""A segmenter's samples: photos of heads with masks, and their network inputs."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.align import planes
from ...data.mask_pairs import SUFFIX, MaskPair, read_list, read_mask_pairs
from ...data.pairs import paired
from ...model_templates.contract import Contract
from ..measuring import Labels
from ..timing import Item
from .heads import read_head

ANNOTATIONS = f"{SUFFIX} (list of photos and masks, by `pocketface data`)"


def reads(file: Path) -> bool:
    """See `tasks.parts.Samples`."""
    return file.name.endswith(SUFFIX)


def read(labels: Labels, *, rules: Mapping[str, Any]) -> Sequence[MaskPair]:
    """See `tasks.parts.Samples`."""
    return read_mask_pairs(
        labels.files, labels.roots, classes=rules["classes"], names=labels.classes
    )


def check(samples: Sequence[MaskPair], *, flag: str) -> None:
    """See `tasks.parts.Samples`; any pair is useful."""


def counted(samples: Sequence[MaskPair]) -> Sequence[MaskPair]:
    """See `tasks.parts.Samples`; a photo that cannot be read counts as wrong."""
    return samples


def can_be_lost(_: MaskPair) -> bool:
    """See `tasks.parts.Samples`."""
    return True


def stratum(_: Contract, sample: MaskPair) -> Hashable | None:
    """See `tasks.parts.Samples`; the tags, so that rare kinds are among the chosen."""
    return sample.tags


def network_input(contract: Contract, sample: MaskPair) -> NDArray[np.float32]:
    """See `tasks.parts.Samples`."""
    return planes([read_head(sample, contract.input)[0]])


def items(labels: Labels) -> list[Item]:
    """See `tasks.parts.Samples`; each photo has one head, whose landmarks may be known."""
    found = []
    for file, root in paired(labels.files, labels.roots):
        for pair in read_list(file).pairs:
            points = None if pair.landmarks is None else np.array(pair.landmarks, np.float32)
            found.append(Item(root / pair.image, points))
    return found
