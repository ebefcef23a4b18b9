"""From what a user names to what is measured."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.coco import read_coco
from ..data.glasses import LABELS
from ..data.images import read_image
from ..data.labelled_faces import read_labelled_faces
from ..data.pairs import paired
from ..errors import DataError, ImageError, UserError
from ..evaluation.classifier import evaluate_classifier
from ..evaluation.detector import SCORE_FLOOR, evaluate_detector, evaluate_wider
from ..evaluation.wider import IMAGE_FOLDER, LIST_FILE, read_ground_truth
from ..export.photos import public_domain_photos
from ..files import sha256_file
from ..results import Detections
from .cases import Case
from .machine import DECISIVE, OF_POCKETFACE, PACKAGES, fingerprint
from .measure import ROUNDS, Measure, Plan
from .pipelines import Pipeline
from .results import LABELS_OF, Results
from .worker import Item

_TIMED_PHOTOS = 8
"""So few that slow rows see all of them too."""

_log = logging.getLogger(__name__)

_FIGURES = ("ap", "ap50", "ap_small", "ap_medium", "ap_large")


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

    def photos(self) -> list[Path]:
        """Those of the COCO files, or else of WIDER."""
        if self.annotations:
            read = read_coco(self.annotations, self.roots, classes=[])
            return [photo.path for photo in read.photos]
        assert self.wider is not None
        return [
            self.wider / IMAGE_FOLDER / one for one in read_ground_truth(self.wider).files.values()
        ]

    def __call__(self, pipeline: Pipeline) -> dict[str, float | None]:
        """COCO's figures and WIDER's, as far as there are labels for them.

        None of a file with NMS inside, which shows no face below its own threshold: they need all.
        """
        if pipeline.nms:
            return {}
        predict = _once(pipeline.predict)
        figures: dict[str, float | None] = {}
        if self.annotations:
            contract = pipeline.contract
            classes = ["face"] if contract is None else contract.labels
            photos = read_coco(self.annotations, self.roots, classes=classes).photos
            _, _, found = evaluate_detector(predict, photos)
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
    known: Sequence[Results] = (),
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
        known: Earlier runs: accuracy of files that they measured on the same labels is taken from
            them.
        duration: Seconds of timing of each case.
        command: What the user typed.

    Raises:
        UserError: Labels of an unknown kind, or no photo at all.
        DataError: The labels cannot be read.
    """
    given = paired(data, roots, flags=("--data", "--root")) if data else []
    for file in data:
        if file.suffix not in (".json", ".csv"):
            raise UserError(f"--data {file}: expected COCO .json for detectors, or .csv for faces")
    public = [Item(path, landmarks) for path, landmarks in public_domain_photos()]
    items: dict[str, Sequence[Item]] = dict.fromkeys(LABELS_OF, public)
    accuracy: dict[str, Measure] = {}
    protocol = {
        "timing": f"{duration:g} s for each row in {ROUNDS} rounds, rows in turn; medians; "
        "intervals of 95 % by drawing rounds with replacement",
    }
    files = [pair for pair in given if pair[0].suffix == ".json"]
    if files or wider is not None:
        judge = DetectorAccuracy([file for file, _ in files], [root for _, root in files], wider)
        paths = judge.photos()
        items["face-detection"] = some = _some([Item(path) for path in paths])
        accuracy["face-detection"] = judge
        labels = [*judge.annotations, *([wider / LIST_FILE] if wider else [])]
        protocol["detectors"] = (
            f"{len(paths)} photos ({_named(labels)}), score floor {SCORE_FLOOR}; timed on "
            f"{len(some)} of them, at each file's own threshold"
        )
    lists = [pair for pair in given if pair[0].suffix == ".csv"]
    if lists:
        files_of_faces, folders = [file for file, _ in lists], [root for _, root in lists]
        faces = read_labelled_faces(files_of_faces, folders, classes=LABELS)
        with_face = [Item(one.path, one.landmarks) for one in faces if one.found]
        if not with_face:
            named = ", ".join(map(str, files_of_faces))
            raise DataError(f"{named}: no photo with a face that was found")
        some = _some(with_face)
        items["glasses-classification"] = some
        accuracy["glasses-classification"] = ClassifierAccuracy(files_of_faces, folders)
        protocol["classifiers"] = (
            f"{len(faces)} faces ({_named(files_of_faces)}); timed on {len(some)}, one face in "
            "each photo, landmarks known"
        )
    if not accuracy:
        names = ", ".join(item.path.name for item in public)
        protocol["photos"] = f"{names or 'none'}: accuracy was not measured"
        if not public:
            raise UserError(
                "no photos to time on: expected --data and --root, or --wider-dir",
                hint="or `pip install scikit-image matplotlib`, which bring two",
            )
    taken = _known(known, protocol)
    if taken:
        dates = ", ".join(run.date for run in known)
        protocol["accuracy"] = f"of files that were measured before taken from the run of {dates}"
    return Plan(
        cases=cases,
        items=items,
        accuracy=accuracy,
        duration=duration,
        score_floor=SCORE_FLOOR,
        protocol=protocol,
        command=command,
        known=taken,
    )


def _named(files: Sequence[Path]) -> str:
    """Files by name and content."""
    return ", ".join(f"{file.name} {sha256_file(file)[:12]}" for file in files)


def _known(
    runs: Sequence[Results], protocol: Mapping[str, str]
) -> dict[tuple[str, ...], dict[str, float | None]]:
    """What earlier runs on such a machine, with the same code, say of the same photos."""
    here = fingerprint()
    found = {}
    for run in runs:
        decisive = (*DECISIVE, *PACKAGES, *OF_POCKETFACE)
        other = [key for key in decisive if run.host.get(key) != here.get(key)]
        if other:
            _log.warning(
                "accuracy of %s is not used: there, %s is %s, here %s",
                run.date, other[0], run.host.get(other[0]), here.get(other[0]),
            )  # fmt: skip
            continue
        for row in run.rows:
            asked = LABELS_OF.get(row.task, row.task)
            if row.figures and run.protocol.get(asked) == protocol.get(asked):
                found[row.answers] = row.figures
    return found


def _some(items: Sequence[Item]) -> list[Item]:
    """As many as are timed, evenly spread over the list; none that cannot be read."""
    count = min(_TIMED_PHOTOS, len(items))
    some = [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int)]
    good = []
    for item in some:
        try:
            read_image(item.path)
        except ImageError as error:
            _log.warning("not timed on: %s", error)
        else:
            good.append(item)
    if not good:
        raise DataError(f"none of the {len(some)} photos to time on can be read: {some[0].path}")
    return good


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
