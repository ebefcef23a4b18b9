"""Run a detector over labelled photos and measure what it finds."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.coco import Photo
from ..data.images import read_image
from ..errors import DataError, ImageError
from ..model_templates.contract import Contract
from ..results import Detections
from .coco import average_precision
from .wider import IMAGE_FOLDER, read_ground_truth, wider_ap

_log = logging.getLogger(__name__)

Predictor = Callable[[NDArray[np.uint8]], Detections]
"""From a (H, W, 3) BGR uint8 photo to the faces in its pixels."""

SCORE_FLOOR = 0.02
"""Figures that need the whole curve are of all faces from this score on, as is usual for WIDER."""

Progress = Callable[[int, int], None]
"""Called after each photo with the number done and the number of all."""


def score_floor(contract: Contract) -> float:
    """From which score on AP of a file is measured: with NMS inside, it knows no faces below."""
    return contract.score_threshold if contract.nms == "graph" else SCORE_FLOOR


def evaluate_detector(
    predict: Predictor,
    photos: Sequence[Photo],
    *,
    on_progress: Progress | None = None,
) -> tuple[list[Photo], list[Detections], dict[str, float | None]]:
    """Measure a detector by COCO's figures.

    A photo that cannot be read, or has another shape than its labels say, is left out of every
    figure, with a warning that names it.

    Args:
        predict: The detector, at a low score floor: the figures need the whole curve.
        photos: What to measure on.
        on_progress: Told after each photo.

    Returns:
        The photos measured; the faces found in each, in the pixels of its annotation; and the
        figures: those of `average_precision`, `images` (photos measured) and `images_skipped`
        (photos left out).

    Raises:
        DataError: There are no photos, or none of them can be read.
        MissingPackageError: faster-coco-eval is not installed.
    """
    measured: list[Photo] = []
    detections: list[Detections] = []
    for photo, pixels, scale in readable(photos, on_progress=on_progress):
        measured.append(photo)
        detections.append(to_annotation(predict(pixels), scale))
    if photos and not measured:
        raise DataError(f"none of the {len(photos)} photos can be read, {photos[0].path} first")
    figures = average_precision(measured, detections)
    figures |= {"images": len(measured), "images_skipped": len(photos) - len(measured)}
    return measured, detections, figures


def evaluate_wider(
    predict: Predictor, folder: Path, *, on_progress: Progress | None = None
) -> tuple[dict[str, Detections], dict[str, float | None]]:
    """Measure a detector by the official WIDER FACE protocol.

    Args:
        predict: The detector, at a low score floor (0.02 is usual).
        folder: WIDER's folder, with `WIDER_val/images` beside what `read_ground_truth` needs.
        on_progress: Told after each photo.

    Returns:
        The faces found, by `event/name` without suffix, and the figures: `wider_easy`,
        `wider_medium`, `wider_hard` (fractions of 1; None where no face counts) and `images`.

    Raises:
        DataError: The ground truth cannot be used, or a listed photo cannot be read: a figure
            needs the whole set.
        MissingPackageError: scipy is not installed.
    """
    ground_truth = read_ground_truth(folder)
    keys = list(ground_truth.files)
    paths = [Path(folder) / IMAGE_FOLDER / ground_truth.files[key] for key in keys]
    detections: dict[str, Detections] = {}
    for key, image in zip(keys, decoded(paths), strict=True):
        detections[key] = predict(image.result())
        if on_progress is not None:
            on_progress(len(detections), len(keys))
    figures: dict[str, float | None] = {
        f"wider_{setting}": value for setting, value in wider_ap(ground_truth, detections).items()
    }
    return detections, figures | {"images": len(keys)}


def decoded(paths: Sequence[Path]) -> Iterator[Future[NDArray[np.uint8]]]:
    """Photos as `read_image` gives them, or fails to; one ahead, in a thread of its own."""
    if not paths:
        return
    with ThreadPoolExecutor(max_workers=1) as pool:
        ahead = pool.submit(read_image, paths[0])
        for path in paths[1:]:
            current, ahead = ahead, pool.submit(read_image, path)
            yield current
        yield ahead


def readable(
    photos: Sequence[Photo], *, on_progress: Progress | None = None
) -> Iterator[tuple[Photo, NDArray[np.uint8], NDArray[np.float32]]]:
    """Photos, their pixels and the scale of their labels (`Photo.scale_to`).

    One that cannot be used is named in a warning, and left out.
    """
    images = decoded([photo.path for photo in photos])
    for done, (photo, image) in enumerate(zip(photos, images, strict=True), start=1):
        try:
            pixels = image.result()
            scale = photo.scale_to(*pixels.shape[:2])
        except ImageError as error:
            _log.warning("left out: %s", error)
        else:
            yield photo, pixels, scale
        if on_progress is not None:
            on_progress(done, len(photos))


def to_annotation(found: Detections, scale: NDArray[np.float32]) -> Detections:
    """Faces of a decoded photo in the pixels of its annotation; see `Photo.scale_to`."""
    ratio = np.reciprocal(scale)
    landmarks = None if found.landmarks is None else found.landmarks * ratio
    return replace(found, boxes=found.boxes * np.tile(ratio, 2), landmarks=landmarks)
