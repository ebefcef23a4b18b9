"""From the size that a photo was labelled in to the size that it has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pocketface.data.coco import Photo
from pocketface.errors import ImageError


def labelled(width: int, height: int) -> Photo:
    nothing = np.zeros((0, 4), np.float32)
    points = np.zeros((0, 5, 2), np.float32)
    return Photo(Path("a.jpg"), 1, width, height, nothing, np.zeros(0, np.bool_), points)


@pytest.mark.parametrize(
    ("width", "height"),
    [
        (1920, 1080),
        (640, 360),
        (100, 56),  # 56.25
        (1920, 1100),  # by less than 2 %
    ],
)
def test_another_size_of_the_same_shape(width: int, height: int) -> None:
    scale = labelled(1920, 1080).scale_to(height, width)
    assert scale.dtype == np.float32
    np.testing.assert_allclose(scale, [width / 1920, height / 1080], rtol=1e-6)


@pytest.mark.parametrize(("width", "height"), [(1920, 1188), (1920, 972), (1824, 1080), (500, 310)])
def test_another_shape_is_refused(width: int, height: int) -> None:
    """5 or 10 % are a photo that was cut, not a rounding."""
    with pytest.raises(ImageError) as caught:
        labelled(1920, 1080).scale_to(height, width)
    assert f"a.jpg: is {width}x{height}, and was labelled as 1920x1080" in str(caught.value)
    assert "EXIF" not in str(caught.value)


def test_a_turned_photo_is_told_of() -> None:
    with pytest.raises(ImageError, match="before its EXIF orientation turned it"):
        labelled(1920, 1080).scale_to(1920, 1080)
