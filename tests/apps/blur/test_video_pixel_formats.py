"""Videos of old and rare pixel formats keep their colours, and lose their faces."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pocketface.apps.blur.cover import Cover
from pocketface.data.coded_videos import open_coded

from ...videos import write_packets, write_video
from .test_video import blurred, frames_of, pictures, redness

pytest.importorskip("av")


def colour(path: Path) -> NDArray[np.float64]:
    """Of the first frame far from its face, as shown: BGR."""
    return np.asarray(frames_of(path)[0].pixels[100:, 100:].mean((0, 1)))


@pytest.mark.parametrize("codec", ["h264", "vp9"])
@pytest.mark.parametrize(
    ("sampling", "pix_fmt"),
    [
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411, "yuvj411p"),
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440, "yuvj440p"),
    ],
)
def test_jpegs_of_rare_subsampling(tmp_path: Path, sampling: int, pix_fmt: str, codec: str) -> None:
    how = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    coded = [cv2.imencode(".jpg", one, how)[1].tobytes() for one in pictures(3)]
    source = write_packets(tmp_path / "v.avi", "mjpeg", coded, size=(160, 120))
    with open_coded(source) as video:
        assert video.kind.pix_fmt == pix_fmt
    output, _ = blurred(source, codec=codec)
    assert max(redness(output)) == 0
    assert colour(output) == pytest.approx(colour(source), abs=2)


def test_a_palette(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    coded = []
    for picture in pictures(3):
        buffer = io.BytesIO()
        Image.fromarray(picture[..., ::-1]).quantize(8).save(buffer, "PNG")
        coded.append(buffer.getvalue())
    source = write_packets(tmp_path / "v.mov", "png", coded, size=(160, 120))
    with open_coded(source) as video:
        assert video.kind.pix_fmt == "pal8"
    output, _ = blurred(source)
    assert caplog.text.count("pal8 becomes yuv420p, as h264 in MP4 does not have it") == 1
    assert max(redness(output)) == 0
    assert colour(output) == pytest.approx(colour(source), abs=2)


@pytest.mark.parametrize("pix_fmt", ["yuv440p", "uyvy422"])
def test_untagged_hd_of_a_format_that_the_codec_does_not_have(tmp_path: Path, pix_fmt: str) -> None:
    # swscale takes it for BT.601, players for BT.709.
    teal = np.full((720, 1280, 3), (150, 120, 30), np.uint8)
    codec = "rawvideo" if pix_fmt == "uyvy422" else "ffv1"
    source = write_video(tmp_path / "v.mkv", [teal], codec=codec, pix_fmt=pix_fmt)
    output, _ = blurred(source)
    assert colour(output) == pytest.approx(colour(source), abs=2)


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le"])
def test_untagged_grey(tmp_path: Path, pix_fmt: str) -> None:
    dark = [np.full((120, 160, 3), 10, np.uint8)]
    source = write_video(tmp_path / "v.mkv", dark, codec="ffv1", pix_fmt=pix_fmt)
    output, _ = blurred(source)
    assert colour(output) == pytest.approx(colour(source), abs=2)


def test_440_is_not_written_into_a_box_that_cannot_tell_it(tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mkv", pictures(3), codec="ffv1", pix_fmt="yuv440p")
    output, _ = blurred(source, codec="vp9")
    with open_coded(output) as video:
        assert video.kind.pix_fmt == "yuv420p"


@pytest.mark.parametrize(
    ("pix_fmt", "aspect"), [("yuv420p", 1), ("yuv422p", 1), ("yuv444p", 2), ("yuv420p", 2)]
)
def test_an_emoji_is_as_wide_as_high_whatever_a_pixel_is(
    tmp_path: Path, pix_fmt: str, aspect: int
) -> None:
    source = write_video(
        tmp_path / "v.mp4",
        pictures(2),
        codec="libx264",
        pix_fmt=pix_fmt,
        sample_aspect_ratio=Fraction(aspect),
    )
    output, _ = blurred(source, cover=Cover(style="emoji", shape="box", grow=1))
    before, after = (frames_of(one)[0].pixels.astype(int) for one in (source, output))
    assert before.shape == (120, 160 * aspect, 3)
    # Not grey any more: in 4:2:2 its colour reached further than its light.
    rows, columns = np.nonzero(np.abs(after - before).max(-1) > 24)
    assert np.ptp(columns) == pytest.approx(np.ptp(rows), rel=0.15)
