from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.apps.video_file import video_file
from pocketface.data.videos import open_video
from pocketface.errors import PocketfaceError

from ..full_disk import full_disk
from ..videos import hidden_pyav, levels, write_video

av = pytest.importorskip("av")

UNIT = Fraction(1, 1000)


def _write(
    path: Path,
    pictures: list[NDArray[np.uint8]],
    *,
    times: list[float] | None = None,
    sound: Path | None = None,
    ended: bool = True,
) -> Path:
    with video_file(path, rate=10, time_base=UNIT, sound=sound) as video:
        for index, picture in enumerate(pictures):
            video.write(picture, times[index] if times else index / 10)
        if ended:
            video.finish()
    return path


def _tracks(path: Path) -> list[list[Any]]:
    """The packets of each sound track."""
    with av.open(str(path)) as container:
        tracks: list[list[Any]] = [[] for _ in container.streams.audio]
        numbers = [stream.index for stream in container.streams.audio]
        for packet in container.demux():
            if packet.size and packet.stream_index in numbers:
                tracks[numbers.index(packet.stream_index)].append(packet)
    return tracks


def test_times_sizes_and_pictures_come_back(tmp_path: Path) -> None:
    times = [0.25, 0.283, 0.316, 0.9, 1.4, 2.0]
    path = _write(tmp_path / "v.mp4", levels(6, size=(66, 48)), times=times)
    with open_video(path) as video:
        frames = list(video.frames)
    assert [frame.time for frame in frames] == pytest.approx([time - times[0] for time in times])
    assert video.duration == pytest.approx(2.35, abs=0.002)  # the last stays like the one before
    assert [frame.pixels.shape for frame in frames] == [(48, 66, 3)] * 6
    assert [frame.pixels.mean() for frame in frames] == pytest.approx(range(20, 80, 10), abs=2)


@pytest.mark.parametrize(("height", "code"), [(48, 6), (720, 1)])
def test_what_browsers_play_in_the_colours_of_the_pictures(
    tmp_path: Path, height: int, code: int
) -> None:
    colour = np.full((height, 64, 3), (30, 90, 200), np.uint8)
    path = _write(tmp_path / "v.mp4", [colour] * 2)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_trc, context.color_primaries) == (code,) * 3
        assert context.color_range == 1
        assert stream.sample_aspect_ratio == 1
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    with open_video(path) as video:
        shown = next(video.frames).pixels
    assert shown.reshape(-1, 3).mean(axis=0) == pytest.approx([30, 90, 200], abs=4)


def test_an_odd_size_grows_by_a_copy_of_its_edge(tmp_path: Path) -> None:
    picture = np.zeros((47, 63, 3), np.uint8)
    picture[-16:, -15:] = 255
    with open_video(_write(tmp_path / "v.mp4", [picture])) as video:
        shown = next(video.frames).pixels
    assert shown.shape == (48, 64, 3)
    assert shown[-14:, -14:].min() > 240
    assert shown[:30, :46].max() < 15


def test_another_size_is_fitted_into_the_first(tmp_path: Path) -> None:
    pictures = [np.full((48, 64, 3), 255, np.uint8), np.full((48, 24, 3), 255, np.uint8)]
    with open_video(_write(tmp_path / "v.mp4", pictures)) as video:
        first, second = (frame.pixels for frame in video.frames)
    assert first.shape == second.shape == (48, 64, 3)
    assert second[:, 22:42].min() > 230  # in the middle, of its own shape
    assert max(second[:, :16].max(), second[:, 48:].max()) < 25


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    with open_video(_write(tmp_path / "v.mp4", levels(1, size=(2, 2)))) as video:
        assert len(list(video.frames)) == 1
    assert video.duration == pytest.approx(0.1, abs=0.002)


@pytest.mark.parametrize(("lasts", "length"), [(None, 1.6), (0.04, 0.84)])
def test_how_long_the_last_frame_stays(tmp_path: Path, lasts: float | None, length: float) -> None:
    with video_file(tmp_path / "v.mp4", rate=10, time_base=UNIT) as out:
        for time, picture in zip([0, 0.8], levels(2), strict=True):
            out.write(picture, time, lasts)
    with open_video(tmp_path / "v.mp4") as video:
        assert video.duration == pytest.approx(length, abs=0.002)
        assert [frame.lasts for frame in video.frames][-1] == pytest.approx(length - 0.8)


def test_times_that_do_not_grow(tmp_path: Path) -> None:
    with open_video(_write(tmp_path / "v.mp4", levels(3), times=[0, 0.1, 0.1])) as video:
        assert [frame.time for frame in video.frames] == pytest.approx([0, 0.1, 0.101])


@pytest.mark.parametrize(
    ("name", "codec", "kept"),
    [
        ("v.mp4", "aac", True),
        ("v.ts", "aac", True),
        ("v.mkv", "libmp3lame", True),
        ("v.mkv", "flac", True),
        ("v.mkv", "ac3", True),
        ("v.mkv", "mp2", False),
        ("v.avi", "pcm_s16le", False),
    ],
)
def test_sound_is_copied_where_players_know_it(
    tmp_path: Path, name: str, codec: str, kept: bool
) -> None:
    source = write_video(tmp_path / name, levels(20), rate=25, codec="mpeg2video",
                         sound=[(codec, 0.8)])  # fmt: skip
    (before,) = _tracks(source)
    (after,) = _tracks(_write(tmp_path / "out.mp4", levels(8), sound=source))
    with av.open(str(tmp_path / "out.mp4")) as container:
        track = container.streams.audio[0]
        assert track.codec_context.codec.canonical_name == (
            codec.removeprefix("lib").removesuffix("lame") if kept else "aac"
        )
        assert float(track.duration * track.time_base) == pytest.approx(0.8, abs=0.06)
    if kept and name != "v.ts":  # there each packet has a head of its own
        assert [bytes(packet) for packet in after] == [bytes(packet) for packet in before]
    first = float(before[0].pts * before[0].time_base)
    start = float(after[0].pts * after[0].time_base)
    if name == "v.mkv" and kept:
        assert start == pytest.approx(first, abs=0.002)


def test_all_tracks_and_their_languages_are_kept(tmp_path: Path) -> None:
    source = write_video(
        tmp_path / "v.mkv", levels(5), sound=[("aac", 0.5), ("mp2", 0.5)],
        languages=["deu", "eng"],
    )  # fmt: skip
    _write(tmp_path / "out.mp4", levels(5), sound=source)
    with av.open(str(tmp_path / "out.mp4")) as container:
        kinds = [(track.name, track.language) for track in container.streams.audio]
    assert kinds == [("aac", "deu"), ("aac", "eng")]


@pytest.mark.parametrize(("ended", "length"), [(True, 2.0), (False, 0.5)])
def test_sound_that_outlasts_the_picture(tmp_path: Path, ended: bool, length: float) -> None:
    source = write_video(tmp_path / "v.mkv", levels(5), sound=[("aac", 2), ("mp2", 2)])
    tracks = _tracks(_write(tmp_path / "out.mp4", levels(5), sound=source, ended=ended))
    for track in tracks:
        end = float((track[-1].pts + track[-1].duration) * track[-1].time_base)
        assert end == pytest.approx(length, abs=0.06)


@pytest.mark.parametrize("codec", ["aac", "mp2"])
def test_sound_of_a_clock_that_starts_late(tmp_path: Path, codec: str) -> None:
    source = write_video(
        tmp_path / "v.ts", levels(20), rate=25, codec="mpeg2video", start=60, sound=[(codec, 0.8)]
    )
    (track,) = _tracks(_write(tmp_path / "out.mp4", levels(8), sound=source))
    assert float(track[0].pts * track[0].time_base) == pytest.approx(0, abs=0.06)
    assert float(track[-1].pts * track[-1].time_base) == pytest.approx(0.78, abs=0.06)


def test_a_source_without_sound(tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mkv", levels(5))
    assert _tracks(_write(tmp_path / "out.mp4", levels(5), sound=source)) == []


def test_the_place_of_a_recording_is_not_told(tmp_path: Path) -> None:
    place = "+48.1000+011.5000/"
    source = write_video(
        tmp_path / "v.mov", levels(5), sound=[("aac", 0.5)],
        metadata={"location": place, "title": "secret"},
        options={"movflags": "use_metadata_tags"},
    )  # fmt: skip
    assert b"+48.1000" in source.read_bytes()
    content = _write(tmp_path / "out.mp4", levels(5), sound=source).read_bytes()
    assert b"+48" not in content
    assert b"secret" not in content


@pytest.mark.parametrize("count", [3, 60])
def test_a_full_disk_is_named_and_leaves_the_old_file(tmp_path: Path, count: int) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"old")
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    pictures = [np.roll(noise, 7 * index) for index in range(count)]
    with full_disk(20_000), pytest.raises(OSError, match="File too large") as caught:
        _write(path, pictures)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["v.mp4"]


def test_a_size_that_the_encoder_refuses(tmp_path: Path) -> None:
    with pytest.raises(PocketfaceError, match=r"an H\.264 video of 16500x2 pixels cannot be begun"):
        _write(tmp_path / "v.mp4", [np.zeros((2, 16500, 3), np.uint8)])
    assert not any(tmp_path.iterdir())


def test_without_a_frame_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), video_file(tmp_path / "v.mp4", rate=10, time_base=UNIT):
        raise KeyboardInterrupt
    assert not any(tmp_path.iterdir())


def test_without_pyav_frames_are_repeated_to_keep_the_times(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with hidden_pyav():
        path = _write(tmp_path / "v.mp4", levels(4), times=[0, 0.1, 0.12, 0.5])
    capture = cv2.VideoCapture(str(path))
    assert capture.get(cv2.CAP_PROP_FPS) == 10
    shown = []
    while (read := capture.read())[0]:
        shown.append(float(read[1].mean()))
    # At 0.2 to 0.5 s the picture of 0.5 s, as it comes when those times are over.
    assert shown == pytest.approx([20, 30, 50, 50, 50, 50], abs=4)
    assert caplog.text.count("pip install 'pocketface[video]'") == 1


@pytest.mark.parametrize("fps", [0.5, 23.976, 65.001, 119.963, 480.0])
def test_without_pyav_any_pace_is_written(tmp_path: Path, fps: float) -> None:
    # MPEG-4 counts no finer than in 65,535ths of a second.
    with hidden_pyav(), video_file(tmp_path / "v.mp4", rate=fps, time_base=UNIT) as video:
        video.write(levels(1)[0], 0)
    found = cv2.VideoCapture(str(tmp_path / "v.mp4")).get(cv2.CAP_PROP_FPS)
    assert found == pytest.approx(fps, abs=0.01)


def test_without_pyav_a_size_that_the_encoder_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2.VideoWriter, "isOpened", lambda _: False)
    message = "OpenCV cannot begin an MPEG-4 video of 64x48 at 10 frames/s"
    with hidden_pyav(), pytest.raises(PocketfaceError, match=message):
        _write(tmp_path / "v.mp4", levels(2))
    assert not any(tmp_path.iterdir())
