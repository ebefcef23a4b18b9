"""A detector's samples: annotated photos, and their network inputs."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...data import identities as people
from ...data import mask_pairs as masks
from ...data.coco import FaceDataset, Photo, read_coco
from ...data.images import image_size, read_image
from ...data.preprocess import prepare
from ...data.read_ahead import decoded
from ...errors import DataError, ImageError
from ...model_templates.contract import Contract
from ..measuring import Labels, Progress, check_lost
from ..timing import Item

_log = logging.getLogger(__name__)

ANNOTATIONS = ".json (COCO JSON)"

_CLASSES = ("face",)
"""Names of face categories for peers, whose files state none."""


def reads(file: Path) -> bool:
    """See `tasks.parts.Samples`."""
    return file.suffix == ".json" and not file.name.endswith((masks.SUFFIX, people.SUFFIX))


def classes_in(rules: Mapping[str, Any] | None) -> Sequence[str]:
    """Names of the categories that are faces; `rules` is None for a peer."""
    return _CLASSES if rules is None else rules["labels"]


def read(labels: Labels, *, rules: Mapping[str, Any]) -> Sequence[Photo]:
    """See `tasks.parts.Samples`."""
    return read_set(labels, rules=rules).photos


def read_set(labels: Labels, *, rules: Mapping[str, Any] | None) -> FaceDataset:
    """Read the photos and what was left out of them; `rules` is None for a peer."""
    return read_coco(labels.files, labels.roots, classes=classes_in(rules), names=labels.classes)


def check(samples: Sequence[Photo], *, flag: str) -> None:
    """See `tasks.parts.Samples`; needs a face to find in a usable photo."""
    problem = f"none of the {len(samples)} photos has a face to be found"
    for photo in samples:
        if can_be_lost(photo):
            try:
                width, height = image_size(photo.path)
                photo.scale_to(height, width)
            except ImageError as error:
                problem = f"none of the {len(samples)} photos can be used: {error}"
            else:
                return
    raise DataError(f"{flag}: {problem}")


def counted(samples: Sequence[Photo]) -> list[Photo]:
    """See `tasks.parts.Samples`; figures leave out photos that cannot be read."""
    return [photo for photo, _, _ in readable(samples)]


def can_be_lost(sample: Photo) -> bool:
    """See `tasks.parts.Samples`."""
    return not bool(sample.ignore.all())


def stratum(contract: Contract, sample: Photo) -> Hashable | None:
    """See `tasks.parts.Samples`; the largest face's side in the input, by powers of two."""
    boxes = sample.boxes[~sample.ignore]
    if not len(boxes):
        return None
    spec = contract.input
    scale = min(spec.width / sample.width, spec.height / sample.height)
    side = float((boxes[:, 2:] - boxes[:, :2]).max()) * scale
    return int(np.clip(np.log2(max(side, 1.0)), 3, 8))


def network_input(contract: Contract, sample: Photo) -> NDArray[np.float32]:
    """See `tasks.parts.Samples`."""
    return prepare(read_image(sample.path), contract.input)[0]


def items(labels: Labels) -> list[Item]:
    """See `tasks.parts.Samples`."""
    return [
        Item(photo.path) for photo in read_coco(labels.files, labels.roots, classes=None).photos
    ]


def readable(
    photos: Sequence[Photo], *, on_progress: Progress | None = None
) -> Iterator[tuple[Photo, NDArray[np.uint8], NDArray[np.float32]]]:
    """Yield photos, their pixels and the scale of their labels (`Photo.scale_to`).

    Unusable photos are left out with a warning.

    Raises:
        DataError: More than half of the photos are unusable; in the end, so that it can count them.
    """
    lost: list[str] = []
    images = decoded([photo.path for photo in photos])
    for done, (photo, image) in enumerate(zip(photos, images, strict=True), start=1):
        try:
            if isinstance(image, ImageError):
                raise image
            scale = photo.scale_to(*image.shape[:2])
        except ImageError as error:
            _log.warning("left out: %s", error)
            lost.append(str(error))
        else:
            yield photo, image, scale
        if on_progress is not None:
            on_progress(done, len(photos))
    check_lost(lost, total=len(photos))
