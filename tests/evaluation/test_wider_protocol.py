"""The WIDER protocol: cases worked by hand, and its steps written out, on random boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from pocketface.errors import DataError, PocketfaceError
from pocketface.evaluation.wider import (
    SETTINGS,
    WiderGroundTruth,
    wider_ap,
)
from pocketface.results import Detections


def _truth(
    faces: Mapping[str, list[list[float]]], counted: Mapping[str, list[bool]] | None = None
) -> WiderGroundTruth:
    """Ground truth with the same faces counted in every setting (all unless told)."""
    boxes = {key: np.array(value, np.float64).reshape(-1, 4) for key, value in faces.items()}
    masks = {
        key: np.array(counted[key] if counted else [True] * len(value), np.bool_)
        for key, value in boxes.items()
    }
    return WiderGroundTruth(
        files={key: f"{key}.webp" for key in faces},
        boxes=boxes,
        counted=dict.fromkeys(SETTINGS, masks),
    )


def _found(*boxes_and_scores: tuple[list[float], float]) -> Detections:
    return Detections(
        np.array([box for box, _ in boxes_and_scores], np.float32).reshape(-1, 4),
        np.array([score for _, score in boxes_and_scores], np.float32),
    )


A = [10.0, 10, 50, 50]
B = [100.0, 10, 150, 60]
NOTHING = [300.0, 300, 350, 350]


def _ap(truth: WiderGroundTruth, **found: Detections) -> float | None:
    figures = wider_ap(truth, {f"e/{name}": value for name, value in found.items()})
    assert set(figures) == set(SETTINGS)
    return figures["hard"]


def test_perfect_detections_have_ap_one_whatever_their_scores() -> None:
    truth = _truth({"e/p": [A, B], "e/q": [A]})
    assert _ap(truth, p=_found((A, 0.9), (B, 0.02)), q=_found((A, 0.4))) == pytest.approx(1)
    assert _ap(truth, p=_found((A, 0.5), (B, 0.5)), q=_found((A, 0.5))) == pytest.approx(1)


def test_nothing_found_is_zero_and_no_face_is_none() -> None:
    assert _ap(_truth({"e/p": [A]}), p=_found()) == 0.0
    assert _ap(_truth({"e/p": [A]}, {"e/p": [False]}), p=_found((A, 0.9))) is None


def test_a_false_positive_above_all_halves_precision() -> None:
    assert _ap(_truth({"e/p": [A]}), p=_found((NOTHING, 0.9), (A, 0.5))) == pytest.approx(0.5)


def test_a_second_detection_of_a_face_is_false() -> None:
    found = _found((A, 0.9), ([11, 10, 51, 50], 0.8), (B, 0.7))
    assert _ap(_truth({"e/p": [A, B]}), p=found) == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_order_is_by_score_even_if_the_detections_are_not() -> None:
    found = _found((NOTHING, 0.1), (A, 0.9))
    assert _ap(_truth({"e/p": [A]}), p=found) == pytest.approx(1)


def test_faces_that_do_not_count_neither_help_nor_hurt() -> None:
    truth = _truth({"e/p": [A, B]}, {"e/p": [True, False]})
    assert _ap(truth, p=_found((A, 0.9))) == pytest.approx(1)
    # Found first, and twice: still no false positive, and no face found.
    found = _found((B, 0.99), ([101, 10, 151, 60], 0.95), (A, 0.9))
    assert _ap(truth, p=found) == pytest.approx(1)
    # Between a face that counts and one that does not, the greater overlap decides.
    near = [[100.0, 100, 200, 200], [110.0, 100, 210, 200]]
    both = _truth({"e/p": near}, {"e/p": [True, False]})
    assert _ap(both, p=_found(([109, 100, 209, 200], 0.9))) == 0.0
    assert _ap(both, p=_found(([101, 100, 201, 200], 0.9))) == pytest.approx(1)


def test_overlap_counts_pixels() -> None:
    # 2 x 2 shifted by 1: 2 of 6 as areas, 6 of 12 as pixels of 3 x 3.
    assert _ap(_truth({"e/p": [[10, 10, 12, 12]]}), p=_found(([11, 10, 13, 12], 0.9))) == 1.0
    assert _ap(_truth({"e/p": [[10, 10, 30, 30]]}), p=_found(([18, 10, 38, 30], 0.9))) == 0.0


def test_a_photo_without_labelled_faces_is_left_out() -> None:
    truth = _truth({"e/p": [A], "e/q": []})
    assert _ap(truth, p=_found((A, 0.5)), q=_found((NOTHING, 0.9))) == pytest.approx(1)
    # One whose faces do not count is not.
    truth = _truth({"e/p": [A], "e/q": [B]}, {"e/p": [True], "e/q": [False]})
    assert _ap(truth, p=_found((A, 0.5)), q=_found((NOTHING, 0.9))) == pytest.approx(0.5)


def test_scores_are_stretched_over_the_whole_set_to_thousand_steps() -> None:
    # B and the false one fall into one step of a thousand: B alone never shows.
    truth = _truth({"e/p": [A, B], "e/q": [A]}, {"e/p": [True, True], "e/q": [False]})
    close = _found((A, 0.9), (B, 0.50036), (NOTHING, 0.50004))
    lowest = _found(([0, 0, 1, 1], 0.1))
    assert _ap(truth, p=close, q=lowest) == pytest.approx(0.5 + 0.5 * 2 / 3)
    # The same scores stretched ten times as wide: they fall into different steps.
    narrow = _found((A, 0.54), (B, 0.50036), (NOTHING, 0.50004))
    assert _ap(truth, p=narrow, q=_found(([0, 0, 1, 1], 0.46))) == pytest.approx(1)


def test_detections_must_be_of_the_whole_set_and_of_no_more() -> None:
    truth = _truth({"e/p": [A], "e/q": [A]})
    with pytest.raises(DataError, match=r"missing for 1 of 2 WIDER photos \('e/q'\)"):
        wider_ap(truth, {"e/p": _found((A, 0.9))})
    with pytest.raises(DataError, match=r"1 photos not in the WIDER list \('e/r'\)"):
        wider_ap(truth, {key: _found() for key in ("e/p", "e/q", "e/r")})
    with pytest.raises(PocketfaceError, match=r"e/q: .* not finite"):
        _ap(truth, p=_found(), q=_found((A, float("inf"))))


@pytest.mark.parametrize("seed", range(6))
def test_agrees_with_the_steps_written_out(
    seed: int, plain_wider_ap: Callable[[WiderGroundTruth, Mapping[str, Detections], str], float]
) -> None:
    rng = np.random.default_rng(seed)
    faces, counted, detections = {}, {}, {}
    for number in range(10):
        key = f"e/{number}"
        corner = rng.integers(0, 120, (int(rng.integers(0, 25)), 2)).astype(float)
        boxes = np.hstack([corner, corner + rng.integers(3, 40, corner.shape)])
        near = np.repeat(boxes, rng.integers(0, 3, len(boxes)), axis=0)
        near = np.vstack([near + rng.normal(0, 3, near.shape), rng.uniform(0, 99, (4, 4))])
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        faces[key], counted[key] = boxes.tolist(), (rng.random(len(boxes)) < 0.6).tolist()
        scores = np.sort(rng.uniform(0.02, 0.95, len(near)).round(3))[::-1]
        detections[key] = _found(*zip(rng.permutation(near).tolist(), scores, strict=True))
    truth = _truth(faces, counted)
    figure = wider_ap(truth, detections)["easy"]
    assert figure is not None
    assert 0.05 < figure < 0.95
    assert figure == pytest.approx(plain_wider_ap(truth, detections, "easy"), abs=1e-12)
