from __future__ import annotations

import contextlib
import logging
import os
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.data import media, videos
from pocketface.data.media import Timeline
from pocketface.data.videos import Video, open_video
from pocketface.errors import DataError, MissingPackageError

from ..videos import hidden_pyav, levels, write_video, write_with_bad_frame

pytest.importorskip("av")


def _read(path: Path) -> tuple[list[NDArray[np.uint8]], list[float]]:
    with open_video(path) as video:
        frames = list(video.frames)
    return [frame.pixels for frame in frames], [frame.time for frame in frames]


def _means(path: Path) -> list[float]:
    return [float(pixels.mean()) for pixels in _read(path)[0]]


def test_pictures_are_in_order_behind_b_frames_in_avi(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.avi", levels(12), codec="libx264")
    with open_video(path) as video:
        frames = list(video.frames)
    assert np.diff([frame.time for frame in frames]) == pytest.approx(0.1)
    assert [frame.pixels.mean() for frame in frames] == pytest.approx(
        [20 + 10 * index for index in range(12)], abs=4
    )


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("v.mp4", {"codec": "libx264"}),  # with B-frames
        ("v.mkv", {"codec": "libx264"}),
        ("v.avi", {"codec": "mpeg4"}),
        ("v.webm", {"codec": "libvpx-vp9"}),
        ("v.ts", {"codec": "mpeg2video", "rate": 25}),
        ("v.mov", {"codec": "prores_ks", "pix_fmt": "yuv422p10le"}),
        ("v.wmv", {"codec": "wmv2"}),
    ],
)
def test_every_frame_of_any_kind_of_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, settings: dict[str, Any]
) -> None:
    path = write_video(tmp_path / name, levels(8), **settings)
    with open_video(path) as video:
        frames = list(video.frames)
    rate = settings.get("rate", 10)
    assert [frame.time for frame in frames] == pytest.approx([n / rate for n in range(8)], abs=2e-3)
    assert [frame.pixels.mean() for frame in frames] == pytest.approx(
        [20 + 10 * index for index in range(8)], abs=4
    )
    assert all(frame.pixels.shape == (48, 64, 3) for frame in frames)
    assert frames[0].pixels.flags.c_contiguous
    assert not caplog.records


def test_what_is_known_before(tmp_path: Path) -> None:
    with open_video(write_video(tmp_path / "v.mp4", levels(8))) as video:
        assert (video.count, video.rate, video.duration) == (8, 10, pytest.approx(0.8))
    with open_video(write_video(tmp_path / "v.mkv", levels(8))) as video:
        assert video.count is None
        assert video.duration == pytest.approx(0.8, abs=0.01)
        times = [frame.time for frame in video.frames]
    assert video.total(4, times[4]) == 8
    assert video.total(9, times[-1]) == 10  # it cannot be fewer than there are


def test_without_length_there_is_no_total() -> None:
    assert Video(iter(()), rate=25, time_base=Fraction(1, 25)).total(3, 0.1) is None


def test_times_of_a_changing_rate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    times = [0, 0.033, 0.066, 0.1, 0.3, 0.5, 1.4]
    path = write_video(tmp_path / "v.mkv", levels(7), times=times)
    assert _read(path)[1] == pytest.approx(times)
    assert not caplog.records


def test_sound_that_begins_before_the_picture(tmp_path: Path) -> None:
    times = [0.5, 0.6]
    path = write_video(tmp_path / "v.mkv", levels(2), times=times, sound=[("aac", 1)])
    assert _read(path)[1] == pytest.approx(times, abs=0.03)


@pytest.mark.parametrize("name", ["v.ts", "v.mp4"])
def test_a_clock_that_starts_late(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, levels(20), rate=25, codec="mpeg2video", start=60)
    assert _read(path)[1] == pytest.approx([0.04 * index for index in range(20)])


def test_joined_recordings_of_two_sizes(tmp_path: Path) -> None:
    parts = [
        write_video(tmp_path / f"{width}.ts", levels(5, size=(width, 48)), rate=25, codec="libx264")
        for width in (64, 96)
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    pictures, times = _read(joined)
    # At the joint the format counts a packet as missing, so that one frame is not trusted.
    assert [pixels.shape[1] for pixels in pictures] == [64] * 4 + [96] * 5
    expected = [0.04 * index for index in range(10) if index != 2]
    assert times == pytest.approx(expected, abs=0.021)


@pytest.mark.parametrize("count", [1, 6])
def test_interlaced_frames_lose_their_comb_and_none_is_lost(tmp_path: Path, count: int) -> None:
    combs = levels(count)
    for index, picture in enumerate(combs):
        picture[:] = 10 + 32 * index
        picture[1::2] += 16  # the other field is taken between two frames
    interlaced_dct, interlaced_motion = 0x40000, 0x20000000
    path = write_video(
        tmp_path / "v.ts", combs, rate=25, codec="mpeg2video",
        flags=interlaced_dct | interlaced_motion,
    )  # fmt: skip
    pictures, times = _read(path)
    assert len(pictures) == count
    if count > 1:
        assert times == pytest.approx([0.04 * index for index in range(count)])
        for index, pixels in enumerate(pictures):
            assert abs(pixels.mean() - (18 + 32 * index)) < 10
            assert np.abs(np.diff(pixels[8:-8].astype(int), axis=0)).max() < 10


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_turned_and_mirrored_as_the_file_says(tmp_path: Path, degrees: int, mirrored: bool) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32], picture[24:, :32], picture[:24, 32:] = 200, 130, 70
    path = write_video(tmp_path / "v.mp4", [picture], turn=(degrees, mirrored))
    expected = np.rot90(picture, degrees // 90)
    expected = expected[:, ::-1] if mirrored else expected
    (pixels,), _ = _read(path)
    assert pixels.shape == expected.shape
    assert np.abs(pixels.astype(int) - expected).mean() < 5


@pytest.mark.parametrize(
    ("aspect", "shape"),
    [
        (Fraction(4, 3), (48, 85, 3)),
        (Fraction(3, 4), (64, 64, 3)),
        (Fraction(1), (48, 64, 3)),
        (Fraction(200), (48, 64, 3)),  # of a damaged header
    ],
)
def test_pixels_become_square(tmp_path: Path, aspect: Fraction, shape: tuple[int, ...]) -> None:
    path = write_video(tmp_path / "v.mp4", levels(2), sample_aspect_ratio=aspect)
    assert [pixels.shape for pixels in _read(path)[0]] == [shape] * 2


@pytest.mark.parametrize(
    "pix_fmt",
    ["yuv420p", "yuv444p10le", "gray", "gray16le", "yuva420p", "bgr0", "rgb48le", "yuv422p12le"],
)
def test_any_pixel_format_of_an_odd_size(tmp_path: Path, pix_fmt: str) -> None:
    path = write_video(tmp_path / "v.mkv", levels(3, size=(33, 17)), codec="ffv1", pix_fmt=pix_fmt)
    assert [pixels.shape for pixels in _read(path)[0]] == [(17, 33, 3)] * 3
    assert _means(path) == pytest.approx([20, 30, 40], abs=2)


@pytest.mark.parametrize(("height", "tag", "matrix"), [(48, 2, 601), (48, 1, 709), (720, 2, 709)])
def test_colours_by_the_tags_and_without_them_by_the_size(
    tmp_path: Path, height: int, tag: int, matrix: int
) -> None:
    import av
    from av.video.reformatter import Colorspace

    red = np.zeros((height, 64, 3), np.uint8)
    red[..., 2] = 200
    frame = av.VideoFrame.from_ndarray(red, format="bgr24").reformat(
        format="yuv444p",
        dst_colorspace=Colorspace.ITU709 if matrix == 709 else Colorspace.ITU601,
    )
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        stream: Any = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, height, "yuv444p"
        stream.codec_context.colorspace = tag
        frame.colorspace = tag
        container.mux([*stream.encode(frame), *stream.encode(None)])
    (pixels,), _ = _read(tmp_path / "v.mkv")
    assert pixels.reshape(-1, 3).mean(axis=0) == pytest.approx([0, 0, 200], abs=3)


@pytest.mark.full  # FFmpeg's table of this conversion takes seconds
def test_hdr_is_as_light_as_other_video(tmp_path: Path) -> None:
    path = write_video(
        tmp_path / "v.mkv", [np.full((48, 64, 3), 127, np.uint8)], codec="ffv1",
        pix_fmt="yuv420p10le", color_trc=16, color_primaries=9, colorspace=9,
    )  # fmt: skip
    # The half of PQ's range is 92 cd/m2 (SMPTE ST 2084); white paper has 203 (ITU-R BT.2408).
    assert _means(path)[0] == pytest.approx(255 * (92 / 203) ** 0.45, abs=10)


def test_one_damaged_frame_costs_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_with_bad_frame(tmp_path / "v.avi", count=8, bad=3)
    pictures, times = _read(path)
    assert times == pytest.approx([0, 0.1, 0.2, 0.4, 0.5, 0.6, 0.7])
    assert [pixels.mean() for pixels in pictures] == pytest.approx(
        [20, 30, 40, 60, 70, 80, 90], abs=2
    )
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{path}: 1 frame could not be decoded and is left out (7 were read)"
    )


def test_no_frame_is_shown_in_part(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (10, 48, 64, 3), np.uint8)
    path = write_video(
        tmp_path / "v.mov", list(noise), codec="mjpeg", pix_fmt="yuvj444p",
        options={"movflags": "+faststart"},
    )  # fmt: skip
    whole, _ = _read(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    pictures, _ = _read(path)
    assert 3 <= len(pictures) <= 6
    assert all((ours == theirs).all() for ours, theirs in zip(pictures, whole, strict=False))
    (record,) = caplog.records
    assert f"1 frame could not be decoded and is left out ({len(pictures)} were" in record.message
    assert "of 1.0 s: is it cut off?" in record.message


@pytest.mark.parametrize("name", ["v.mkv", "v.avi"])
def test_a_file_cut_off_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    path = write_video(tmp_path / name, levels(20), codec="mjpeg", pix_fmt="yuvj420p")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert 5 <= len(_means(path)) < 15
    (record,) = caplog.records
    assert "of 2.0 s: is it cut off?" in record.message
    assert record.levelno == logging.WARNING


def test_what_was_left_out_before_a_break_is_told_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_video(write_with_bad_frame(tmp_path / "v.avi", count=8, bad=1)) as video:
        next(video.frames)
        next(video.frames)
    (record,) = caplog.records
    assert record.message.endswith(
        "v.avi: 1 frame could not be decoded and is left out (2 were read)"
    )


def _refused(path: Path) -> str:
    with pytest.raises(DataError) as caught, open_video(path):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "text " * 1000,
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9,\nwhole.mp4\n",
        "ffconcat version 1.0\nfile whole.mp4\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n",
    ],
    ids=["text", "HLS", "concat", "SDP"],
)
def test_texts_and_lists_of_other_files_are_no_videos(tmp_path: Path, text: str) -> None:
    write_video(tmp_path / "whole.mp4", levels(2))
    (tmp_path / "v.mp4").write_text(text)
    assert "v.mp4: not a video that can be decoded" in _refused(tmp_path / "v.mp4")


def test_what_is_no_file_with_pictures_is_refused(tmp_path: Path) -> None:
    import av

    os.mkfifo(tmp_path / "pipe.mp4")
    assert "pipe.mp4: not a video: it is no regular file" in _refused(tmp_path / "pipe.mp4")
    assert "not a video: it is no regular file" in _refused(tmp_path)
    assert "none.mp4: cannot be read: No such file" in _refused(tmp_path / "none.mp4")
    (tmp_path / "empty.mp4").touch()
    assert "empty.mp4: not a video: the file is empty" in _refused(tmp_path / "empty.mp4")
    write_video(tmp_path / "v.mkv", levels(2), sound=[("aac", 0.5)])
    with (
        av.open(str(tmp_path / "v.mkv")) as source,
        av.open(str(tmp_path / "a.mp4"), "w") as target,
    ):
        track = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = track
                target.mux(packet)
    assert "a.mp4: not a video: it has sound alone" in _refused(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("name", "codec", "message"),
    [
        ("v.mp4", "libx264", "v.mp4: frames of 64 x 48 pixels: above the limit of 3,071 pixels"),
        ("v.webm", "libvpx-vp9", "frames of this video (vp9) have no size, or more than 3,071"),
    ],
)
def test_large_frames_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, codec: str, message: str
) -> None:
    path = write_video(tmp_path / name, levels(2), codec=codec)
    for module in (media, videos):
        monkeypatch.setattr(module, "MAX_PIXELS", 64 * 48 - 1)
    assert message in _refused(path)


def test_large_frames_that_come_later_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    parts = [
        write_video(tmp_path / f"{width}.ts", levels(5, size=(width, 48)), rate=25, codec="libx264")
        for width in (64, 96)
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    monkeypatch.setattr(videos, "MAX_PIXELS", 80 * 48)
    assert {pixels.shape[1] for pixels in _read(joined)[0]} == {64}
    assert "could not be decoded" in caplog.text


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_video(tmp_path / "v.mp4", levels(20, size=(128, 96)), codec="libx264")
    content = bytearray(path.read_bytes())
    content[len(content) // 3 :: 50] = bytes(len(content[len(content) // 3 :: 50]))
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        _read(path)
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def test_without_pyav_the_extra_is_named(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", levels(2))
    with (
        hidden_pyav(),
        pytest.raises(MissingPackageError, match=r"pocketface\[video\]"),
        open_video(path),
    ):
        pass


def _timeline(**stream: Any) -> Timeline:
    stream = {"time_base": Fraction(1, 100), "average_rate": 10} | stream
    return Timeline(1000, SimpleNamespace(**stream), 20.0)


@pytest.mark.parametrize(
    ("stamps", "placed"),
    [
        ([1000, 1010, 1025], [0, 10, 25]),
        ([None, None, 1025], [0, 10, 25]),
        ([1000, 1000, 1000, 1030], [0, 1, 2, 30]),  # repeated
        ([1000, 1010, 1005, 1030], [0, 10, 11, 30]),  # out of order
        ([1000, 1500, 200, 210, 230], [0, 500, 510, 520, 540]),  # begins again
        ([1000, 1010, 99_000, 1030], [0, 10, 20, 30]),  # one that is damaged
    ],
)
def test_times_of_odd_timestamps(stamps: list[int | None], placed: list[int]) -> None:
    timeline = _timeline()
    assert [timeline.place(stamp) for stamp in stamps] == placed
