"""What a training reads, cuts and learns, by the template's problem."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.coco import Photo, read_coco
from ..data.images import image_size
from ..data.labelled_faces import LabelledFace, read_labelled_faces
from ..errors import DataError, ImageError
from ..model_templates.contract import Task
from ..model_templates.schema import Template
from ..models.describe import contract_for
from .dataset import PhotoCrops, collate
from .face_crops import FaceCrops, collate_faces
from .module import ClassificationModule, DetectionModule, TemplateModule

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingTask:
    """The parts of a training that differ from task to task.

    Attributes:
        read: Annotation files, folders of their photos, and classes, to what is annotated: each
            with `path` and `image_id`.
        check: Refuses data that nothing can be learnt from and no figure can come of; with the
            flag that named them.
        crops: The training samples; `passes` over them in the whole training.
        collate: Makes a batch of them.
        module: What learns.
    """

    read: Callable[[Sequence[Path], Sequence[Path], Sequence[str]], Sequence[Any]]
    check: Callable[[Sequence[Any], str], None]
    crops: Callable[[Template, Sequence[Any], int, int], PhotoCrops | FaceCrops]
    collate: Callable[[Any], Any]
    module: type[TemplateModule]


def _read_photos(
    files: Sequence[Path], roots: Sequence[Path], classes: Sequence[str]
) -> Sequence[Photo]:
    return read_coco(files, roots, classes=classes).photos


def _check_faces(photos: Sequence[Photo], flag: str) -> None:
    """One face to be found, in a photo that can be used.

    Raises:
        DataError: There is none.
    """
    problem = f"none of the {len(photos)} photos has a face to be found"
    for photo in photos:
        if not photo.ignore.all():
            try:
                width, height = image_size(photo.path)
                photo.scale_to(height, width)
            except ImageError as error:
                problem = f"none of the {len(photos)} photos can be used: {error}"
            else:
                return
    raise DataError(f"{flag}: {problem}")


def _check_labels(faces: Sequence[LabelledFace], flag: str) -> None:
    """Faces of more than one label, with landmarks: without them a face cannot be aligned.

    Raises:
        DataError: All have the same one.
    """
    found = [face for face in faces if face.found]
    if len(found) < len(faces):
        _log.warning(
            "%s: %d of %d rows have no landmarks", flag, len(faces) - len(found), len(faces)
        )
    if len({face.label for face in found}) < 2:
        raise DataError(f"{flag}: its {len(found)} faces with landmarks all have the same label")


def _photo_crops(
    template: Template,
    photos: Sequence[Photo],
    seed: int,
    passes: int,  # noqa: ARG001
) -> PhotoCrops:
    head, recipe = template.architecture.head, template.hyper_parameters
    if (
        head.type == "dense"
        and head.landmarks
        and recipe.distillation is None
        and not any(np.isfinite(photo.landmarks).any() for photo in photos)
    ):
        _log.warning("no training face has landmarks: the network does not learn to find them")
    spec = recipe.augmentation
    return PhotoCrops(
        photos,
        spec=spec,
        height=spec.size or template.input.height,
        width=spec.size or template.input.width,
        seed=seed,
    )


def _read_faces(
    files: Sequence[Path], roots: Sequence[Path], classes: Sequence[str]
) -> Sequence[LabelledFace]:
    return read_labelled_faces(files, roots, classes=classes)


def _face_crops(
    template: Template, faces: Sequence[LabelledFace], seed: int, passes: int
) -> FaceCrops:
    return FaceCrops(
        faces,
        spec=template.hyper_parameters.augmentation,
        target=contract_for(template).input,
        seed=seed,
        passes=passes,
    )


TASKS: dict[Task, TrainingTask] = {
    "face-detection": TrainingTask(
        _read_photos, _check_faces, _photo_crops, collate, DetectionModule
    ),
    "glasses-classification": TrainingTask(
        _read_faces, _check_labels, _face_crops, collate_faces, ClassificationModule
    ),
}
