"""Heads cut from photos, with their masks: what a network sees, and what it should say."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ...data.align import similarity
from ...data.images import read_image
from ...data.mask_pairs import MaskPair, read_mask
from ...model_templates.contract import InputSpec
from .placing import cut_head, stretch

Pixels = NDArray[np.uint8]


def head_transform(pair: MaskPair, shape: tuple[int, ...], spec: InputSpec) -> NDArray[np.float64]:
    """From a photo's pixels to the input's, float64 (2, 3).

    A photo without landmarks is a head already cut: its edges become the input's.
    """
    if pair.landmarks is not None:
        assert spec.points is not None
        return similarity(pair.landmarks, spec.points)
    return stretch(shape, spec)


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
    return cut_pair(image, truth, head_transform(pair, image.shape, spec), spec)


def cut_pair(
    image: Pixels, truth: Pixels, transform: NDArray[np.float64], spec: InputSpec
) -> tuple[Pixels, Pixels]:
    """Cut a photo by `cut_head`, and its truth with it, each pixel from the nearest one."""
    return cut_head(image, transform, spec), cut_truth(truth, transform, spec)


def cut_truth(truth: Pixels, transform: NDArray[np.float64], spec: InputSpec) -> Pixels:
    """Cut a truth, uint8 (H, W), as `cut_face` cuts a photo; 0 beyond its edges."""
    shifted = transform.copy()
    shifted[:, 2] += transform[:, :2] @ (0.5, 0.5) - 0.5
    size = (spec.width, spec.height)
    return np.asarray(cv2.warpAffine(truth, shifted, size, flags=cv2.INTER_NEAREST), np.uint8)
