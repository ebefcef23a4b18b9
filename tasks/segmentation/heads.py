"""Heads cut from photos, with their masks: what a network sees, and what it should say."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ...data.align import Transform, cut_face, from_centres, similarity
from ...data.images import read_image
from ...data.mask_pairs import MaskPair, block_shares, read_mask, read_mask_values
from ...errors import ImageError
from ...model_templates.contract import InputSpec
from .placing import stretch

Pixels = NDArray[np.uint8]


def read_head(pair: MaskPair, spec: InputSpec) -> tuple[Pixels, Pixels]:
    """A head and its truth at the size of an input.

    Returns:
        uint8 (height, width, 3) BGR, black beyond the photo; and uint8 (height, width), see
        `data.mask_pairs.read_mask`.

    Raises:
        ImageError: The photo or the mask cannot be decoded.
        DataError: See `read_mask`.
    """
    image = read_image(pair.path)
    truth = read_mask(pair, shape=image.shape)
    transform = _transform(pair, image.shape, spec)
    return cut_face(image, transform, spec), _cut_truth(truth, transform, spec)


def read_truth(pair: MaskPair, spec: InputSpec) -> Pixels | None:
    """The truth of a head whose photo cannot be decoded; None if its mask cannot, either.

    Returns:
        uint8 (height, width), as `read_head` has it.

    Raises:
        DataError: See `data.mask_pairs.read_mask`.
    """
    try:
        shape = read_mask_values(pair.mask_path).shape
    except ImageError:
        return None
    return _cut_truth(read_mask(pair, shape=shape), _transform(pair, shape, spec), spec)


def _transform(pair: MaskPair, shape: tuple[int, ...], spec: InputSpec) -> Transform:
    """From a photo's pixels to the input's; a photo without landmarks is a head already cut."""
    if pair.landmarks is None:
        return stretch(shape, spec)
    assert spec.points is not None  # guaranteed by the rules
    return similarity(pair.landmarks, spec.points)


def _cut_truth(truth: Pixels, transform: Transform, spec: InputSpec) -> Pixels:
    """Cut a truth, uint8 (H, W), as `cut_face` cuts a photo; 0 beyond its edges.

    Where it shrinks to a half or less the pixels of each block vote first: of 2 x 2 or 4 x 4 none
    is in the middle, and all of the truth would lie beside the picture.
    """
    size = (spec.width, spec.height)
    # Landmarks that are no face's may ask for blocks of any size.
    scales = np.linalg.norm(transform[:, :2], axis=0).clip(1 / np.array(truth.shape[1::-1]))
    width, height = (max(1, int(1 / one + 1e-9)) for one in scales)
    if max(width, height) > 1:
        truth = _voted(truth, width, height)
        transform = transform * (width, height, 1)
    cut = cv2.warpAffine(truth, from_centres(transform), size, flags=cv2.INTER_NEAREST)
    return np.asarray(cut, np.uint8)


def _voted(truth: Pixels, width: int, height: int) -> Pixels:
    """The most frequent value of each block; of several now the least, now the largest.

    So that neither of two classes wins at all borders.
    """
    rows, columns = -(-truth.shape[0] // height), -(-truth.shape[1] // width)
    down, right = rows * height - truth.shape[0], columns * width - truth.shape[1]
    whole = np.pad(truth, ((0, down), (0, right)), "edge")
    leaning = 1e-5 * (np.indices((rows, columns)).sum(0) % 2 - 0.5)
    votes = [
        share + value * leaning for value, share in enumerate(block_shares(whole, (columns, rows)))
    ]
    return np.asarray(np.argmax(votes, axis=0), np.uint8)
