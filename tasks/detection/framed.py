"""The second look: a face that fills the photo is found better with a frame around the photo.

Detectors learn from faces with surroundings. Of 150 faces of UTKFace that fill the photo,
face-detection-n finds 77 % at its threshold in one look and all in two. On such crops of MTFL its
landmark error falls from a half of the eyes' distance to a seventh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ...results import Detections, pairwise_iou

LARGE = 0.5
"""Smallest share of the photo's longer side at which a face is searched again with a frame."""

LARGE_ALONE = 0.375
"""The same where the first look finds nobody: it may see only parts of a face that fills the photo.
With it face-detection-n finds the last 5 of the 6,899 faces of MTFL; of 745 photos without a face
it looks twice at 83 more, and finds two more false faces."""

FRAME = 0.25
"""Width of the black frame around the photo, as a share of its longer side."""

FAINT = 0.5
"""Lowest score of a large face that is searched again, as a share of the contract's threshold;
without surroundings scores are often lower."""

SURE = 0.75
"""Highest score of such a face; a surer one has surroundings."""

_SURER = 2.0
_NOT_SMALLER = 1 / 3
"""A large faint box is not searched again if another face is surer by this factor and its side is
at least this share of the box's; a smaller one may be only an eye or a mouth. Most of what this
saves are torsos."""

_SAME = 0.3
"""IoU from which two boxes are the same large face; without a frame its box is rather inexact."""


def to_search_again(
    seen: Detections, shape: Sequence[int], *, score_threshold: float
) -> Detections:
    """The large faces of the first look for which a second one is worth its time.

    Args:
        seen: The faces of the first look, from `FAINT` of the threshold on.
        shape: The photo's shape, which begins with height and width.
        score_threshold: The contract's.
    """
    least = LARGE if np.any(seen.scores >= score_threshold) else LARGE_ALONE
    large = seen.where(_are_large(seen, shape, least) & (seen.scores <= SURE))
    large = large.above(FAINT * score_threshold)
    surer = seen.scores[:, None] > _SURER * large.scores
    sides = _sides(seen.boxes)[:, None] / _sides(large.boxes)
    beside_a_surer = np.any(surer & (sides >= _NOT_SMALLER), axis=0)
    return large.where((large.scores >= score_threshold) | ~beside_a_surer)


@dataclass(frozen=True, eq=False)
class FramedPhoto:
    """A photo with a black frame around it.

    Attributes:
        pixels: uint8 (H, W, 3), BGR.
        frame: Width of the frame, in its pixels.
        width: Width of the photo itself, in the photo's own pixels.
        height: Height of the photo itself.
    """

    pixels: NDArray[np.uint8]
    frame: int
    width: int
    height: int

    def to_photo(self, found: Detections) -> Detections:
        """Faces that were found in it, in the photo's own pixels; boxes end at its edges."""
        inner = np.array(self.pixels.shape[1::-1]) - 2 * self.frame
        size = np.array([self.width, self.height], np.float32)
        ratio = (size / inner).astype(np.float32)
        corners = (found.boxes.reshape(-1, 2, 2) - self.frame) * ratio
        boxes = corners.clip(0, size).astype(np.float32).reshape(-1, 4)
        landmarks = found.landmarks
        if landmarks is not None:
            landmarks = ((landmarks - self.frame) * ratio).astype(np.float32)
        moved = Detections(boxes, found.scores, landmarks)
        return moved.where(np.all(boxes[:, 2:] > boxes[:, :2], axis=1))


def framed(image: NDArray[np.uint8], *, longest: int) -> FramedPhoto:
    """Put a frame around a photo, which is made smaller first where it is large.

    Args:
        image: uint8 (H, W, 3), BGR.
        longest: Longer side to which a larger photo is reduced, in pixels. The network's own is
            enough, as the frame makes the photo smaller than that.
    """
    height, width = image.shape[:2]
    if (longer := max(height, width)) > longest:
        size = [max(1, round(side * longest / longer)) for side in (width, height)]
        image = np.asarray(cv2.resize(image, size), np.uint8)
    frame = round(FRAME * max(image.shape[:2]))
    pixels = cv2.copyMakeBorder(image, frame, frame, frame, frame, cv2.BORDER_CONSTANT, value=0)
    return FramedPhoto(np.asarray(pixels, np.uint8), frame, width, height)


def joined(
    again: Detections, large: Detections, found: Detections, shape: Sequence[int]
) -> Detections:
    """The large faces of the second look, and the faces of the first that are no part of them.

    Args:
        again: The faces of the second look, in the photo's pixels.
        large: The faces of the first look that were searched again.
        found: All faces of the first look.
        shape: The photo's shape.
    """
    # Smaller faces are those of the first look, in which they are larger.
    same = np.any(pairwise_iou(again.boxes, large.boxes) >= _SAME, axis=1)
    again = again.where(same | _are_large(again, shape))
    same = np.any(pairwise_iou(found.boxes, again.boxes) >= _SAME, axis=1)
    centres = (found.boxes[:, None, :2] + found.boxes[:, None, 2:]) / 2
    within = (centres >= again.boxes[None, :, :2]) & (centres <= again.boxes[None, :, 2:])
    others = found.where(~(same | np.any(np.all(within, axis=2), axis=1)))
    scores = np.concatenate((again.scores, others.scores))
    order = np.argsort(-scores, kind="stable")
    landmarks = None
    if again.landmarks is not None and others.landmarks is not None:
        landmarks = np.concatenate((again.landmarks, others.landmarks))[order]
    boxes = np.concatenate((again.boxes, others.boxes))[order]
    return Detections(boxes, scores[order], landmarks)


def _are_large(faces: Detections, shape: Sequence[int], least: float = LARGE) -> NDArray[np.bool_]:
    return np.asarray(_sides(faces.boxes) >= least * max(shape[:2]))


def _sides(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).max(1))
