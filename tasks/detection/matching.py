"""Pair the faces of two models, and find those that rounding cannot explain."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...data.preprocess import Placement
from ...model_templates.contract import Contract
from ...results import Detections, pairwise_iou
from ...runtimes.session import Outputs
from .postprocess import MAX_CANDIDATES, as_boxes, find_faces, has_area
from .rules import MAX_DETECTIONS, DetectionRules, detection_rules

MATCH_IOU = 0.9
"""Lowest IoU of two boxes of the same face."""

RIVALS, RIVAL_SCORES = "rivals", "rival_scores"
"""Stored boxes (1, K, 4) and scores (1, K) of `rivals_of`."""

_NMS_SLACK = 0.02
"""Tolerance on the IoU at which NMS drops a box."""


class Limits(NamedTuple):
    """Largest differences allowed.

    Attributes:
        pixels: For box corners and landmarks, in network-input pixels.
        of_side: For box corners and landmarks, as a share of the box's longer side; the larger of
            both limits counts.
        score: For scores.
        compared_from: Lowest score of compared boxes, as a share of the score threshold.
        landmarks: For the landmarks of a face on average, as a share of its box's longer side.
    """

    pixels: float
    of_side: float
    score: float
    compared_from: float = 0.0
    landmarks: float = 0.12


def faces_of(contract: Contract, outputs: Outputs) -> Detections:
    """Faces of one image's outputs at the contract's thresholds, in network-input pixels."""
    spec, rules = contract.input, detection_rules(contract)
    found = as_boxes(outputs, spec)
    landmarks = found.get("landmarks")
    return find_faces(
        found["boxes"][0],
        found["scores"][0],
        None if landmarks is None else landmarks[0],
        placement=Placement(spec.width, spec.height, 1.0, 1.0),
        score_threshold=rules.score_threshold,
        nms_iou=rules.nms_iou,
    )


class Match(NamedTuple):
    """The pairs of faces, and the faces without a partner.

    Attributes:
        pairs: (P, 2): indices of the same face in both models.
        replaced: (P,): whether allowed differences explain why the other model lacks the
            reference's face of a pair; then what it has may be one of the rivals.
        lost: Number of the reference's faces whose absence no allowed difference explains.
        extra: Number of the other model's faces whose presence no allowed difference explains.
    """

    pairs: NDArray[np.intp]
    replaced: NDArray[np.bool_]
    lost: int
    extra: int


def match_faces(
    wanted: Detections,
    seen: Detections,
    rivals: Detections,
    rules: DetectionRules,
    limits: Limits,
) -> Match:
    """Pair the faces of the trained network with those of a file.

    Args:
        wanted: The network's faces.
        seen: The file's faces.
        rivals: What `rivals_of` the network's outputs gives.
        rules: The rules with the thresholds.
        limits: The allowed differences.
    """
    iou = pairwise_iou(wanted.boxes, seen.boxes)
    pairs = _pairs(iou)
    lost, added = np.ones(len(wanted), bool), np.ones(len(seen), bool)
    lost[pairs[:, 0]], added[pairs[:, 1]] = False, False
    # A box that the network does not even consider is no explanation. Of boxes narrower than a
    # pixel the same ones may hardly overlap.
    known = ~added
    for theirs in (wanted, rivals):
        known[added] |= _among(seen.boxes[added], seen.scores[added], theirs, limits)
    instead = _instead(wanted, seen, iou, rules, limits)
    replaced = np.asarray((instead & known).any(1))
    lost &= ~(_cut_off(wanted, seen, rules, limits) | replaced)
    instead = _instead(seen, wanted, iou.T, rules, limits)
    added &= ~(_cut_off(seen, wanted, rules, limits) | (known & instead.any(1)))
    return Match(pairs, replaced[pairs[:, 0]], int(lost.sum()), int(added.sum()))


def allowed_px(boxes: NDArray[np.float32], pixels: float, share: float) -> NDArray[np.float64]:
    """Allowed error of each box's corners in pixels: a limit, or a share of its longer side."""
    sides: NDArray[np.float64] = (boxes[:, 2:].astype(np.float64) - boxes[:, :2]).max(1)
    return np.maximum(pixels, share * sides)


def _pairs(iou: NDArray[np.float64]) -> NDArray[np.intp]:
    """Pairs of faces (P, 2), each face in at most one, those with most overlap first."""
    pairs: list[tuple[int, int]] = []
    taken: tuple[set[int], set[int]] = (set(), set())
    for place in np.argsort(-iou, axis=None, kind="stable"):
        first, second = (int(index) for index in np.unravel_index(place, iou.shape))
        if iou[first, second] < MATCH_IOU:
            break
        if first not in taken[0] and second not in taken[1]:
            pairs.append((first, second))
            taken[0].add(first)
            taken[1].add(second)
    return np.array(pairs, np.intp).reshape(-1, 2)


def faces_in(answers: Outputs) -> Detections:
    """The faces from `answers_of`. As they are clipped, they overlap more than they did in NMS."""
    landmarks = answers.get("landmarks")
    return Detections(
        boxes=answers["boxes"][0],
        scores=answers["scores"][0],
        landmarks=None if landmarks is None else landmarks[0],
    )


def rivals_in(answers: Outputs) -> Detections:
    """The rivals from `answers_of`; scores that a certificate does not have are NaN."""
    boxes = answers[RIVALS][0]
    scores = answers.get(RIVAL_SCORES)
    unknown = np.full(len(boxes), np.nan, np.float32)
    return Detections(boxes, unknown if scores is None else scores[0], None)


def _instead(
    faces: Detections,
    others: Detections,
    iou: NDArray[np.float64],
    rules: DetectionRules,
    limits: Limits,
) -> NDArray[np.bool_]:
    """Which of G other boxes NMS might keep instead of each of F faces, (F, G).

    Such a box has as high a score and enough overlap for NMS, within the allowed differences.
    """
    overlaps = iou > rules.nms_iou - _NMS_SLACK
    as_good = others.scores > faces.scores[:, None] - 2 * limits.score
    instead: NDArray[np.bool_] = overlaps & as_good
    return instead


def _cut_off(
    faces: Detections, others: Detections, rules: DetectionRules, limits: Limits
) -> NDArray[np.bool_]:
    """Which faces are at the score threshold, or at the limit on the number of faces."""
    least = rules.score_threshold
    if len(others) >= MAX_DETECTIONS:
        least = max(least, float(others.scores.min()))
    cut: NDArray[np.bool_] = faces.scores <= least + limits.score
    return cut


def rivals_of(contract: Contract, outputs: Outputs, slack: float) -> Detections:
    """Boxes that NMS may keep or drop, if each score may be `slack` off.

    Of two boxes with next to equal scores it may keep either. What it then keeps decides on boxes
    of much lower scores, so a whole chain of them may change.

    Returns:
        Best first, with boxes clipped to the input as faces are.
    """
    rules = detection_rules(contract)
    found = as_boxes(outputs, contract.input)
    boxes, scores, landmarks = found["boxes"][0], found["scores"][0], found.get("landmarks")
    near = np.flatnonzero(has_area(boxes) & (scores >= rules.score_threshold - slack))
    near = near[np.argsort(-scores[near], kind="stable")][:MAX_CANDIDATES]
    near = near[_undecided(boxes[near], scores[near], rules, slack)]
    size = np.array([contract.input.width, contract.input.height], np.float32)
    return Detections(
        boxes=boxes[near].reshape(-1, 2, 2).clip(0, size).reshape(-1, 4),
        scores=scores[near],
        landmarks=None if landmarks is None else landmarks[0][near],
    )


def _undecided(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], rules: DetectionRules, slack: float
) -> NDArray[np.bool_]:
    """Which boxes, best first, NMS neither surely keeps nor surely drops.

    It surely keeps what may not be dropped by any box that is left, and surely drops what such a
    box is surely better than. All boxes that may be better than one are decided before it.
    """
    undecided, dropped = np.zeros(len(boxes), bool), np.zeros(len(boxes), bool)
    for index, score in enumerate(scores):
        if dropped[index]:
            continue
        iou = pairwise_iou(boxes[index : index + 1], boxes)[0]
        others = (iou > rules.nms_iou - _NMS_SLACK) & (scores > score - 2 * slack) & ~dropped
        others[index] = False
        undecided[index] = score < rules.score_threshold + slack or others.any()
        if not undecided[index]:
            dropped |= (iou > rules.nms_iou + _NMS_SLACK) & (scores < score - 2 * slack)
    return undecided


def _among(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    theirs: Detections,
    limits: Limits,
) -> NDArray[np.bool_]:
    """Which boxes are among those of the network, by place and score."""
    apart = np.abs(boxes[:, None].astype(np.float64) - theirs.boxes).max(-1)  # (B, K)
    same = apart <= allowed_px(theirs.boxes, limits.pixels, limits.of_side)
    # Certificates of before do not know the scores of rivals.
    as_good = np.abs(scores[:, None].astype(np.float64) - theirs.scores) <= limits.score
    found: NDArray[np.bool_] = (same & (as_good | np.isnan(theirs.scores))).any(1)
    return found


def nms_problem(contract: Contract, outputs: Outputs, limits: Limits) -> str | None:
    """A fault of the NMS inside a graph, which `faces_of` would hide by applying NMS again."""
    rules = detection_rules(contract)
    found = as_boxes(outputs, contract.input)
    boxes, scores = found["boxes"][0], found["scores"][0]
    covered = np.triu(pairwise_iou(boxes, boxes), 1) > rules.nms_iou + _NMS_SLACK
    if covered.any():
        return f"{covered.any(0).sum()} boxes are left that overlap a better one"
    if (scores < rules.score_threshold - limits.score).any():
        return (
            f"a box of score {scores.min():.3g} is left, below the threshold of "
            f"{rules.score_threshold:g}"
        )
    if (np.diff(scores) > limits.score).any():
        return "the boxes are not in the order of their scores"
    if len(scores) > MAX_DETECTIONS:
        return f"{len(scores)} boxes are left; expected at most {MAX_DETECTIONS}"
    return None
