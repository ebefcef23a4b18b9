"""What a training reads, cuts and learns, by the template's problem."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.coco import Photo, read_coco
from ..data.labelled_faces import LabelledFace, read_labelled_faces
from ..model_templates.contract import Task
from ..model_templates.schema import Template
from ..models.describe import contract_for
from .dataset import PhotoCrops, collate
from .face_crops import FaceCrops, collate_faces
from .module import ClassificationModule, DetectionModule, TemplateModule


@dataclass(frozen=True)
class TrainingTask:
    """The parts of a training that differ from task to task.

    Attributes:
        read: Annotation files, folders of their photos, and classes, to what is annotated: each
            with `path` and `image_id`.
        crops: The training samples; `passes` over them in the whole training.
        collate: Makes a batch of them.
        module: What learns.
    """

    read: Callable[[Sequence[Path], Sequence[Path], Sequence[str]], Sequence[Any]]
    crops: Callable[[Template, Sequence[Any], int, int], PhotoCrops | FaceCrops]
    collate: Callable[[Any], Any]
    module: type[TemplateModule]


def _read_photos(
    files: Sequence[Path], roots: Sequence[Path], classes: Sequence[str]
) -> Sequence[Photo]:
    return read_coco(files, roots, classes=classes).photos


def _photo_crops(
    template: Template,
    photos: Sequence[Photo],
    seed: int,
    passes: int,  # noqa: ARG001
) -> PhotoCrops:
    spec = template.hyper_parameters.augmentation
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
    "face-detection": TrainingTask(_read_photos, _photo_crops, collate, DetectionModule),
    "glasses-classification": TrainingTask(
        _read_faces, _face_crops, collate_faces, ClassificationModule
    ),
}
