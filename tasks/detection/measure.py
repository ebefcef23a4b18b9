"""Measure a detector: COCO's figures, WIDER FACE's, and accuracy at the score threshold."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...data.class_names import FLAG
from ...data.coco import Photo
from ...data.read_ahead import decoded
from ...errors import ImageError, UserError
from ...evaluation.coco import average_precision
from ...evaluation.figures import Figure, Figures
from ...evaluation.landmarks import landmark_errors, with_landmarks
from ...evaluation.operating_point import at_threshold, best_f1
from ...evaluation.wider import IMAGE_FOLDER, LIST_FILE, SETTINGS, read_ground_truth, wider_ap
from ...files import sha256_file
from ...model_templates.contract import Contract
from ...results import Detections
from ..measuring import Evaluation, Labels, Measured, Options, Progress, files_of, protocol_of
from ..timing import Item
from .model import FaceDetector
from .rules import MAX_DETECTIONS, detection_rules, is_final
from .samples import classes_in, read_set, readable

_log = logging.getLogger(__name__)

FIGURES = (
    Figure("wider_easy", "WIDER FACE AP, easy", column="easy", budget="min-ap-easy"),
    Figure(
        "wider_medium",
        "WIDER FACE AP, medium",
        column="medium",
        chart="WIDER medium AP, %",
        budget="min-ap-medium",
    ),
    Figure("wider_hard", "WIDER FACE AP, hard", column="hard", budget="min-ap-hard"),
    Figure("ap", "AP @ [IoU=0.50:0.95]", column="AP", followed=True),
    Figure(
        "ap50",
        "AP @ [IoU=0.50]",
        column="AP50",
        chart="AP50, %",
        budget="min-ap50",
        decisive=True,
        may_drop=1.0,
        compared=True,
        followed=True,
    ),
    Figure("ap75", "AP @ [IoU=0.75]"),
    Figure("ap_small", "AP for small faces (area < 32²)", column="AP small", compared=True),
    Figure(
        "ap_medium", "AP for medium faces (32² < area < 96²)", column="AP medium", compared=True
    ),
    Figure("ap_large", "AP for large faces (area > 96²)", column="AP large", compared=True),
    # int8 can lose large faces, whose boxes need the widest range, but AP50 hardly shows it, as
    # most faces are small. Large faces are fewer, so this figure may drop more.
    Figure("ap_over_64", "AP @ [IoU=0.50] for faces > 64x64", may_drop=2.0, compared=True),
    Figure("best_f1", "Best F1 of faces from 1/64 of the photo"),
    Figure("best_f1_threshold", "Score threshold of the best F1", unit=""),
    Figure("recall_10", "Faces of 10 to 20 of 640 pixels found at the threshold"),
    Figure("recall_20", "Faces of 20 to 40 pixels found"),
    Figure("recall_40", "Faces from 40 pixels found"),
    Figure("false_alarms", "False faces at the threshold", unit="per photo"),
    Figure("landmark_error", "Mean error of landmarks, of the face's side, of faces found"),
    Figure("landmark_faces", "Faces found with labelled landmarks", unit="faces"),
    Figure("images", "Photos measured", unit="photos"),
    Figure("wider_images", "Photos measured for WIDER FACE", unit="photos"),
    Figure("images_skipped", "Photos left out, unreadable or not there", unit="photos"),
)


SCORE_FLOOR = 0.02
"""Lowest score of faces for figures that need the whole curve, as is usual for WIDER."""

Predictor = Callable[[NDArray[np.uint8]], Detections]
"""Function from a photo, uint8 (H, W, 3) BGR, to the faces in its pixels."""


class Detects(Protocol):
    """A `FaceDetector`, or a third-party model with the same interface."""

    def predict(
        self, image: Any, *, score_threshold: float, nms_iou: float | None = None
    ) -> Detections:
        """See `FaceDetector.predict`."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a detector found in labelled photos.

    Attributes:
        photos: The photos that could be read.
        detections: The faces found in each photo, in the pixels of its annotation.
        figures: The figures of `average_precision`, `images` (photos measured) and
            `images_skipped` (photos left out).
    """

    photos: list[Photo]
    detections: list[Detections]
    figures: Figures


def score_floor(contract: Contract) -> float:
    """Lowest score for a file's AP: with NMS inside, it gives no faces below its threshold."""
    return detection_rules(contract).score_threshold if is_final(contract) else SCORE_FLOOR


def measure(
    model: Detects, samples: Sequence[Photo], *, on_progress: Progress | None = None
) -> Measured:
    """See `tasks.parts.Measure`."""
    found = find_in(predictor(model), samples, on_progress=on_progress)
    return Measured(found.figures)


def promised(figures: Figures) -> Figures:
    """See `tasks.parts.Measure`."""
    return figures


def protocol(contract: Contract) -> str:
    """See `tasks.parts.Measure`."""
    iou = detection_rules(contract).nms_iou
    return f"score floor {score_floor(contract):g}, NMS IoU {iou:g}"


def predictor(
    model: Detects,
    *,
    floor: float | None = None,
    nms_iou: float | None = None,
    max_detections: int | None = None,
) -> Predictor:
    """A function that runs a model at the low score for figures, or at `floor`.

    It gives at most `max_detections` faces, the best ones; None for the model's own number. Of our
    own models in one look, as all others have: figures are those of the network.
    """
    if floor is None:
        floor = score_floor(model.contract) if isinstance(model, FaceDetector) else SCORE_FLOOR
    predict = model.predict
    if isinstance(model, FaceDetector):
        most = MAX_DETECTIONS if max_detections is None else max_detections
        predict = partial(model.predict, second_look=False, max_detections=most)
    return lambda image: predict(image, score_threshold=floor, nms_iou=nms_iou)[:max_detections]


def find_in(
    predict: Predictor, photos: Sequence[Photo], *, on_progress: Progress | None = None
) -> Found:
    """Run a detector over labelled photos, and measure it by COCO's figures.

    A photo that cannot be read, or whose shape differs from its labels', is left out of every
    figure with a warning.

    Args:
        predict: The detector, at a low score, as figures need the whole curve.
        photos: The labelled photos to measure on.
        on_progress: Called after each photo.

    Raises:
        DataError: There are no photos, or more than half of them cannot be used.
        MissingPackageError: faster-coco-eval is not installed.
    """
    measured: list[Photo] = []
    detections: list[Detections] = []
    for photo, pixels, scale in readable(photos, on_progress=on_progress):
        measured.append(photo)
        detections.append(to_annotation(predict(pixels), scale))
    figures = average_precision(measured, detections)
    figures |= {"images": len(measured), "images_skipped": len(photos) - len(measured)}
    return Found(measured, detections, figures)


def evaluate_wider(
    predict: Predictor, folder: Path, *, on_progress: Progress | None = None
) -> tuple[dict[str, Detections], Figures]:
    """Measure a detector by the official WIDER FACE protocol.

    Args:
        predict: The detector, at a low score (0.02 is usual).
        folder: WIDER's folder, with `WIDER_val/images` and the files for `read_ground_truth`.
        on_progress: Called after each photo.

    Returns:
        The faces found, by `event/name` without suffix, and the figures `wider_easy`,
        `wider_medium`, `wider_hard` (0 to 1; None if no face counts) and `images`.

    Raises:
        DataError: The ground truth cannot be used, or a listed photo cannot be read (figures need
            the whole set).
        MissingPackageError: scipy is not installed.
    """
    ground_truth = read_ground_truth(folder)
    keys = list(ground_truth.files)
    paths = [Path(folder) / IMAGE_FOLDER / ground_truth.files[key] for key in keys]
    detections: dict[str, Detections] = {}
    for key, image in zip(keys, decoded(paths), strict=True):
        if isinstance(image, ImageError):
            raise image
        detections[key] = predict(image)
        if on_progress is not None:
            on_progress(len(detections), len(keys))
    figures: Figures = {
        f"wider_{setting}": value for setting, value in wider_ap(ground_truth, detections).items()
    }
    return detections, figures | {"images": len(keys)}


def evaluate(
    model: Detects, labels: Labels, options: Options, *, on_progress: Progress | None = None
) -> Evaluation:
    """See `tasks.parts.Measure`; a peer has neither protocol nor files."""
    if options.mistakes is not None:
        path = model.path if isinstance(model, FaceDetector) else "the model"
        raise UserError(f"--mistakes-to {options.mistakes}: {path} is no classifier")
    ours = model if isinstance(model, FaceDetector) else None
    floor = options.score_threshold
    if floor is None:
        floor = SCORE_FLOOR if ours is None else score_floor(ours.contract)
        if ours is not None and floor != SCORE_FLOOR:
            _log.warning(
                "%s has its NMS inside, and knows no faces below %g: its AP is less than that of "
                "the same network without, which begins at %g",
                ours.path, floor, SCORE_FLOOR,
            )  # fmt: skip
    most = options.max_detections
    predict = predictor(model, floor=floor, nms_iou=options.nms_iou, max_detections=most)
    if labels.files and labels.official is not None:
        predict = _once(predict)
    threshold = floor if ours is None else max(floor, ours.rules.score_threshold)
    figures: Figures = {}
    if labels.files:
        data = read_set(labels, rules=None if ours is None else ours.contract.rules)
        found = find_in(predict, data.photos, on_progress=on_progress)
        if all(photo.ignore.all() for photo in found.photos):
            named = ", ".join(map(str, labels.files))
            _log.warning("%s: no labelled face in %d photos to find", named, len(found.photos))
        figures |= found.figures
        figures["images_skipped"] = (figures["images_skipped"] or 0) + len(data.missing)
        if not options.quick:
            figures |= best_f1(found.photos, found.detections)
            figures |= at_threshold(found.photos, found.detections, threshold)
            figures |= _of_landmarks(found, threshold)
    if labels.official is not None:
        _, official = evaluate_wider(predict, labels.official, on_progress=on_progress)
        official["wider_images"] = official.pop("images")
        figures |= official
    if ours is None:
        return Evaluation(figures, {}, {})
    size = ours.contract.input
    said: dict[str, Any] = {
        "input": f"{size.resize} to {size.width}x{size.height}",
        "score_floor": floor,
        "max_detections": MAX_DETECTIONS if most is None else most,
        "nms_iou": ours.rules.nms_iou if options.nms_iou is None else options.nms_iou,
        "threshold": threshold,
        **protocol_of(ours, labels, options),
    }
    files = files_of(ours, labels.files)
    if labels.official is not None:
        said["wider_images"] = figures["wider_images"]
        truth = [labels.official / "ground_truth" / f"wider_{name}_val.mat" for name in SETTINGS]
        files |= {path.name: path for path in (labels.official / LIST_FILE, *truth)}
    return Evaluation(figures, said, files)


def _of_landmarks(found: Found, threshold: float) -> Figures:
    """The figures of landmarks; none where no face has labelled ones, or the detector none."""
    shown = [faces.above(threshold) for faces in found.detections]
    labelled = any(with_landmarks(photo).any() for photo in found.photos)
    if not labelled or all(faces.landmarks is None for faces in shown):
        return {}
    errors = landmark_errors(found.photos, shown)
    mean = float(errors.mean()) if len(errors) else None
    return {"landmark_error": mean, "landmark_faces": len(errors)}


def labels_fit(labels: Labels, contract: Contract | None) -> Labels:
    """See `tasks.parts.Measure`."""
    known = classes_in(None if contract is None else contract.rules)
    return labels.fitting(known, name="a peer" if contract is None else contract.name)


def measured_on(labels: Labels, items: Sequence[Item], *, timed: int) -> str:
    """See `tasks.parts.Measure`."""
    files = [*labels.files, *([labels.official / LIST_FILE] if labels.official else [])]
    named = ", ".join(f"{file.name} {sha256_file(file)[:12]}" for file in files)
    if labels.classes:
        named += f", {FLAG} {labels.classes}"
    return (
        f"{len(items)} photos ({named}), score floor {SCORE_FLOOR}; timed on {timed} of them, at "
        "each file's own threshold"
    )


def official_photos(folder: Path) -> list[Item]:
    """See `tasks.parts.Measure`; the photos of WIDER FACE."""
    return [Item(folder / IMAGE_FOLDER / one) for one in read_ground_truth(folder).files.values()]


def _once(predict: Predictor) -> Predictor:
    """A predictor that runs on photos in two lists only once."""
    known: dict[tuple[tuple[int, ...], bytes], Detections] = {}

    def remembered(image: NDArray[np.uint8]) -> Detections:
        # Evenly coloured photos of two shapes may have the same bytes.
        key = image.shape, hashlib.sha256(image.data).digest()
        if key not in known:
            known[key] = predict(image)
        return known[key]

    return remembered


def to_annotation(found: Detections, scale: NDArray[np.float32]) -> Detections:
    """Convert faces from pixels of the decoded photo to its annotation's; see `Photo.scale_to`."""
    ratio = np.reciprocal(scale)
    landmarks = None if found.landmarks is None else found.landmarks * ratio
    return replace(found, boxes=found.boxes * np.tile(ratio, 2), landmarks=landmarks)
