"""What counts as the same mask of two segmenters, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.model_templates.contract import Contract
from pocketface.runtimes.session import Outputs, Session
from pocketface.tasks.comparison import raw_outputs
from pocketface.tasks.segmentation.model import FaceSegmenter
from pocketface.tasks.segmentation.parity import answers_of, compare, error

from ...segmenter_contract import segmenter_contract

SIDE = 64
IMAGES = [np.full((SIDE, SIDE, 3), grey, np.uint8) for grey in (50, 200)]
Shares = NDArray[np.float32]


def contract_of(precision: str = "fp32", *, batch: int = 1, classes: int = 1) -> Contract:
    names = ["face"] if classes == 1 else ["background", "face", "glasses", "hair"][:classes]
    return segmenter_contract(*names, side=SIDE, batch=batch, precision=precision)


def face(classes: int = 1) -> Shares:
    """A soft egg left of the middle, as a face in an aligned head, (classes, SIDE, SIDE)."""
    drawn = np.zeros((SIDE, SIDE), np.float32)
    cv2.ellipse(drawn, (27, 34), (15, 22), 10, 0, 360, 1.0, -1)
    soft = cv2.GaussianBlur(drawn, (0, 0), 1.5)
    if classes == 1:
        return soft[None]
    others = [np.roll(soft, 20, 0) * (1 - soft) * 0.4] * (classes - 2)
    rest = 1 - soft - sum(others)
    return np.stack([rest, soft, *others]).astype(np.float32)


def model_of(
    contract: Contract,
    shares: Shares,
    *,
    second: Shares | None = None,
    picture: NDArray[np.float32] | None = None,
) -> FaceSegmenter:
    """Gives these probabilities, or others for all but the first picture of a batch."""

    def run(batch: NDArray[np.float32]) -> Outputs:
        answers = [shares] + [shares if second is None else second] * (len(batch) - 1)
        outputs = {"mask": np.stack(answers)}
        return outputs if picture is None else {**outputs, "mask_image": picture[None, None]}

    session = Session("fake", "cpu", None, {}, {}, run)
    return FaceSegmenter(contract=contract, session=session, path=Path("fake"))


NEVER = {"fp32": False, "fp16": False, "int8": False}
ALWAYS = {"fp32": True, "fp16": True, "int8": True}
CHANGES: dict[str, tuple[Callable[[Shares], Shares], dict[str, bool]]] = {
    "nothing": (lambda x: x, ALWAYS),
    "a little": (lambda x: x + 9e-5, ALWAYS),
    "of FP16": (lambda x: x * 0.996, {"fp32": False, "fp16": True, "int8": True}),
    "more": (lambda x: x * 0.994, {"fp32": False, "fp16": False, "int8": True}),
    "unsure": (lambda x: 0.5 + (x - 0.5) * 0.9, NEVER),
    "mirrored": (lambda x: x[..., ::-1].copy(), NEVER),
    "upside down": (lambda x: x[:, ::-1].copy(), NEVER),
    "2 px left": (lambda x: np.roll(x, -2, 2), NEVER),
    "1 px down": (lambda x: np.roll(x, 1, 1), NEVER),
    "not finite": (lambda x: x * np.nan, NEVER),
}
"""By name, what is done to the probabilities, and which precisions may have that."""


@pytest.mark.parametrize("answers_only", [False, True])
@pytest.mark.parametrize("classes", [1, 4])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("change", CHANGES)
def test_masks(change: str, precision: str, classes: int, answers_only: bool) -> None:
    changed, may = CHANGES[change]
    contract, shares = contract_of(precision, classes=classes), face(classes)
    expected = raw_outputs(model_of(contract, shares), IMAGES)
    if answers_only:
        expected = [answers_of(contract, one) for one in expected]
    model = model_of(contract, changed(shares))
    found = compare(contract, expected, model, IMAGES, answers_only=answers_only)
    assert (found.problem is None) == may[precision], found
    assert found.differences.keys() == found.tolerances.keys() == {"probability", "mean", "pixels"}
    assert found.tensors.keys() == (set() if answers_only else {"mask"})
    assert (found.asked, found.extra) == (2 * SIDE**2, 0)


@pytest.mark.parametrize(
    ("pixels", "same"), [(4, True), (5, False)], ids=["at most a thousandth", "more"]
)
def test_masks_may_differ_in_a_thousandth_of_their_pixels(pixels: int, same: bool) -> None:
    contract = contract_of()
    shares = np.full((1, SIDE, SIDE), 0.49999, np.float32)
    other = shares.copy()
    other[0, 0, :pixels] = 0.50001
    expected = raw_outputs(model_of(contract, shares), IMAGES)
    found = compare(contract, expected, model_of(contract, other), IMAGES)
    assert found.agreed == 2 * (SIDE**2 - pixels)
    assert found.differences["pixels"] == pytest.approx(pixels / SIDE**2)
    assert (found.problem is None) == same


def test_a_batch_must_answer_as_its_images() -> None:
    contract, shares = contract_of(batch=-1), face()
    expected = raw_outputs(model_of(contract, shares), IMAGES)
    found = compare(contract, expected, model_of(contract, shares, second=shares * 0.8), IMAGES)
    assert found.problem is not None
    assert found.problem.startswith("probabilities differ by 0.2")


@pytest.mark.parametrize("classes", [1, 4])
@pytest.mark.parametrize("moved", [0, 1])
def test_a_grey_picture_must_be_that_of_the_probabilities(moved: int, classes: int) -> None:
    contract, shares = contract_of(classes=classes), face(classes)
    picture = shares[0] * 255 if classes == 1 else shares.argmax(0)
    model = model_of(
        contract, shares, picture=np.roll(picture.round().astype(np.float32), moved, 1)
    )
    found = compare(contract, raw_outputs(model, IMAGES), model, IMAGES)
    assert (found.problem or "").startswith("mask_image is not that" if moved else "")
    assert (found.problem is None) == (not moved)


def test_stored_answers_are_small() -> None:
    """A certificate has those of 22 pictures, and is JSON."""
    contract = contract_of()
    (one,) = raw_outputs(model_of(contract, face()), IMAGES[:1])
    assert sum(array.size for array in answers_of(contract, one).values()) < SIDE**2 / 8


def test_error_grows_with_the_distance() -> None:
    shares = {"mask": face()[None]}
    moved = [{"mask": np.roll(shares["mask"], by, 3)} for by in (0, 1, 3)]
    first, second, third = (error(shares, one) for one in moved)
    assert 0 == first < second < third
