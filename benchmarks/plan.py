"""From what a user names to what is measured."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.coco import read_coco
from ..data.labelled_faces import read_labelled_faces
from ..errors import UserError
from ..evaluation.classifier import evaluate_classifier
from ..evaluation.detector import evaluate_detector, evaluate_wider
from ..evaluation.wider import IMAGE_FOLDER, read_ground_truth
from ..export.photos import public_domain_photos
from ..results import Detections
from .accuracy import SCORE_FLOOR
from .cases import Case
from .measure import ROUNDS, Measure, Plan
from .pipelines import Pipeline
from .worker import Item

_TIMED_PHOTOS = 24
_FIGURES = ("ap", "ap50", "ap_small", "ap_medium", "ap_large")
_LABELS = ("no_glass", "glass")


@dataclass(frozen=True)
class DetectorAccuracy:
    """Measures detectors on labelled photos, in whatever process it is called.

    Attributes:
        annotations: COCO JSON files.
        roots: Of their photos.
        wider: WIDER FACE's folder, or None.
    """

    annotations: Sequence[Path]
    roots: Sequence[Path]
    wider: Path | None

    def __call__(self, pipeline: Pipeline) -> dict[str, float | None]:
        """COCO's figures and WIDER's, as far as there are labels for them."""
        predict = _once(pipeline.predict)
        figures: dict[str, float | None] = {}
        if self.annotations:
            photos = read_coco(self.annotations, self.roots, classes=["face"]).photos
            found = evaluate_detector(predict, photos)[1]
            figures |= {key: found[key] for key in _FIGURES}
        if self.wider is not None:
            found = evaluate_wider(predict, self.wider)[1]
            figures |= {key: value for key, value in found.items() if key != "images"}
        return figures


@dataclass(frozen=True)
class ClassifierAccuracy:
    """Measures classifiers on labelled faces.

    Attributes:
        lists: See `read_labelled_faces`.
        roots: Of their photos.
    """

    lists: Sequence[Path]
    roots: Sequence[Path]

    def __call__(self, pipeline: Pipeline) -> dict[str, float | None]:
        """Balanced accuracy and F1."""
        contract = pipeline.contract
        assert contract is not None
        faces = read_labelled_faces(self.lists, self.roots, classes=contract.labels)
        threshold = contract.score_threshold
        _, found = evaluate_classifier(pipeline.predict, faces, threshold=threshold)
        return {key: found[key] for key in ("balanced_accuracy", "f1")}


def plan_for(
    cases: Sequence[Case],
    *,
    data: Sequence[Path] = (),
    roots: Sequence[Path] = (),
    wider: Path | None = None,
    duration: float = 3.0,
    command: str = "",
) -> Plan:
    """Photos to time each task on, and what measures its accuracy.

    Args:
        cases: What to measure.
        data: Labels: COCO JSON for detectors, CSV for classifiers; see `read_coco` and
            `read_labelled_faces`. Without any, files are timed on photos in the public domain, and
            not judged.
        roots: Folders of their photos, one each or one for all.
        wider: WIDER FACE's folder, for its figures.
        duration: Seconds of timing of each case.
        command: What the user typed.

    Raises:
        UserError: Labels of an unknown kind, or no photo at all.
        DataError: The labels cannot be read.
    """
    if len(roots) not in (1, len(data)) and data:
        raise UserError(f"{len(data)} files after --data but {len(roots)} folders after --root")
    root_of = {file: roots[index if len(roots) > 1 else 0] for index, file in enumerate(data)}
    kinds = {suffix: [one for one in data if one.suffix == suffix] for suffix in (".json", ".csv")}
    for file in data:
        if file.suffix not in kinds:
            raise UserError(f"--data {file}: expected COCO .json for detectors, or .csv for faces")
    files, lists = kinds[".json"], kinds[".csv"]
    items: dict[str, Sequence[Item]] = {}
    accuracy: dict[str, Measure] = {}
    public = [Item(path, landmarks) for path, landmarks in public_domain_photos()]
    protocol = {
        "timing": f"{duration:g} s for each row in {ROUNDS} rounds, rows in turn; medians; "
        "intervals of 95 % by drawing rounds with replacement",
    }
    if files or wider is not None:
        roots_of_files = [root_of[file] for file in files]
        accuracy["face-detection"] = DetectorAccuracy(files, roots_of_files, wider)
        if files:
            paths = [one.path for one in read_coco(files, roots_of_files, classes=["face"]).photos]
        else:
            assert wider is not None
            paths = [wider / IMAGE_FOLDER / one for one in read_ground_truth(wider).files.values()]
        items["face-detection"] = _some([Item(path) for path in paths])
        protocol["detectors"] = (
            f"{len(paths)} photos ({', '.join(one.name for one in [*files, wider] if one)}), score "
            f"floor {SCORE_FLOOR}; timed on {len(items['face-detection'])} of them, at each file's "
            "own threshold"
        )
    else:
        items["face-detection"] = public
    if lists:
        roots_of_lists = [root_of[file] for file in lists]
        accuracy["glasses-classification"] = ClassifierAccuracy(lists, roots_of_lists)
        faces = read_labelled_faces(lists, roots_of_lists, classes=_LABELS)
        some = _some([Item(one.path, one.landmarks) for one in faces if one.found])
        items["glasses-classification"] = some
        protocol["classifiers"] = (
            f"{len(faces)} faces ({', '.join(one.name for one in lists)}); timed on {len(some)}, "
            "one face in each photo, landmarks known"
        )
    else:
        items["glasses-classification"] = public
    if not data and wider is None:
        names = ", ".join(item.path.name for item in public)
        protocol["photos"] = f"{names or 'none'}: accuracy was not measured"
        if not public:
            raise UserError(
                "no photos to time on: expected --data and --root, or --wider-dir",
                hint="or `pip install scikit-image matplotlib`, which bring two",
            )
    return Plan(
        cases=cases,
        items=items,
        accuracy=accuracy,
        duration=duration,
        score_floor=SCORE_FLOOR,
        protocol=protocol,
        command=command,
    )


def _some(items: Sequence[Item]) -> list[Item]:
    """As many as are timed, evenly spread over the list."""
    count = min(_TIMED_PHOTOS, len(items))
    return [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int)]


def _once(
    predict: Callable[[NDArray[np.uint8]], Detections],
) -> Callable[[NDArray[np.uint8]], Detections]:
    """Photos that stand in two lists are looked at once."""
    known: dict[bytes, Detections] = {}

    def remembered(image: NDArray[np.uint8]) -> Detections:
        key = hashlib.sha256(image.data).digest()
        if key not in known:
            known[key] = predict(image)
        return known[key]

    return remembered
