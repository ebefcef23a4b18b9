"""The accuracy of one model file on labelled photos, with the protocol it was measured by."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..data.images import read_image
from ..data.labelled_faces import LabelledFace
from ..errors import UserError
from ..evaluation.classifier import evaluate_classifier
from ..evaluation.contact_sheet import contact_sheet
from ..evaluation.detector import SCORE_FLOOR, evaluate_detector, evaluate_wider, score_floor
from ..evaluation.operating_point import at_threshold, best_f1
from ..evaluation.report import metrics_of, write_metrics
from ..evaluation.wider import LIST_FILE, SETTINGS
from ..files import atomic_write
from ..runtimes import load
from ..runtimes.align import align_face
from ..runtimes.classifier import FaceClassifier
from ..runtimes.detector import FaceDetector
from ..runtimes.model import Model
from ..runtimes.seal import model_files

if TYPE_CHECKING:
    from ..model_templates.contract import Metric

_log = logging.getLogger(__name__)


def measure_accuracy(
    *,
    weights: Path,
    annotations: Sequence[Path] = (),
    roots: Sequence[Path] = (),
    wider: Path | None = None,
    metrics_file: Path | None = None,
    mistakes_file: Path | None = None,
    input_size: tuple[int, int] | None = None,
    score_threshold: float | None = None,
    nms_iou: float | None = None,
    runtime: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Metric]:
    """Measure a detector by COCO's figures, by the WIDER FACE protocol, or both; or a classifier.

    Args:
        weights: A model file; see `runtimes.load`.
        annotations: COCO JSON files; none leaves out COCO's figures. Of a classifier, see
            `read_labelled_faces`.
        roots: Folders of their photos, one each or one for all.
        wider: WIDER FACE's folder, with `ground_truth/`; None leaves out its figures.
        metrics_file: Where to write the metrics with protocol and SHA-256s.
        mistakes_file: Of a classifier: where to write the faces with wrong labels, as a PNG.
        input_size: Height and width instead of the file's, for weights only.
        score_threshold: Lowest score of a face that counts; if None, `SCORE_FLOOR`, or of a file
            with NMS inside its own. Of a classifier: lowest score of the second label, the file's
            own if None.
        nms_iou: Of a detector: instead of the file's own.
        runtime: As `runtimes.load` takes it.
        device: Likewise.
        threads: Likewise.
        on_progress: Called with the number of photos done and of all.

    Raises:
        UserError: Nothing to measure on, or the files or settings do not fit.
    """
    if not annotations and wider is None:
        raise UserError(
            "nothing to measure on: expected --test-ann-files and --test-data-roots, or --wider-dir"
        )
    model = _load(weights, input_size, runtime=runtime, device=device, threads=threads)
    if isinstance(model, FaceClassifier):
        if wider is not None:
            raise UserError(f"--wider-dir: {weights} is for {model.contract.task}, not a detector")
        if nms_iou is not None:
            raise UserError(f"--nms-iou: {weights} is for {model.contract.task}, not a detector")
        own = model.contract.score_threshold
        threshold = own if score_threshold is None else score_threshold
        return _measure_classifier(
            model, annotations, roots, threshold, runtime, metrics_file, mistakes_file, on_progress
        )
    if mistakes_file is not None:
        raise UserError(f"--mistakes-to {mistakes_file}: {weights} is no classifier")
    floor = score_threshold
    if floor is None:
        floor = score_floor(model.contract)
        if floor != SCORE_FLOOR:
            _log.warning(
                "%s has its NMS inside, and knows no faces below %g: its AP is less than that of "
                "the same network without, which begins at %g",
                weights, floor, SCORE_FLOOR,
            )  # fmt: skip
    predict = partial(model.predict, score_threshold=floor, nms_iou=nms_iou)
    size = model.contract.input
    threshold = max(floor, model.contract.score_threshold)
    protocol: dict[str, Any] = {
        "input": f"{size.resize} to {size.width}x{size.height}",
        "score_floor": floor,
        "nms_iou": model.contract.nms_iou if nms_iou is None else nms_iou,
        "threshold": threshold,
        "runtime": runtime or model.session.runtime,
        "precision": model.contract.precision,
        "device": model.session.device,
    }
    files = _parts(model)
    metrics: list[Metric] = []
    if annotations:
        from ..data.coco import read_coco

        data = read_coco(annotations, roots, classes=model.contract.labels)
        measured, found, figures = evaluate_detector(predict, data.photos, on_progress=on_progress)
        if all(photo.ignore.all() for photo in measured):
            named = ", ".join(map(str, annotations))
            _log.warning("%s: no labelled face in %d photos to find", named, len(measured))
        figures["images_skipped"] = (figures["images_skipped"] or 0) + len(data.missing)
        shown = at_threshold(measured, found, threshold)
        metrics += metrics_of(figures | best_f1(measured, found) | shown)
        files |= _numbered(annotations)
    if wider is not None:
        _, figures = evaluate_wider(predict, wider, on_progress=on_progress)
        protocol["wider_images"] = figures["wider_images"] = figures.pop("images")
        metrics += metrics_of(figures)
        truth = [wider / "ground_truth" / f"wider_{name}_val.mat" for name in SETTINGS]
        files |= {path.name: path for path in (wider / LIST_FILE, *truth)}
    if metrics_file is not None:
        write_metrics(metrics_file, metrics, protocol=protocol, files=files)
    return metrics


def _measure_classifier(
    model: FaceClassifier,
    annotations: Sequence[Path],
    roots: Sequence[Path],
    threshold: float,
    runtime: str | None,
    metrics_file: Path | None,
    mistakes_file: Path | None,
    on_progress: Callable[[int, int], None] | None,
) -> list[Metric]:
    from ..data.labelled_faces import read_labelled_faces

    contract = model.contract
    faces = read_labelled_faces(annotations, roots, classes=contract.labels)
    scores, figures = evaluate_classifier(
        model.predict, faces, threshold=threshold, on_progress=on_progress
    )
    metrics = metrics_of(figures)
    if mistakes_file is not None:
        _draw_mistakes(model, faces, scores, threshold, mistakes_file)
    if metrics_file is not None:
        protocol: dict[str, Any] = {
            "input": f"faces aligned to {contract.input.width}x{contract.input.height}",
            "score_threshold": threshold,
            "runtime": runtime or model.session.runtime,
            "precision": contract.precision,
            "device": model.session.device,
        }
        files = _parts(model) | _numbered(annotations)
        write_metrics(metrics_file, metrics, protocol=protocol, files=files)
    return metrics


def _draw_mistakes(
    model: FaceClassifier,
    faces: Sequence[LabelledFace],
    scores: NDArray[np.float64],
    threshold: float,
    path: Path,
) -> None:
    """The faces with wrong labels as the network saw them, the surest mistake first."""
    spec, labels = model.contract.input, model.contract.labels
    pictures, captions = [], []
    truth = np.array([face.label for face in faces])
    wrong = np.flatnonzero((scores >= threshold) != (truth == 1))
    for index in wrong[np.argsort(-np.abs(scores[wrong] - truth[wrong]), kind="stable")]:
        face = faces[index]
        if np.isfinite(scores[index]):
            image = read_image(face.path)
            pictures.append(align_face(image, face.landmarks, spec))
            captions.append(f"{labels[face.label]}, said {scores[index]:.2f}")
    _, buffer = cv2.imencode(".png", contact_sheet(pictures, captions))
    try:
        with atomic_write(path) as handle:
            handle.write(buffer.tobytes())
    except OSError as error:
        raise UserError(
            f"--mistakes-to {path}: cannot be written: {error.strerror or error}"
        ) from error


def _parts(model: Model) -> dict[str, Path]:
    model_file, *others = model_files(model.path)
    return {
        "model": model_file,
        **{"weights" if part.suffix == ".bin" else part.name: part for part in others},
    }


def _numbered(annotations: Sequence[Path]) -> dict[str, Path]:
    if len(annotations) == 1:
        return {"annotations": annotations[0]}
    return {f"annotations {n}": path for n, path in enumerate(annotations, 1)}


def _load(
    weights: Path,
    input_size: tuple[int, int] | None,
    *,
    runtime: str | None,
    device: str,
    threads: int | None,
) -> FaceDetector | FaceClassifier:
    model = load(weights, runtime=runtime, device=device, threads=threads)
    spec = model.contract.input
    assert isinstance(model, FaceDetector | FaceClassifier)
    if input_size is None or input_size == (spec.height, spec.width):
        return model
    if model.session.runtime != "torch":
        raise UserError(
            f"--input-size: the input of {weights} is {spec.height}x{spec.width} for good",
            hint="export it anew by `pocketface export --input-size`, or measure its checkpoint",
        )
    from ..model_templates.contract import Contract
    from ..runtimes.torch import open_session

    mode = (runtime or "").partition(":")[2]
    session = open_session(
        model.path, threads=threads, device=device, mode=mode, input_size=input_size
    )
    assert session.contract_json is not None
    contract = Contract.from_json(session.contract_json, source=str(weights))
    return type(model)(contract=contract, session=session, path=model.path)
