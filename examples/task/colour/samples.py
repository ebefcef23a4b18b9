"""Faces to samples: the true colour of a face is counted, so that no label is needed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data.align import align_face, planes
from ...data.images import read_image
from ...data.labelled_faces import LabelledFace, read_labelled_faces
from ...errors import DataError
from ...model_templates.contract import Contract
from ..measuring import Labels
from ..timing import Item

ANNOTATIONS = ".colour.csv (CSV by `pocketface data glasses`)"


def reads(file: Path) -> bool:
    """See `tasks.parts.Samples`."""
    return file.name.endswith(".colour.csv")


def read(
    labels: Labels,
    *,
    rules: Mapping[str, Any],  # noqa: ARG001
) -> Sequence[LabelledFace]:
    """See `tasks.parts.Samples`."""
    return read_labelled_faces(labels.files, labels.roots, classes=None)


def check(samples: Sequence[LabelledFace], *, flag: str) -> None:
    """See `tasks.parts.Samples`."""
    if not counted(samples):
        raise DataError(f"{flag}: none of its {len(samples)} photos has landmarks")


def counted(samples: Sequence[LabelledFace]) -> Sequence[LabelledFace]:
    """See `tasks.parts.Samples`."""
    return [one for one in samples if one.found]


def can_be_lost(sample: LabelledFace) -> bool:
    """See `tasks.parts.Samples`."""
    return sample.found


def stratum(_: Contract, sample: LabelledFace) -> Hashable | None:
    """See `tasks.parts.Samples`: all faces are of one kind."""
    return "face" if sample.found else None


def network_input(contract: Contract, sample: LabelledFace) -> NDArray[np.float32]:
    """See `tasks.parts.Samples`."""
    return planes([align_face(read_image(sample.path), sample.landmarks, contract.input)])


def items(labels: Labels) -> list[Item]:
    """See `tasks.parts.Samples`."""
    faces = counted(read_labelled_faces(labels.files, labels.roots, classes=None))
    return [Item(one.path, one.landmarks) for one in faces]


def truth(face: NDArray[np.uint8]) -> NDArray[np.float32]:
    """An aligned face, uint8 (H, W, 3) BGR, to float32 (3,): its shares of blue, green and red."""
    sums = face.sum((0, 1), dtype=np.float64) + 1  # black has no colour: a third of each
    shares: NDArray[np.float32] = (sums / sums.sum()).astype(np.float32)
    return shares
