"""A WIDER folder in the official layout, and the official evaluation written out step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.evaluation.wider import WiderGroundTruth
from pocketface.results import Detections


def _cells(values: Sequence[Any]) -> NDArray[np.object_]:
    """A Matlab column of cells."""
    column = np.empty((len(values), 1), dtype=object)
    for i, value in enumerate(values):
        column[i, 0] = value
    return column


@pytest.fixture
def make_wider(tmp_path: Path) -> Callable[..., Path]:
    """Writes the list and the .mat files.

    Takes key to {"faces": rows of x, y, width, height, and by setting the indices that count}, and
    the keys that the list leaves out.
    """
    from scipy.io import savemat  # type: ignore[import-untyped]

    def make(photos: Mapping[str, Mapping[str, Any]], *, unlisted: Sequence[str] = ()) -> Path:
        events = sorted({key.split("/")[0] for key in photos})
        keys = [[key for key in photos if key.split("/")[0] == event] for event in events]
        content = {
            "event_list": _cells(events),
            "file_list": _cells([_cells([key.split("/")[1] for key in row]) for row in keys]),
            "face_bbx_list": _cells(
                [
                    _cells([np.array(photos[key]["faces"], np.int32).reshape(-1, 4) for key in row])
                    for row in keys
                ]
            ),
        }
        folder = tmp_path / "wider"
        (folder / "ground_truth").mkdir(parents=True)
        savemat(folder / "ground_truth" / "wider_face_val.mat", content)
        for setting in ("easy", "medium", "hard"):
            chosen = [
                _cells(
                    [
                        np.array(photos[key].get(setting, ()), np.uint8).reshape(-1, 1) + 1
                        for key in row
                    ]
                )
                for row in keys
            ]
            savemat(
                folder / "ground_truth" / f"wider_{setting}_val.mat",
                content | {"gt_list": _cells(chosen)},
            )
        lines = []
        for key, photo in photos.items():
            if key not in unlisted:
                lines += [f"{key}.webp", str(len(photo["faces"]))]
                lines += [f"{x} {y} {w} {h} 0 0 0 0 0 0" for x, y, w, h in photo["faces"]]
                lines += ["0 0 0 0 0 0 0 0 0 0"] * (not photo["faces"])
        (folder / "wider_face_split").mkdir()
        path = folder / "wider_face_split" / "wider_face_val_bbx_gt.txt"
        path.write_text("\n".join(lines) + "\n")
        return folder

    return make


@pytest.fixture
def plain_wider_ap() -> Callable[[WiderGroundTruth, Mapping[str, Detections], str], float]:
    """The protocol for one setting without a single shortcut: loops in the authors' order."""
    return _plain_wider_ap


def _plain_wider_ap(
    truth: WiderGroundTruth, detections: Mapping[str, Detections], setting: str
) -> float:
    all_scores = [float(score) for found in detections.values() for score in found.scores]
    low, high = min(all_scores), max(all_scores)
    proposals, recalled, total = [0] * 1000, [0] * 1000, 0
    for key in truth.files:
        faces = truth.boxes[key].tolist()
        counts = truth.counted[setting][key].tolist()
        total += sum(counts)
        found = detections[key]
        if not faces or not len(found):
            continue
        state = ["waiting"] * len(faces)
        is_proposal, found_so_far, scores = [], [], []
        for box, score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True):
            overlaps = [_pixel_overlap(box, face) for face in faces]
            best = overlaps.index(max(overlaps))
            proposal = True
            if overlaps[best] >= 0.5:
                if not counts[best]:
                    proposal = False
                elif state[best] == "waiting":
                    state[best] = "found"
            is_proposal.append(proposal)
            found_so_far.append(state.count("found"))
            scores.append((score - low) / (high - low))
        passing = 0
        for t in range(1000):
            while passing < len(scores) and scores[passing] >= 1 - (t + 1) / 1000:
                passing += 1
            if passing:
                proposals[t] += sum(is_proposal[:passing])
                recalled[t] += found_so_far[passing - 1]
    area, last = 0.0, 0.0
    precision = [r / p if p else 0.0 for r, p in zip(recalled, proposals, strict=True)]
    for t in range(1000):
        area += (recalled[t] / total - last) * max(precision[t:])
        last = recalled[t] / total
    return area


def _pixel_overlap(a: Sequence[float], b: Sequence[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    area_a = (a[2] - a[0] + 1) * (a[3] - a[1] + 1)
    area_b = (b[2] - b[0] + 1) * (b[3] - b[1] + 1)
    return width * height / (area_a + area_b - width * height)
