"""Pictures of several faces' masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pocketface.apps.mask_files import picture_of, places_of
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


@pytest.mark.parametrize(
    ("photos", "expected"),
    [
        ({"a/1.jpg": "1.jpg", "b/2.jpg": "2.jpg"}, ["1.jpg", "2.jpg"]),
        ({"a/1.jpg": "1.jpg", "b/1.jpg": "1.jpg"}, ["a/1.jpg", "b/1.jpg"]),
        (
            {"x/a/1.jpg": "1.jpg", "y/a/1.jpg": "1.jpg", "b/1.jpg": "1.jpg"},
            ["x/a/1.jpg", "y/a/1.jpg", "b/1.jpg"],
        ),
        # Below two folders that were named, and beside a third photo's own place.
        (
            {"a/c/1.jpg": "c/1.jpg", "b/c/1.jpg": "c/1.jpg", "d/a/c/1.jpg": "a/c/1.jpg"},
            ["x/a/c/1.jpg", "b/c/1.jpg", "d/a/c/1.jpg"],
        ),
        ({"../x/a/1.jpg": "1.jpg", "b/1.jpg": "1.jpg"}, ["a/1.jpg", "b/1.jpg"]),
    ],
)
def test_photos_of_one_name_are_in_their_own_folders(
    photos: dict[str, str],
    expected: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path / "x")
    given = {Path(path): Path(name) for path, name in photos.items()}
    places = places_of(given, "overlay", Path("out"), video=False)
    assert list(places) == list(given)
    assert [str(place) for place in places.values()] == [f"out/{name}" for name in expected]
