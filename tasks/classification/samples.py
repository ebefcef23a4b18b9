"""A classifier's samples: labelled faces, and their network inputs."""

from __future__ import annotations

import logging
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

_log = logging.getLogger(__name__)

ANNOTATIONS = ".csv (CSV by `pocketface data glasses`)"


def reads(file: Path) -> bool:
    """See `tasks.parts.Samples`."""
    return file.suffix == ".csv"


def read(labels: Labels, *, rules: Mapping[str, Any]) -> Sequence[LabelledFace]:
    """See `tasks.parts.Samples`."""
    return read_labelled_faces(
        labels.files, labels.roots, classes=rules["labels"], names=labels.classes
    )


def check(samples: Sequence[LabelledFace], *, flag: str) -> None:
    """See `tasks.parts.Samples`; needs more than one label, and landmarks to align faces."""
    found = [face for face in samples if face.found]
    if len(found) < len(samples):
        _log.warning(
            "%s: %d of %d rows have no landmarks", flag, len(samples) - len(found), len(samples)
        )
    if len({face.label for face in found}) < 2:
        raise DataError(f"{flag}: its {len(found)} faces with landmarks all have the same label")


def counted(samples: Sequence[LabelledFace]) -> Sequence[LabelledFace]:
    """See `tasks.parts.Samples`; a photo that cannot be read counts as wrong."""
    return samples


def can_be_lost(_: LabelledFace) -> bool:
    """See `tasks.parts.Samples`."""
    return True


def stratum(_: Contract, sample: LabelledFace) -> Hashable | None:
    """See `tasks.parts.Samples`; the label."""
    return sample.label if sample.found else None


def network_input(contract: Contract, sample: LabelledFace) -> NDArray[np.float32]:
    """See `tasks.parts.Samples`."""
    return planes([align_face(read_image(sample.path), sample.landmarks, contract.input)])


def items(labels: Labels) -> list[Item]:
    """See `tasks.parts.Samples`; each photo has one face with known landmarks."""
    faces = read_labelled_faces(labels.files, labels.roots, classes=None)
    with_face = [Item(one.path, one.landmarks) for one in faces if one.found]
    if not with_face:
        named = ", ".join(map(str, labels.files))
        raise DataError(f"{named}: no photo with a face that was found")
    return with_face
