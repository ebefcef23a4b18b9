"""A segmenter whose answer is its input's own colour, and photos whose true mask is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pocketface import FaceSegmenter
from pocketface.runtimes.session import Outputs, Session

from ...segmenter_contract import points_of, segmenter_contract

SIDE = 256
POINTS = points_of(SIDE)
"""Of an aligned head, in the input's pixels."""
DISC = (128.0, 140.0, 70.0)
"""Centre and radius, in the input's pixels, of what the tests take for a face."""


def colour_segmenter(*classes: str, batch: int = -1) -> FaceSegmenter:
    """One class is as probable as its input is green; several as it is blue, green and red."""
    planes = slice(1, 2) if len(classes) == 1 else slice(0, len(classes))

    def run(images: np.ndarray) -> Outputs:
        assert batch in (-1, len(images))
        return {"mask": np.ascontiguousarray(images[:, planes] / 255)}

    contract = segmenter_contract(*classes, side=SIDE, batch=batch)
    shapes = contract.input.shape, contract.outputs[0].shape
    session = Session("test", "cpu", None, {"image": shapes[0]}, {"mask": shapes[1]}, run)
    return FaceSegmenter(contract=contract, session=session, path=Path("colour.onnx"))


def head_at(x: float, y: float, *, scale: float, degrees: float = 0) -> np.ndarray:
    """From the input's pixels to the photo's, float64 (2, 3), with the middle of the disc at x, y.

    Args:
        x: Of the photo, in pixels.
        y: Likewise.
        scale: Pixels of the photo for one of the input.
        degrees: How far the head is turned clockwise.
    """
    angle = np.radians(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.hstack([turn, (np.array([x, y]) - turn @ DISC[:2])[:, None]])


def landmarks_of(head: np.ndarray) -> np.ndarray:
    """The landmarks, float32 (5, 2), of a head in the photo."""
    return (np.array(POINTS) @ head[:, :2].T + head[:, 2]).astype(np.float32)


def disc_of(head: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The pixels of the photo whose middle lies in the head's disc, bool (H, W)."""
    scale = np.sqrt(np.linalg.det(head[:, :2]))
    x, y = head[:, :2] @ DISC[:2] + head[:, 2]
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    inside = (columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2 <= (scale * DISC[2]) ** 2
    return np.asarray(inside)


def painted(shape: tuple[int, int], *masks: np.ndarray) -> np.ndarray:
    """A photo, uint8 (H, W, 3): green in the masks, black elsewhere."""
    photo = np.zeros((*shape, 3), np.uint8)
    for mask in masks:
        photo[mask, 1] = 255
    return photo


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of masks."""
    return float((one & other).sum() / max(1, (one | other).sum()))
