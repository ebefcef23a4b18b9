"""Videos keep all but their faces, and are not there before they are whole."""

from __future__ import annotations

import itertools
import json
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.apps.blur.cover import Cover
from pocketface.apps.blur.video import BlurredVideo, VideoRequest, blur_video
from pocketface.data.coded_videos import open_coded
from pocketface.data.videos import open_video
from pocketface.errors import DataError, PocketfaceError, UserError
from pocketface.results import Detections

from ...full_disk import full_disk
from ...videos import levels, write_video, write_with_bad_frame

av = pytest.importorskip("av")

Picture = NDArray[np.uint8]


class RedFinder:
    """Takes what is red for a face."""

    score = 0.3
    faint_score = 0.2
    least_score = 0.0
    second_opinion = None

    def __init__(self, seen: Any = None, at_once: int = 1) -> None:
        self.seen = seen
        self.at_once = at_once
        self.count = 0
        self.closer: list[bool] = []

    def find_all(self, image: Picture, *, score: float, closer: bool = True) -> Detections:
        assert score <= 0.3
        self.count += 1
        self.closer.append(closer)
        if self.seen is not None:
            self.seen(self.count)
        red = (image[..., 2].astype(int) - image[..., 1] > 60).nonzero()
        if not len(red[0]):
            return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
        box = [red[1].min(), red[0].min(), red[1].max() + 1, red[0].max() + 1]
        return Detections(np.array([box], np.float32), np.array([0.9], np.float32))

    def are_sure(self, faces: Detections, _: Picture) -> NDArray[np.bool_]:
        return np.asarray(faces.scores >= self.score)

    def are_doubtful(self, faces: Detections, _: Picture) -> NDArray[np.bool_]:
        return np.asarray(faces.scores < 2 * self.score)


def pictures(count: int, *, size: tuple[int, int] = (160, 120)) -> list[Picture]:
    """A red square with a pattern, 32 pixels wide, that moves over grey."""
    made = []
    for index in range(count):
        picture = np.full((size[1], size[0], 3), 110, np.uint8)
        x = 20 + 3 * index
        picture[40:72, x : x + 32] = (20, 20, 200)
        picture[44:68:8, x : x + 32] = (20, 20, 90)
        made.append(picture)
    return made


def blurred(source: Path, **settings: Any) -> tuple[Path, BlurredVideo]:
    output = source.with_name("blurred.mp4")
    settings.setdefault("finder", RedFinder())
    settings.setdefault("cover", Cover(style="solid", shape="box"))
    return output, blur_video(VideoRequest(source=source, output=output, **settings))


def frames_of(path: Path) -> list[Any]:
    with open_video(path) as video:
        return list(video.frames)


def redness(path: Path) -> list[int]:
    """Of each frame, as shown, the number of red pixels."""
    counts = []
    for frame in frames_of(path):
        counts.append(int((frame.pixels[..., 2].astype(int) - frame.pixels[..., 1] > 60).sum()))
    return counts


def ticks(path: Path) -> tuple[list[Fraction], list[Fraction]]:
    """Time and length of each frame, in seconds, as the file has them."""
    with av.open(str(path)) as container:
        packets = [one for one in container.demux(video=0) if one.size]
    packets.sort(key=lambda one: one.pts)
    return (
        [one.pts * one.time_base for one in packets],
        [one.duration * one.time_base for one in packets],
    )


def sounds(path: Path) -> list[tuple[str, list[tuple[Fraction, bytes]]]]:
    tracks = []
    with av.open(str(path)) as container:
        count = len(container.streams.audio)
    for number in range(count):
        with av.open(str(path)) as container:
            stream = container.streams.audio[number]
            packets = [
                (one.pts * one.time_base, bytes(one)) for one in container.demux(stream) if one.size
            ]
            tracks.append((stream.codec_context.name, packets))
    return tracks


def test_a_variable_rate_and_the_sound_stay_exact_to_a_tick(tmp_path: Path) -> None:
    # The clip of 2.80 s that another tool made 5.04 s of, and its sound not.
    steps = [0.04] * 20 + [0.02] * 20 + [0.1] * 10 + [0.2] * 3
    times = [round(sum(steps[:index]), 3) for index in range(len(steps))]
    source = write_video(
        tmp_path / "v.mp4",
        pictures(len(steps), size=(208, 120)),
        times=times,
        sound=[("aac", 2.8), ("aac", 1.5)],
        languages=["eng", "rus"],
    )
    output, done = blurred(source)
    assert ticks(output) == ticks(source)
    assert sounds(output) == sounds(source)
    with av.open(str(output)) as container:
        assert [one.language for one in container.streams.audio] == ["eng", "rus"]
        assert container.duration / 1e6 == pytest.approx(2.8, abs=0.03)
    assert max(redness(output)) == 0
    assert min(redness(source)) > 500
    assert done.black == 0
    assert len(done.tracks.paths) == 1


def test_sound_can_be_left_out(tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mp4", pictures(3), sound=[("aac", 0.3)])
    assert sounds(blurred(source, keep_audio=False)[0]) == []


def test_what_begins_late_begins_late(tmp_path: Path) -> None:
    source = write_video(
        tmp_path / "v.mp4", pictures(4), times=[0.5, 0.6, 0.7, 0.8], sound=[("aac", 1.2)]
    )
    output, _ = blurred(source)
    assert ticks(output)[0] == ticks(source)[0]
    assert sounds(output) == sounds(source)


@pytest.mark.parametrize("turn", [(90, False), (180, False), (270, False), (0, True), (90, True)])
def test_turned_frames_stay_turned_and_are_hidden_where_they_are_shown(
    tmp_path: Path, turn: tuple[int, bool]
) -> None:
    source = write_video(
        tmp_path / "v.mp4", pictures(4), turn=turn, sample_aspect_ratio=Fraction(4, 3)
    )
    output, _ = blurred(source)
    with open_coded(source) as before, open_coded(output) as after:
        assert after.kind.matrix == before.kind.matrix
        assert after.kind.matrix != (1, 0, 0, 1)
        assert after.kind.pixel_aspect == Fraction(4, 3)
        assert (after.kind.width, after.kind.height) == (160, 120)
    assert max(redness(output)) == 0
    hidden = [(frame.pixels.max(-1) < 40).sum() for frame in frames_of(output)]
    assert max(hidden) < 8000  # and not much more than the face


@pytest.mark.parametrize(
    ("codec", "encoder", "pix_fmt", "settings"),
    [
        ("h264", "libx264", "yuv420p10le", {"color_primaries": 9, "color_trc": 16}),
        ("hevc", "libx265", "yuv420p10le", {"color_primaries": 9, "color_trc": 18}),
        ("av1", "libx265", "yuv420p10le", {"color_primaries": 1, "color_trc": 1}),
        ("h264", "libx264", "yuv422p", {"color_primaries": 1, "color_trc": 1}),
        ("hevc", "libx264", "yuv444p", {"color_primaries": 1, "color_trc": 1}),
        ("h264", "mjpeg", "yuvj420p", {}),
        ("vp9", "libx264", "yuv420p", {"color_primaries": 1, "color_trc": 1}),
    ],
)
def test_depth_and_colours_stay(
    tmp_path: Path, codec: str, encoder: str, pix_fmt: str, settings: dict[str, int]
) -> None:
    matrix = 9 if settings.get("color_primaries") == 9 else 1
    if settings:
        settings = {**settings, "colorspace": matrix, "color_range": 1}
    source = write_video(
        tmp_path / "v.mkv", pictures(3), codec=encoder, pix_fmt=pix_fmt, **settings
    )
    output, _ = blurred(source, codec=codec)
    with open_coded(source) as before, open_coded(output) as after:
        found, expected = after.kind, before.kind
    if pix_fmt == "yuvj420p":  # the range may stand in the name
        assert (found.pix_fmt, found.colours[3]) in [("yuv420p", 2), ("yuvj420p", 2)]
    else:
        assert found.pix_fmt == expected.pix_fmt
        # VP9 has no place for primaries and transfer function, MP4 has.
        assert found.colours == expected.colours
    assert max(redness(output)) == 0
    shown = [one[0].pixels[100:, 100:].mean() for one in map(frames_of, (source, output))]
    assert shown[1] == pytest.approx(shown[0], abs=2)
    assert ticks(output)[0] == pytest.approx(ticks(source)[0], abs=0.0005)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_the_metadata_of_hdr10_stay(tmp_path: Path, codec: str) -> None:
    light = (
        "log-level=none:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)"
        "L(10000000,50):max-cll=1000,400"
    )
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx265", rate=10, options={"x265-params": light})
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p10le"
        for picture in pictures(3):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            container.mux(stream.encode(frame.reformat(format="yuv420p10le")))
        container.mux(stream.encode(None))
    output, _ = blurred(path, codec=codec)
    with open_coded(path) as before, open_coded(output) as after:
        assert len(before.kind.light) == 2
        names = [name for name, _ in after.kind.light]
        assert names == ["CONTENT_LIGHT_LEVEL", "MASTERING_DISPLAY_METADATA"]
        assert after.kind.light[0] == before.kind.light[0]
        numbers = [np.frombuffer(one.kind.light[1][1], np.int32) for one in (before, after)]
    ratios = [one[0:20:2] / one[1:20:2] for one in numbers]
    assert ratios[1] == pytest.approx(ratios[0])
    with pytest.raises(DataError, match="HDR10 cannot be kept by av1"):
        blurred(path, codec="av1")


def test_what_a_codec_cannot_keep_is_refused(tmp_path: Path) -> None:
    deep = write_video(tmp_path / "d.mkv", pictures(2), codec="libx265", pix_fmt="yuv420p12le")
    with pytest.raises(DataError, match=r"yuv420p12le, 12 bits a colour, cannot be kept by h264"):
        blurred(deep)
    clear = write_video(tmp_path / "c.mov", pictures(2), codec="qtrle", pix_fmt="argb")
    with pytest.raises(DataError, match="argb has transparency"):
        blurred(clear)
    with pytest.raises(UserError, match="--codec h263: expected one of h264, hevc, vp9, av1"):
        blurred(deep, codec="h263")


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "vp9"])
def test_odd_sizes(tmp_path: Path, codec: str) -> None:
    source = write_video(
        tmp_path / "v.avi", pictures(3, size=(161, 119)), codec="png", pix_fmt="rgb24"
    )
    output, _ = blurred(source, codec=codec)
    with open_coded(output) as video:
        even = codec in ("h264", "hevc")
        assert (video.kind.width, video.kind.height) == ((162, 120) if even else (161, 119))
    assert max(redness(output)) == 0


def test_other_streams_and_metadata_are_dropped(tmp_path: Path) -> None:
    source = write_video(
        tmp_path / "v.mp4",
        pictures(3),
        metadata={"title": "secret", "location": "+52.5+13.4/", "comment": "secret"},
        options={"movflags": "use_metadata_tags"},
    )
    assert b"secret" in source.read_bytes()
    content = blurred(source)[0].read_bytes()
    assert b"secret" not in content
    assert b"+52.5" not in content
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize("cover", [False, True])
def test_a_second_stream_of_pictures_is_named_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, cover: bool
) -> None:
    source = tmp_path / "v.mp4"
    with av.open(str(source), "w") as container:
        streams = []
        for number, size in enumerate([(160, 120), (96, 64)]):
            codec = "png" if cover and number else "mpeg4"
            stream: Any = container.add_stream(codec, rate=10)
            stream.width, stream.height = size
            stream.pix_fmt = "rgb24" if cover and number else "yuv420p"
            streams.append((stream, size))
        if cover:
            streams[1][0].disposition = av.stream.Disposition.attached_pic
        for stream, size in streams:
            for picture in pictures(1 if stream.codec.name == "png" else 3, size=size):
                frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
                container.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
            container.mux(stream.encode(None))
    output, _ = blurred(source)
    with av.open(str(output)) as container:
        assert [(one.width, one.height) for one in container.streams.video] == [(160, 120)]
    said = "v.mp4: has several streams of pictures, of which one is written; left out: stream 1 (96"
    assert caplog.text.count(said) == (0 if cover else 1)


def test_a_frame_that_cannot_be_decoded_is_black(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = write_with_bad_frame(tmp_path / "v.avi", count=6, bad=3)
    output, done = blurred(source)
    means = [frame.pixels.mean() for frame in frames_of(output)]
    assert means[3] < 2
    assert means[:3] + means[4:] == pytest.approx([20, 30, 40, 60, 70], abs=3)
    assert done.black == 1
    assert "1 frame could not be looked at: black" in caplog.text


def test_a_first_second_that_cannot_be_read_is_black(tmp_path: Path) -> None:
    source = tmp_path / "v.avi"
    write_video(source, levels(15), codec="mjpeg", pix_fmt="yuvj420p")
    content = source.read_bytes()
    starts = [at for at in range(len(content)) if content.startswith(b"\xff\xd8\xff", at)]
    for at, after in itertools.pairwise(starts[:11]):
        content = content[:at] + bytes(after - at - 16) + content[after - 16 :]
    source.write_bytes(content)
    output, done = blurred(source)
    means = [frame.pixels.mean() for frame in frames_of(output)]
    assert done.black == 10
    assert max(means[:10]) < 2
    assert means[10:] == pytest.approx([120, 130, 140, 150, 160], abs=3)


def test_a_file_without_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"no video at all" * 100)
    with pytest.raises(DataError, match="not a video"):
        blurred(path)
    assert [one.name for one in tmp_path.iterdir()] == ["v.mp4"]


def test_another_size_within_a_video_is_refused(tmp_path: Path) -> None:
    parts = []
    for size in ((160, 120), (128, 96)):
        part = write_video(tmp_path / "p.ts", pictures(4, size=size), codec="mpeg2video", rate=25)
        parts.append(part.read_bytes())
    path = tmp_path / "v.ts"
    path.write_bytes(b"".join(parts))
    with pytest.raises(DataError, match=r"its frames are 128 x 96 yuv420p, before 160 x 120"):
        blurred(path)
    assert not (tmp_path / "blurred.mp4").exists()


def test_tracks_are_corrected_by_hand_and_rendered_without_looking(tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mp4", pictures(12))
    output, done = blurred(source)
    assert done.sidecar == tmp_path / "blurred.tracks.json"
    text = json.loads(done.sidecar.read_text())
    assert len(text["times"]) == 12
    (track,) = text["tracks"]
    assert track["visible"] == []
    assert [row[0] for row in track["boxes"]] == list(range(12))

    finder = RedFinder()
    blurred(source, tracks=done.sidecar, finder=finder)
    assert finder.count == 0
    assert max(redness(output)) == 0

    track["visible"] = [[0, 3]]
    track["boxes"] = track["boxes"][:1] + track["boxes"][-1:]  # moves evenly between
    hand = tmp_path / "hand.json"
    hand.write_text(json.dumps(text))
    blurred(source, tracks=hand)
    counts = redness(output)
    assert min(counts[:4]) > 500
    assert max(counts[4:]) == 0

    hand.write_text(json.dumps({**text, "tracks": []}))
    blurred(source, tracks=hand)
    assert min(redness(output)) > 500


def test_tracks_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mp4", pictures(4))
    output, done = blurred(source)
    output.unlink()
    assert done.sidecar is not None
    text = json.loads(done.sidecar.read_text())
    other = write_video(tmp_path / "o.mp4", pictures(5))
    hand = tmp_path / "hand.json"

    def refused(content: Any, says: str, video: Path = source) -> None:
        hand.write_text(content if isinstance(content, str) else json.dumps(content))
        with pytest.raises(DataError, match=says):
            blurred(video, tracks=hand)
        assert not output.exists()

    refused(text, "is of 'v.mp4' with SHA-256", other)
    refused("{", "no tracks of a video")
    refused({**text, "more": 1}, "unknown key")
    track = text["tracks"][0]
    refused({**text, "tracks": [{**track, "boxes": [[0, 5, 5, 1, 9, None]]}]}, "x1 < x2")
    row = [0, 0, 0, 9, 9, None]
    for change, says in (
        ({"boxes": [[9, *row[1:]]]}, "track 1: frame 9: expected frames below 4"),
        ({"boxes": [[10**30, *row[1:]]]}, "expected frames below 4"),
        ({"boxes": [[2, *row[1:]], row]}, "track 1: frame 0 after 2: expected ascending"),
        ({"boxes": [[0, 0, 0, 1e300, 1e300, None]]}, "frame 0: box .*: expected at most 1,000,000"),
        ({"boxes": [[*row[:5], 1e300]]}, r"score 1e\+300: expected 0 to 1"),
        ({"visible": [[3, 1]]}, r"track 1: visible \[3, 1\]: expected the first and the last"),
        ({"visible": [[0, 4]]}, r"track 1: visible \[0, 4\]: .*, below 4"),
    ):
        refused({**text, "tracks": [{**track, **change}]}, says)
    refused({**text, "tracks": [track, track]}, "track 1: is there twice")
    refused({**text, "cuts": [4]}, "cuts: frame 4: expected frames below 4")
    refused({**text, "cuts": [2, 1]}, "cuts: frame 1 after 2")
    refused({**text, "black": [7]}, "black: frame 7")
    size = {**text["source"], "width": 320}
    refused({**text, "source": size}, "source: 320 x 120 pixels; .*v.mp4 has 160 x 120")
    refused({**text, "times": [0, 1e-320, 1, 2]}, "times: expected each later")
    refused({**text, "times": text["times"][:3]}, "has 3 frames|frame 3 is not|below 3")
    refused({**text, "times": [0.5, 1, 2, 3]}, "frame 0 is not the one")


def test_frames_are_searched_closer_every_now_and_then_and_where_a_scene_begins(
    tmp_path: Path,
) -> None:
    other = np.linspace(255, 0, 160, dtype=np.uint8)[None, :, None].repeat(120, 0).repeat(3, 2)
    steps = [0.04 * index for index in range(9)] + [0.5, 0.6, 0.7]
    source = write_video(tmp_path / "v.mp4", pictures(5) + [other] * 7, times=steps)
    finder = RedFinder()
    _, done = blurred(source, finder=finder)
    assert done.tracks.cuts == (5,)
    now, later = True, False
    assert finder.closer == [now, later, now, later, now, now, later, now, later, now, now, now]


def test_several_frames_are_looked_at_at_once_and_linked_in_order(tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mp4", pictures(20))
    together = threading.Barrier(2, timeout=20)  # broken if one frame is looked at after the other
    output, _ = blurred(source, finder=RedFinder(lambda _: together.wait(), at_once=2))
    sidecar = output.with_suffix(".tracks.json")
    several = sidecar.read_text()
    blurred(source)
    assert several == sidecar.read_text()


def test_a_source_that_changes_between_the_passes_is_an_error(tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mp4", pictures(6))
    other = write_video(tmp_path / "o.mp4", [picture[::-1] for picture in pictures(6)])

    def change(count: int) -> None:
        if count == 6:
            other.replace(source)

    with pytest.raises(DataError, match="its frame 0 is not the one that was looked at"):
        blurred(source, finder=RedFinder(change))
    assert not (tmp_path / "blurred.mp4").exists()


def test_a_full_disk_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 99, (240, 320, 1), np.uint8).repeat(3, 2)
    source = write_video(tmp_path / "v.mp4", [np.roll(noise, 7 * index) for index in range(20)])
    with full_disk(20_000), pytest.raises(OSError, match="File too large") as caught:
        blurred(source)
    assert caught.value.filename == str(tmp_path / "blurred.mp4")
    assert {one.name for one in tmp_path.iterdir()} == {"v.mp4", "blurred.tracks.json"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, PocketfaceError("broken"), ValueError])
@pytest.mark.parametrize("at", [3, 9])
def test_what_ends_early_leaves_nothing_under_the_final_name(
    tmp_path: Path, error: Any, at: int
) -> None:
    source = write_video(tmp_path / "v.mp4", pictures(6))

    def ended(done: int, _: int) -> None:
        if done == at:
            raise error

    kind = error if isinstance(error, type) else type(error)
    with pytest.raises(kind):
        blurred(source, on_frame=ended)
    left = {one.name for one in tmp_path.iterdir()}
    assert left == {"v.mp4"} | ({"blurred.tracks.json"} if at > 6 else set())


def test_progress_goes_on_through_both_passes(tmp_path: Path) -> None:
    said: list[tuple[int, int]] = []
    source = write_video(tmp_path / "v.mp4", pictures(5))
    blurred(source, on_frame=lambda done, total: said.append((done, total)))
    assert said == [(number, 10) for number in range(1, 11)]


def test_the_rest_of_a_frame_is_what_it_was(tmp_path: Path) -> None:
    noisy = [
        np.clip(level.astype(int) + np.arange(64)[None, :, None], 0, 255) for level in levels(4)
    ]
    source = write_video(
        tmp_path / "v.mp4", [one.astype(np.uint8) for one in noisy], codec="libx264"
    )
    output, _ = blurred(source)
    for before, after in zip(frames_of(source), frames_of(output), strict=True):
        assert np.abs(before.pixels.astype(int) - after.pixels).mean() < 1.5
