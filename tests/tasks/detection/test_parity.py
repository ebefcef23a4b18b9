"""What counts as the same answer, and what does not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pocketface.model_templates.contract import Contract
from pocketface.runtimes.session import Outputs, Session
from pocketface.tasks.comparison import raw_outputs
from pocketface.tasks.detection.model import FaceDetector
from pocketface.tasks.detection.parity import answers_of, compare, error
from pocketface.tasks.detection.rules import MAX_DETECTIONS

BOXES = np.array([[10, 10, 50, 60], [12, 11, 51, 61], [100, 20, 130, 60], [0, 0, 8, 8]], np.float32)
SCORES = np.array([0.9, 0.8, 0.7, 0.1], np.float32)
POINTS = np.stack([BOXES[:, :2]] * 5, axis=1) + 3
IMAGES = [np.full((80, 160, 3), grey, np.uint8) for grey in (50, 200)]


def contract_of(
    precision: str = "fp32", *, batch: int = 1, outputs: Any = None, **rules: Any
) -> Contract:
    shapes = {"boxes": (4, 4), "scores": (4,), "landmarks": (4, 5, 2)}
    return Contract.model_validate(
        {
            "name": "constant",
            "task": "face-detection",
            "input": {"shape": (batch, 3, 80, 160), "resize": "stretch"},
            "outputs": outputs
            or tuple(
                {"name": name, "shape": (batch, *shape), "meaning": "", "unit": ""}
                for name, shape in shapes.items()
            ),
            "rules": {"labels": ["face"], "score_threshold": 0.5, "nms_iou": 0.4} | rules,
            "precision": precision,
            "provenance": {"template": "constant", "package_version": "0"},
        }
    )


def unchanged(_: Outputs) -> None:
    pass


def model_of(contract: Contract, change: Callable[[Outputs], object] = unchanged) -> FaceDetector:
    def run(batch: np.ndarray) -> Outputs:
        outputs = {
            "boxes": np.stack([BOXES] * len(batch)),
            # So that images of a batch are told apart.
            "scores": np.stack([SCORES * (image[0, 0, 0] / 200) for image in batch]),
            "landmarks": np.stack([POINTS] * len(batch)),
        }
        change(outputs)
        return outputs

    session = Session("fake", "cpu", None, {}, {}, run)
    return FaceDetector(contract=contract, session=session, path=Path("fake.onnx"))


@pytest.fixture(scope="module")
def expected() -> list[Outputs]:
    return raw_outputs(model_of(contract_of()), IMAGES)


def test_the_same_is_the_same(expected: list[Outputs]) -> None:
    found = compare(contract_of(), expected, model_of(contract_of()), IMAGES)
    # The dark photo's scores are below the threshold, and two boxes of the other are one face.
    assert (found.problem, found.asked, found.agreed, found.extra) == (None, 2, 2, 0)
    assert (found.differences["corners_px"], found.differences["score"]) == (0, 0)
    assert found.tensors.keys() == {"boxes", "scores", "landmarks"}
    assert all(one == (0, 0, pytest.approx(1)) for one in found.tensors.values())


def add(name: str, place: tuple[int, ...], by: float) -> Callable[[Outputs], None]:
    def change(outputs: Outputs) -> None:
        outputs[name][(slice(None), *place)] += by

    return change


@pytest.mark.parametrize(
    ("precision", "change", "problem"),
    [
        ("fp32", add("boxes", (0, 2), 0.4), None),
        ("fp32", add("boxes", (0, 2), 0.6), r"corners differ by 0\.6 px; allowed 0\.5 px"),
        # Also in a box that is no face: it is among the best hundred.
        ("fp32", add("boxes", (3, 0), -0.6), "corners differ by 0.6 px"),
        ("fp32", add("landmarks", (2, 4, 1), 0.6), "corners differ by 0.6 px"),
        ("fp32", add("scores", (0,), 9e-5), None),
        ("fp32", add("scores", (3,), 2e-4), "scores differ by 0.0002; allowed 0.0001"),
        ("fp16", add("boxes", (0, 2), 0.9), None),
        ("fp16", add("boxes", (0, 2), 1.1), r"corners differ by 1\.1 px.*1% of a box"),
        ("fp16", add("scores", (3,), 4e-3), None),
        ("fp16", add("scores", (3,), 6e-3), "scores differ by 0.006"),
        ("fp32", add("boxes", (0, 0), np.nan), "corners differ by nan"),
        ("fp32", add("scores", (0,), np.nan), "scores differ by nan"),
    ],
)
def test_the_limits(
    expected: list[Outputs], precision: str, change: Callable, problem: str | None
) -> None:
    found = compare(contract_of(), expected, model_of(contract_of(precision), change), IMAGES)
    if problem is None:
        assert found.problem is None
    else:
        assert found.problem is not None
        assert re.search(problem, found.problem)


def test_a_large_box_may_be_farther_off_at_fp16(expected: list[Outputs]) -> None:
    boxes = np.array([[0, 0, 150, 60], *BOXES[1:]], np.float32)
    large = [{**one, "boxes": boxes[None]} for one in expected]

    def change(outputs: Outputs) -> None:
        outputs["boxes"][:, 0] = [0, 0, 151.4, 60]

    found = compare(contract_of(), large, model_of(contract_of("fp16"), change), IMAGES)
    assert found.problem is None
    assert found.differences["corners_px"] == pytest.approx(1.4, abs=1e-4)


@pytest.mark.parametrize(
    ("score", "moved", "problem"),
    [
        (0.8999, 0.0, None),
        (0.8999, 2.5, "corners differ by 2.5 px; allowed 1 px (or 1% of a box)"),
        (0.85, 0.0, "corners differ by 5 px; allowed 1 px (or 1% of a box)"),
    ],
)
@pytest.mark.parametrize("answers_only", [False, True])
def test_nms_may_keep_the_other_of_two_boxes(
    expected: list[Outputs], score: float, moved: float, problem: str | None, answers_only: bool
) -> None:
    """If their scores are next to equal, and FP16 makes the second one's the higher."""
    boxes = np.array([[0, 0, 150, 60], [5, 0, 155, 60], *BOXES[2:]], np.float32)
    scores = np.array([0.9, score, *expected[0]["scores"][0][2:]], np.float32)
    twins = [{**one, "boxes": boxes[None], "scores": scores[None]} for one in expected]
    answers = [answers_of(contract_of(), one) for one in twins] if answers_only else twins

    def change(outputs: Outputs) -> None:
        outputs["boxes"][:], outputs["scores"][:] = boxes, scores
        outputs["boxes"][:, 1, [0, 2]] += moved
        outputs["scores"][:, 1] = 0.9001

    model = model_of(contract_of("fp16"), change)
    found = compare(contract_of(), answers, model, IMAGES, answers_only=answers_only)
    assert found.problem == problem
    if problem is None:
        assert found.differences["corners_px"] == 0


@pytest.mark.parametrize(
    ("precision", "box", "problem"),
    [
        ("int8", 3, None),  # of score 0.1, less than half of the threshold
        ("int8", 2, "corners differ by 30 px; allowed 24 px (or 5% of a box)"),
        ("fp16", 3, "corners differ by 30 px; allowed 1 px (or 1% of a box)"),
    ],
)
def test_a_faint_box_of_rounded_numbers_may_be_anywhere(
    expected: list[Outputs], precision: str, box: int, problem: str | None
) -> None:
    def change(outputs: Outputs) -> None:
        outputs["landmarks"][:, box] += 30

    # All boxes of the first image are faint.

    found = compare(contract_of(), expected, model_of(contract_of(precision), change), IMAGES)
    assert found.problem == problem


@pytest.mark.parametrize("answers_only", [False, True])
@pytest.mark.parametrize(
    ("moved", "problem"),
    [
        (3, None),
        (4, "landmarks differ by 14.1% of a face's side; allowed 12%"),
        (20, "landmarks differ by 70.7% of a face's side; allowed 12%"),
        (np.nan, "corners differ by nan px; allowed 24 px (or 5% of a box)"),
    ],
)
def test_landmarks_of_rounded_numbers_must_be_in_the_face(
    expected: list[Outputs], moved: float, problem: str | None, answers_only: bool
) -> None:
    """Faces are cut by them; the third box has 40 pixels."""
    if answers_only:
        expected = [answers_of(contract_of(), one) for one in expected]

    def change(outputs: Outputs) -> None:
        outputs["landmarks"][:, 2] += moved

    model = model_of(contract_of("int8"), change)
    found = compare(contract_of(), expected, model, IMAGES, answers_only=answers_only)
    assert found.problem == problem
    share = moved * np.sqrt(2) / 40
    assert found.differences["landmarks"] == pytest.approx(share, nan_ok=True)


def test_error_grows_with_the_distance_of_landmarks(expected: list[Outputs]) -> None:
    """In shares of a box's side, by which the layers are chosen that stay float."""
    one = expected[1]
    moved = [{**one, "landmarks": one["landmarks"] + by} for by in (0, 1, 3)]
    found = [error(one, other) for other in moved]
    assert found[0] == 0
    assert found[2] == pytest.approx(3 * found[1])
    assert found[1] > 0


def test_a_batch_must_answer_as_its_images(expected: list[Outputs]) -> None:
    def swap(outputs: Outputs) -> None:
        outputs["scores"] = outputs["scores"][::-1]

    alone = compare(contract_of(), expected, model_of(contract_of(), swap), IMAGES)
    assert alone.problem is None
    found = compare(contract_of(), expected, model_of(contract_of(batch=-1), swap), IMAGES)
    assert found.problem is not None
    assert "scores differ by 0.675" in found.problem


def lose(outputs: Outputs) -> None:
    outputs["scores"][:, 2] = 0.1


def gain(outputs: Outputs) -> None:
    outputs["scores"][:, 3] = 0.6


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (unchanged, None),
        (lose, "1 of 2 faces are not found, 0 are found in addition"),
        # Found in both photos, in the dark one too.
        (gain, "0 of 2 faces are not found, 2 are found in addition"),
        (add("boxes", (0, 2), 0.6), "corners differ by 0.6"),
        (add("scores", (0,), 2e-4), "scores differ by 0.0002"),
        (add("boxes", (2, 0), 20), "1 of 2 faces are not found, 1 are found"),
    ],
)
def test_faces_alone(expected: list[Outputs], change: Callable, problem: str | None) -> None:
    faces = [answers_of(contract_of(), one) for one in expected]
    assert [one["scores"].size for one in faces] == [0, 2]
    model = model_of(contract_of(), change)
    found = compare(contract_of(), faces, model, IMAGES, answers_only=True)
    assert not found.tensors
    assert (found.problem or "").startswith(problem or "")
    assert (found.problem is None) == (problem is None)


def test_a_face_at_the_threshold_may_be_lost_or_found(expected: list[Outputs]) -> None:
    near = contract_of(score_threshold=0.69995)
    found = compare(near, expected, model_of(near, add("scores", (2,), -9e-5)), IMAGES)
    assert (found.problem, found.asked) == (None, 1)
    higher = contract_of(score_threshold=0.70005)
    found = compare(higher, expected, model_of(higher, add("scores", (2,), 9e-5)), IMAGES)
    assert (found.problem, found.extra) == (None, 0)


def test_no_faces_at_all(expected: list[Outputs]) -> None:
    high = contract_of(score_threshold=0.95)
    found = compare(high, expected, model_of(high), IMAGES)
    assert (found.problem, found.asked, found.agreed, found.extra) == (None, 0, 0, 0)


def test_nms_may_choose_the_other_of_two_as_good(expected: list[Outputs]) -> None:
    equal = [{**one, "scores": np.array([[0.8001, 0.8, 0.7, 0.1]], np.float32)} for one in expected]

    def swap(outputs: Outputs) -> None:
        outputs["scores"][:, :3] = [0.8, 0.8001, 0.7]

    found = compare(
        contract_of(),
        [answers_of(contract_of(), one) for one in equal],
        model_of(contract_of("fp16"), swap),
        IMAGES,
        answers_only=True,
    )
    # The pair's boxes overlap by 0.87: no match, and no loss either.
    assert (found.problem, found.asked, found.agreed, found.extra) == (None, 2, 2, 0)


CHAIN = np.array([[0, 0, 100, 60], [5, 0, 105, 60], [40, 0, 140, 60], [45, 0, 145, 60]], np.float32)
"""Two twins at the left; a third box that the second of them would drop; and a fourth that the
third one drops, though it lies beside the twins."""


def of_chain(
    scores: list[float], moved: float = 0.0, points: float = 0.0, chain: np.ndarray = CHAIN
) -> Callable[..., None]:
    def change(outputs: Outputs) -> None:
        boxes = chain.copy()
        boxes[3, [0, 2]] += moved
        outputs["boxes"][:], outputs["landmarks"][:] = boxes, np.stack([boxes[:, :2]] * 5, axis=1)
        outputs["landmarks"][:, 3] += points
        outputs["scores"][:] = scores

    return change


BEFORE, AFTER = [0.9002, 0.9, 0.8, 0.75], [0.9, 0.9003, 0.8, 0.75]


@pytest.mark.parametrize("way", ["tensors", "answers", "nms"])
@pytest.mark.parametrize(
    ("scores", "moved", "points", "problem"),
    [
        (AFTER, 0.0, 0.0, None),
        (AFTER, 0.9, 0.0, None),
        # It is the fourth box that is found, so it must be that box.
        (AFTER, -2.0, 0.0, "corners differ by 2 px"),
        ([*AFTER[:3], 0.77], 0.0, 0.0, "scores differ by 0.02"),
        (AFTER, 0.0, 3.0, "corners differ by 3 px"),
    ],
)
def test_whom_one_of_two_twins_drops_hangs_on_which_is_kept(
    way: str, scores: list[float], moved: float, points: float, problem: str | None
) -> None:
    """FP16 makes the second's score the higher: it drops the third box, so the fourth is kept."""
    contract = contract_of(nms_iou=0.45)
    expected = raw_outputs(model_of(contract, of_chain(BEFORE)), IMAGES)
    file, change = contract_of("fp16", nms_iou=0.45), of_chain(scores, moved, points)
    if way == "nms":
        file = contract_of("fp16", nms_iou=0.45, nms="graph", outputs=with_nms().outputs)
        whole = change

        def change(outputs: Outputs) -> None:
            whole(outputs)
            keep([1, 3])(outputs)

    if way == "answers":
        expected = [answers_of(contract, one) for one in expected]
        problem = None if points else problem  # landmarks are stored of faces alone
    found = compare(
        contract, expected, model_of(file, change), IMAGES, answers_only=way == "answers"
    )
    assert (found.problem or "").startswith(problem or "")
    assert (found.problem is None) == (problem is None)


@pytest.mark.parametrize(
    ("scores", "moved", "extra"),
    [(AFTER, 0.0, 0), (AFTER, 2.0, 1), ([*AFTER[:3], 0.77], 0.0, 1)],
)
def test_so_does_a_box_that_is_not_like_the_one_in_its_place(
    scores: list[float], moved: float, extra: int
) -> None:
    chain = CHAIN.copy()
    chain[3, [0, 2]] += 6
    contract = contract_of(nms_iou=0.45)
    trained = model_of(contract, of_chain(BEFORE, chain=chain))
    answers = [answers_of(contract, one) for one in raw_outputs(trained, IMAGES[:1])]
    model = model_of(contract_of("fp16", nms_iou=0.45), of_chain(scores, moved, chain=chain))
    found = compare(contract, answers, model, IMAGES[:1], answers_only=True)
    assert (found.asked, found.agreed, found.extra) == (1, 1, extra)


@pytest.mark.parametrize("answers_only", [False, True])
def test_boxes_narrower_than_a_pixel_may_hardly_overlap(
    expected: list[Outputs], answers_only: bool
) -> None:
    """At the edge, where they are cut off: 0.04 px of one are in the picture, 0.06 of the other."""
    boxes = BOXES.copy()
    boxes[2] = [100, -9, 130, 0.04]
    thin = [{**one, "boxes": boxes[None]} for one in expected]

    def change(outputs: Outputs) -> None:
        outputs["boxes"][:, 2] = [100, -9, 130, 0.06]

    answers = [answers_of(contract_of(), one) for one in thin] if answers_only else thin
    model = model_of(contract_of("fp16"), change)
    found = compare(contract_of(), answers, model, IMAGES, answers_only=answers_only)
    assert found.problem is None


@pytest.mark.parametrize("kept", [[0, 3], [1, 2], [0, 1, 2], [3]])
def test_what_no_rounding_keeps_together_is_a_fault(kept: list[int]) -> None:
    """The chain's boxes by themselves are no excuse: nobody dropped those that are missing."""
    contract = contract_of(nms_iou=0.45)
    expected = raw_outputs(model_of(contract, of_chain(BEFORE)), IMAGES)

    def change(outputs: Outputs) -> None:
        of_chain(BEFORE)(outputs)
        keep(kept)(outputs)

    file = contract_of("fp16", nms_iou=0.45, nms="graph", outputs=with_nms().outputs)
    assert compare(contract, expected, model_of(file, change), IMAGES).problem is not None


def test_certificates_of_before_have_no_scores_of_rivals(expected: list[Outputs]) -> None:
    contract = contract_of(nms_iou=0.45)
    expected = raw_outputs(model_of(contract, of_chain(BEFORE)), IMAGES)
    answers = [answers_of(contract, one) for one in expected]
    for one in answers:
        del one["rival_scores"]
    swapped = model_of(contract_of("fp16", nms_iou=0.45), of_chain([0.9, 0.9003, 0.8, 0.799]))
    assert compare(contract, answers, swapped, IMAGES, answers_only=True).problem is None


def with_nms() -> Contract:
    outputs = tuple(
        {**o.model_dump(), "shape": (1, -1, *o.shape[2:])} for o in contract_of().outputs
    )
    return contract_of(nms="graph", outputs=outputs)


def keep(which: list[int]) -> Callable[[Outputs], None]:
    def change(outputs: Outputs) -> None:
        for name in outputs:
            outputs[name] = outputs[name][:, which]

    return change


@pytest.mark.parametrize(
    ("which", "problem"),
    [
        ([0, 2], None),
        ([0, 1, 2], "1 boxes are left that overlap a better one"),
        ([0, 2, 3], "a box of score 0.1 is left, below the threshold of 0.5"),
        ([2, 0], "the boxes are not in the order of their scores"),
        ([0], "1 of 2 faces are not found, 0 are found in addition"),
    ],
)
def test_what_nms_inside_a_graph_left_undone_is_found_out(
    expected: list[Outputs], which: list[int], problem: str | None
) -> None:
    model = model_of(with_nms(), keep(which))
    found = compare(contract_of(), expected[1:], model, IMAGES[1:])
    assert found.problem == problem


def shift(outputs: Outputs) -> None:
    outputs["boxes"] = outputs["boxes"] + 8


def lengthen(outputs: Outputs) -> None:
    sides = outputs["boxes"][..., 2:] - outputs["boxes"][..., :2]
    outputs["boxes"] = outputs["boxes"] + np.concatenate((0 * sides, 0.25 * sides), -1)


@pytest.mark.parametrize("change", [shift, lengthen])
def test_boxes_that_the_network_never_had_in_mind_are_no_excuse(
    expected: list[Outputs], change: Callable[[Outputs], None]
) -> None:
    """They overlap the faces as much as a box that NMS keeps instead would."""

    def misplaced(outputs: Outputs) -> None:
        keep([0, 2])(outputs)
        change(outputs)

    answers = [answers_of(contract_of(), one) for one in expected[1:]]
    by_certificate = compare(
        contract_of(), answers, model_of(contract_of(), change), IMAGES[1:], answers_only=True
    )
    inside = compare(contract_of(), expected[1:], model_of(with_nms(), misplaced), IMAGES[1:])
    for found in (by_certificate, inside):
        assert found.problem == "2 of 2 faces are not found, 2 are found in addition"


def test_the_last_of_as_many_faces_as_there_may_be_may_be_another() -> None:
    """Above 750 of next to equal scores, which of them are the best is a matter of rounding."""
    count = MAX_DETECTIONS + 2
    corners = np.stack([np.arange(count) % 40, np.arange(count) // 40], 1) * 4.0
    boxes = np.concatenate((corners, corners + 3), 1)[None].astype(np.float32)
    scores = np.linspace(0.9, 0.9 - 1e-6 * count, count)[None].astype(np.float32)
    outputs = tuple(
        {"name": name, "shape": (1, count, *rest), "meaning": "", "unit": ""}
        for name, rest in (("boxes", (4,)), ("scores", ()))
    )
    contract = contract_of(outputs=outputs)

    def model(scores: np.ndarray) -> FaceDetector:
        session = Session("", "cpu", None, {}, {}, lambda _: {"boxes": boxes, "scores": scores})
        return FaceDetector(contract=contract, session=session, path=Path("fake.onnx"))

    expected = [answers_of(contract, one) for one in raw_outputs(model(scores), IMAGES[:1])]
    other = scores.copy()
    other[0, -1] = scores[0, MAX_DETECTIONS - 1] + 5e-5
    found = compare(contract, expected, model(other), IMAGES[:1], answers_only=True)
    assert (found.problem, found.agreed) == (None, MAX_DETECTIONS - 1)
    other[0, 10] = 0.1
    found = compare(contract, expected, model(other), IMAGES[:1], answers_only=True)
    assert (found.asked - found.agreed, found.problem is None) == (1, False)


def test_proposals_may_swap_places(expected: list[Outputs]) -> None:
    """Those of two stages come in the order of their own scores, which rounding changes."""

    def swap(outputs: Outputs) -> None:
        for name, array in outputs.items():
            outputs[name] = array[:, [1, 0, 3, 2]]

    def problem(change: Callable[[Outputs], object], **rules: Any) -> str | None:
        contract = contract_of(**rules)
        return compare(contract, expected, model_of(contract, change), IMAGES).problem

    assert problem(swap, ranked=True) is None
    assert problem(swap) is not None
    assert problem(add("scores", (0,), 0.01), ranked=True) is not None
    assert problem(add("boxes", (0, 0), np.nan), ranked=True) is not None


@pytest.mark.parametrize(
    ("wrong", "most", "is_same"), [(1, 0.4, True), (10, 0.4, False), (10, 5e-5, True)]
)
def test_a_few_proposals_may_be_others(wrong: int, most: float, is_same: bool) -> None:
    """Where two were next to equal, rounding decides which of them the second stage looks at.

    In the border of a photo all are equal; of a trained network, none has a score there.
    """
    generator = np.random.default_rng(0)
    boxes = generator.uniform(0, 30, (1, 40, 4)).astype(np.float32)
    boxes[..., 2:] += boxes[..., :2] + 5
    one = {"boxes": boxes, "scores": generator.uniform(0, most, (1, 40)).astype(np.float32)}
    outputs = tuple(
        {"name": name, "shape": (1, *array.shape[1:]), "meaning": "", "unit": ""}
        for name, array in one.items()
    )
    contract = contract_of(outputs=outputs, ranked=True)

    def run(_: np.ndarray) -> Outputs:
        found = {name: array.copy() for name, array in one.items()}
        found["boxes"][0, :wrong] += 40
        return found

    session = Session("fake", "cpu", None, {}, {}, run)
    model = FaceDetector(contract=contract, session=session, path=Path("fake.onnx"))
    found = compare(contract, [one], model, IMAGES[:1])
    assert (found.problem is None) == is_same
