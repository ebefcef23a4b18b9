"""Test on labelled photos whether a detector gets its input pre-processed correctly."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data.coco import Photo
from ..errors import DataError
from ..evaluation.bootstrap import average_precision_of, match_faces, resampled
from ..results import Detections
from ..tasks.detection.foreign import Detector, open_detector
from ..tasks.detection.measure import SCORE_FLOOR, to_annotation
from ..tasks.detection.peers import NMS_IOU
from ..tasks.detection.preprocessing import ALL_PREPROCESSINGS, Preprocessing
from ..tasks.detection.samples import read_set, readable
from ..tasks.measuring import Labels
from .verdict import FEW, gain_bounds, interval, some_of, verdict_of

_log = logging.getLogger(__name__)

MARGIN = 0.01
"""Gain in AP, 0 to 1, above which another pre-processing is reported if it is significant."""

_MAX_DETECTIONS = 100  # a network shown nonsense finds faces everywhere


@dataclass(frozen=True)
class Trial:
    """The result of one pre-processing.

    Attributes:
        preprocessing: The pre-processing that was tried.
        ap: Average precision at IoU 0.5, 0 to 1.
        low: Lower end of the AP's 95 % bootstrap interval.
        high: Upper end of that interval.
    """

    preprocessing: Preprocessing
    ap: float
    low: float
    high: float


@dataclass(frozen=True)
class Diagnosis:
    """What the labelled photos say about a detector's pre-processing.

    Attributes:
        path: The detector's file.
        kind: Name of the output layout that the file was recognised as.
        photos: Number of photos used.
        faces: Number of labelled faces in them.
        trials: The results, best first.
        declared: The pre-processing that the file or the user states; None if neither does.
        verdict: "as declared", "mismatch", "undecided" (another way finds more, but not surely),
            "undeclared" or "useless".
        with_faces: Number of photos that have a labelled face.
        gain: AP of the best trial minus that of the declared one, with its lower and upper
            bounds (corrected for the number of alternatives); None if nothing is declared.
    """

    path: Path
    kind: str
    photos: int
    faces: int
    trials: tuple[Trial, ...]
    declared: Preprocessing | None
    verdict: str
    with_faces: int
    gain: tuple[float, float, float] | None

    @property
    def too_few(self) -> bool:
        """Whether too few photos have faces for another verdict than "undecided"."""
        return self.with_faces < FEW

    @property
    def others_as_good(self) -> int:
        """Number of other trials whose AP is within `MARGIN` of the best."""
        return sum(self.trials[0].ap - one.ap < MARGIN for one in self.trials[1:])


def diagnose(
    path: Path,
    *,
    labels: Labels,
    declared: Preprocessing | None = None,
    limit: int = 50,
    input_size: tuple[int, int] | None = None,
    runtime: str | None = None,
    threads: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Diagnosis:
    """Try every common pre-processing on labelled photos.

    Args:
        path: A detector's file, ours or a third party's; see `open_detector`.
        labels: COCO JSON files, and the folders of their photos.
        declared: The pre-processing to compare with; None for that of the file's contract.
        limit: Number of photos to use, spread evenly over all.
        input_size: Height and width in pixels, where the file leaves them free.
        runtime: Runtime, as `tasks.load` takes it; None for the file's default.
        threads: Threads for one inference; None for one per core.
        on_progress: Called with the number of photos done and the total.

    Raises:
        ModelFileError: The file cannot be opened, or its kind of detector is unknown.
        DataError: No readable photo has a labelled face.
    """
    detector = open_detector(path, input_size=input_size, runtime=runtime, threads=threads)
    if declared is None and detector.contract is not None:
        declared = Preprocessing.of(detector.contract)
    rules = None if detector.contract is None else detector.contract.rules
    photos = some_of(read_set(labels, rules=rules).photos, limit)
    seen, found = _find(detector, photos, on_progress)
    in_each = [int((~photo.ignore).sum()) for photo in seen]
    faces, with_faces = sum(in_each), sum(count > 0 for count in in_each)
    if not faces:
        raise DataError(f"{labels.files[0]}: no labelled face in the {len(seen)} photos looked at")
    matches = [match_faces(seen, each) for each in found]
    draws = resampled(matches)
    trials = [
        Trial(one, average_precision_of(match), *interval(draw))
        for one, match, draw in zip(ALL_PREPROCESSINGS, matches, draws, strict=True)
    ]
    ranked = tuple(sorted(trials, key=lambda trial: -trial.ap))
    gain = None
    if declared is not None:
        best, said = (ALL_PREPROCESSINGS.index(one) for one in (ranked[0].preprocessing, declared))
        bounds = gain_bounds(draws[best], draws[said], alternatives=len(trials) - 1)
        gain = (trials[best].ap - trials[said].ap, *bounds)
    return Diagnosis(
        path=path,
        kind=detector.kind,
        photos=len(seen),
        faces=faces,
        trials=ranked,
        declared=declared,
        verdict=verdict_of(ranked[0].ap, gain, margin=MARGIN, samples=with_faces),
        with_faces=with_faces,
        gain=gain,
    )


def _find(
    detector: Detector,
    photos: Sequence[Photo],
    on_progress: Callable[[int, int], None] | None,
) -> tuple[list[Photo], list[list[Detections]]]:
    """The readable photos and, for each pre-processing, the faces found in each photo."""
    seen: list[Photo] = []
    found: list[list[Detections]] = [[] for _ in ALL_PREPROCESSINGS]
    for photo, pixels, scale in readable(photos, on_progress=on_progress):
        seen.append(photo)
        for one, faces in zip(ALL_PREPROCESSINGS, found, strict=True):
            answer = detector.find(
                pixels,
                one,
                score_threshold=SCORE_FLOOR,
                nms_iou=NMS_IOU,
                max_detections=_MAX_DETECTIONS,
            )
            faces.append(to_annotation(answer, scale))
    return seen, found
