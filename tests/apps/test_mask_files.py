"""Pictures of several faces' masks."""

from __future__ import annotations

import numpy as np

from pocketface.apps.mask_files import picture_of
from pocketface.mask import Mask


def test_a_head_s_empty_corner_leaves_its_neighbour_whole() -> None:
    """The rectangles that two networks saw overlap, though their faces do not."""
    image = np.random.default_rng(0).integers(1, 256, (20, 40, 3)).astype(np.uint8)
    shares = np.zeros((2, 1, 20, 30), np.float32)
    shares[0, :, :, :15] = shares[1, :, :, 15:] = 1
    masks = [
        Mask(share, left, 0, (20, 40), ("face",))
        for share, left in zip(shares, (0, 10), strict=True)
    ]
    for order in (masks, masks[::-1]):
        found = picture_of(image, order, kind="cutout")
        opaque = masks[0].mask | masks[1].mask
        np.testing.assert_array_equal(found[..., 3], 255 * opaque)
        np.testing.assert_array_equal(found[..., :3], image * opaque[..., None])
        np.testing.assert_array_equal(picture_of(image, order, kind="mask"), 255 * opaque)
