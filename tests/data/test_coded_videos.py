"""Stored frames of videos, of any pixel format."""

from __future__ import annotations

import numpy as np
import pytest

from pocketface.data.coded_videos import digest_of

av = pytest.importorskip("av")


@pytest.mark.parametrize(
    ("pix_fmt", "used"),
    [
        ("gray", 70),
        ("gray10le", 140),
        ("yuv420p", 70),
        ("yuv420p10le", 140),
        ("nv12", 70),
        ("pal8", 70),
        ("monob", 9),
        ("rgb565le", 140),
        ("uyvy422", 140),
        ("bgr0", 280),
    ],
)
def test_the_digest_is_that_of_all_pixels_and_of_no_gap(pix_fmt: str, used: int) -> None:
    frame = av.VideoFrame(70, 48, pix_fmt)
    planes = [np.frombuffer(plane, np.uint8) for plane in frame.planes]
    for plane in planes:
        plane[:] = 0
    rows = planes[0].reshape(48, -1)
    assert used < rows.shape[1]
    black = digest_of(frame)
    rows[:, used:] = 9
    assert digest_of(frame) == black
    rows[47, used - 1] = 9
    assert digest_of(frame) != black


def test_the_digest_is_also_that_of_a_palette() -> None:
    frame = av.VideoFrame(70, 48, "pal8")
    before = digest_of(frame)
    palette = np.frombuffer(frame.planes[1], np.uint8)
    palette[-1] ^= 1
    assert digest_of(frame) != before
