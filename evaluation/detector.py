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
from ..results import Detections
from .coco import average_precision
from .wider import IMAGE_FOLDER, read_ground_truth, wider_ap

_log = logging.getLogger(__name__)

Predictor = Callable[[NDArray[np.uint8]], Detections]
"""From a (H, W, 3) BGR uint8 photo to the faces in its pixels."""

Progress = Callable[[int, int], None]
"""Called after each photo with the number done and the number of all."""


def evaluate_detector(
    predict: Predictor,
    photos: Sequence[Photo],
    *,
    on_progress: Progress | None = None,
) -> tuple[list[Detections], dict[str, float | None]]:
    """Measure a detector by COCO's figures.

    A photo that cannot be read is left out of every figure, with a warning that names it.

    Args:
        predict: The detector, at a low score floor: the figures need the whole curve.
        photos: What to measure on.
        on_progress: Told after each photo.

    Returns:
        The faces found in each photo, in the pixels of its annotation (none for a photo left
        out), and the figures: those of `average_precision`, `images` (photos measured) and
        `images_skipped` (photos left out).

    Raises:
        DataError: There are no photos, or none of them can be read.
        MissingPackageError: faster-coco-eval is not installed.
    """
    detections: list[Detections] = []
    readable: list[int] = []
    for i, image in enumerate(decoded([photo.path for photo in photos])):
        try:
            pixels = image.result()
        except ImageError as error:
            _log.warning("left out: %s", error)
            detections.append(Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32)))
        else:
            readable.append(i)
            detections.append(to_annotation(predict(pixels), pixels.shape, photos[i]))
        if on_progress is not None:
            on_progress(i + 1, len(photos))
    if photos and not readable:
        raise DataError(f"none of the {len(photos)} photos can be read, {photos[0].path} first")
    figures = average_precision([photos[i] for i in readable], [detections[i] for i in readable])
    skipped = len(photos) - len(readable)
    return detections, figures | {"images": len(readable), "images_skipped": skipped}


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


def to_annotation(found: Detections, shape: tuple[int, ...], photo: Photo) -> Detections:
    """Faces in a file of this shape, in the annotation's pixels: the two may differ (`Photo`)."""
    height, width = shape[:2]
    if (width, height) == (photo.width, photo.height):
        return found
    ratio = np.array([photo.width / width, photo.height / height], np.float32)
    landmarks = None if found.landmarks is None else found.landmarks * ratio
    return replace(found, boxes=found.boxes * np.tile(ratio, 2), landmarks=landmarks)
