"""Is a detector shown its photos as it should be? Labelled photos tell."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.coco import Photo, read_coco
from ..errors import DataError
from ..evaluation.bootstrap import average_precision_of, match_faces, resampled
from ..results import Detections
from ..tasks.detection.foreign import Detector, open_detector
from ..tasks.detection.measure import SCORE_FLOOR, to_annotation
from ..tasks.detection.peers import NMS_IOU
from ..tasks.detection.preprocessing import ALL_PREPROCESSINGS, Preprocessing
from ..tasks.detection.samples import classes_in, readable

_log = logging.getLogger(__name__)

MARGIN = 0.01
"""Another pre-processing is reported where it is better by this much AP, and surely so."""

USELESS = 0.05
"""Below this AP a detector finds nothing worth the name."""

_MAX_DETECTIONS = 100  # a network shown nonsense finds faces everywhere
_LEVEL = 0.05
"""Chance of a false alarm, over all fifteen alternatives together (Bonferroni)."""


@dataclass(frozen=True)
class Trial:
    """One pre-processing.

    Attributes:
        preprocessing: It.
        ap: Average precision at IoU 0.5, 0 to 1.
        low: Of the interval that holds 95 % of the bootstrap's draws.
        high: The other end of it.
    """

    preprocessing: Preprocessing
    ap: float
    low: float
    high: float


@dataclass(frozen=True)
class Diagnosis:
    """What the photos say.

    Attributes:
        path: The file.
        kind: What its outputs are taken for.
        photos: How many were looked at.
        faces: In them.
        trials: Best first.
        declared: What the file, or the user, says that it wants; None where nobody does.
        verdict: "as declared", "mismatch", "undecided" (another way finds more, but not surely),
            "undeclared" or "useless".
        gain: AP that the best one has over the declared one, and the bounds between which it
            lies, at the level that counts all alternatives; None where nothing is declared.
    """

    path: Path
    kind: str
    photos: int
    faces: int
    trials: tuple[Trial, ...]
    declared: Preprocessing | None
    verdict: str
    gain: tuple[float, float, float] | None

    @property
    def others_as_good(self) -> int:
        """How many ways find as much as the best one."""
        return sum(self.trials[0].ap - one.ap < MARGIN for one in self.trials[1:])


def diagnose(
    path: Path,
    *,
    annotations: Sequence[Path],
    roots: Sequence[Path],
    declared: Preprocessing | None = None,
    limit: int = 50,
    input_size: tuple[int, int] | None = None,
    runtime: str | None = None,
    threads: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Diagnosis:
    """Try every usual pre-processing on labelled photos.

    Args:
        path: A detector's file, ours or another's; see `open_detector`.
        annotations: COCO JSON files.
        roots: Folders of their photos, one each or one for all.
        declared: What the photos are said to go through; None for the file's own contract.
        limit: Photos to look at, spread evenly over all.
        input_size: Height and width where the graph leaves them free.
        runtime: As for `tasks.load`.
        threads: Of one inference; None for one per core.
        on_progress: Called with the number of photos done and of all.

    Raises:
        ModelFileError: The file cannot be opened, or is no detector that is known here.
        DataError: There is no labelled face in a photo that can be read.
    """
    detector = open_detector(path, input_size=input_size, runtime=runtime, threads=threads)
    if declared is None and detector.contract is not None:
        declared = Preprocessing.of(detector.contract)
    classes = classes_in(None if detector.contract is None else detector.contract.rules)
    photos = _some(read_coco(annotations, roots, classes=classes).photos, limit)
    seen, found = _find(detector, photos, on_progress)
    faces = sum(int((~photo.ignore).sum()) for photo in seen)
    if not faces:
        raise DataError(f"{annotations[0]}: no labelled face in the {len(seen)} photos looked at")
    matches = [match_faces(seen, each) for each in found]
    draws = resampled(matches)
    trials = [
        Trial(one, average_precision_of(match), *np.quantile(draw, (0.025, 0.975)).tolist())
        for one, match, draw in zip(ALL_PREPROCESSINGS, matches, draws, strict=True)
    ]
    ranked = tuple(sorted(trials, key=lambda trial: -trial.ap))
    gain = None
    if declared is not None:
        best, said = (ALL_PREPROCESSINGS.index(one) for one in (ranked[0].preprocessing, declared))
        risk = _LEVEL / (len(trials) - 1)
        low, high = np.quantile(draws[best] - draws[said], (risk, 1 - risk)).tolist()
        gain = (trials[best].ap - trials[said].ap, low, high)
    return Diagnosis(
        path=path,
        kind=detector.kind,
        photos=len(seen),
        faces=faces,
        trials=ranked,
        declared=declared,
        verdict=_verdict(ranked, gain),
        gain=gain,
    )


def _verdict(ranked: Sequence[Trial], gain: tuple[float, float, float] | None) -> str:
    if ranked[0].ap < USELESS:
        return "useless"
    if gain is None:
        return "undeclared"
    if gain[0] < MARGIN:
        return "as declared"
    return "mismatch" if gain[1] > 0 else "undecided"


def _some(photos: Sequence[Photo], limit: int) -> list[Photo]:
    if len(photos) <= limit:
        return list(photos)
    return [photos[place * len(photos) // limit] for place in range(limit)]


def _find(
    detector: Detector,
    photos: Sequence[Photo],
    on_progress: Callable[[int, int], None] | None,
) -> tuple[list[Photo], list[list[Detections]]]:
    """The photos that can be read; and, of every pre-processing, the faces found in each."""
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
