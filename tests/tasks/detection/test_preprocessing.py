"""The sixteen ways to show a network a photo."""

from __future__ import annotations

import numpy as np
import pytest

from pocketface.errors import UserError
from pocketface.tasks.detection.preprocessing import ALL_PREPROCESSINGS, Preprocessing


def test_the_sixteen() -> None:
    assert len(ALL_PREPROCESSINGS) == len({str(one) for one in ALL_PREPROCESSINGS}) == 16
    for one in ALL_PREPROCESSINGS:
        assert Preprocessing.parse(str(one)) == one
    with pytest.raises(
        UserError, match=r"--declared 'bgr,0-2,letterbox': expected bgr\|rgb,0-255\|0-1"
    ):
        Preprocessing.parse("bgr,0-2,letterbox")


def test_what_the_network_is_shown() -> None:
    blue = np.zeros((10, 20, 3), np.uint8)
    blue[..., 0] = 255
    shown = {
        str(one): one.apply(blue, height=20, width=20)[0][0, :, 2, 2] for one in ALL_PREPROCESSINGS
    }
    assert shown["bgr,0-255,stretch"].tolist() == [255, 0, 0]
    assert shown["rgb,0-1,letterbox"].tolist() == [0, 0, 1]
    assert shown["bgr,-1-1,stretch"].tolist() == [1, -1, -1]
    np.testing.assert_allclose(shown["rgb,imagenet,stretch"], [-2.1179, -2.0357, 2.64], atol=1e-4)
    low, high = (
        Preprocessing.parse(f"bgr,0-255,{how}").apply(blue, height=20, width=20, pad_value=7.0)
        for how in ("letterbox", "stretch")
    )
    assert low[0][0, :, 15, 5].tolist() == [7, 7, 7]
    assert high[0][0, :, 15, 5].tolist() == [255, 0, 0]
    assert low[1].scale_y == 1
    assert high[1].scale_y == 2
