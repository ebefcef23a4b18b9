"""Small videos for tests, written through PyAV."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.data.videos import pyav_is_there


def levels(count: int, *, size: tuple[int, int] = (64, 48)) -> list[NDArray[np.uint8]]:
    """Grey pictures of a size (width, height), each 10 lighter than the one before."""
    return [np.full((size[1], size[0], 3), 20 + 10 * index, np.uint8) for index in range(count)]


def write_video(
    path: Path,
    pictures: Sequence[NDArray[np.uint8]],
    *,
    times: Sequence[float] | None = None,
    rate: int = 10,
    codec: str = "mpeg4",
    pix_fmt: str = "yuv420p",
    sound: Sequence[tuple[str, float]] = (),
    languages: Sequence[str] = (),
    start: float = 0,
    turn: tuple[int, bool] | None = None,
    metadata: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    **settings: Any,
) -> Path:
    """Write a video.

    Args:
        path: Its suffix decides the format.
        pictures: uint8 (H, W, 3) BGR.
        times: Seconds at which they appear; None for a constant `rate`.
        rate: Pictures per second.
        codec: FFmpeg's name of the encoder.
        pix_fmt: Its pixel format.
        sound: Codec and seconds of each sound track, from time 0 on.
        languages: Of the sound tracks.
        start: Seconds at which pictures and sound begin.
        turn: Degrees to the left, and whether mirrored, that the file asks players for.
        metadata: Of the file.
        options: Of the format.
        settings: Attributes of the encoder.
    """
    import av

    unit = Fraction(1, 1000) if times is not None else Fraction(1, rate)
    with av.open(str(path), "w", container_options=options or {}) as container:
        container.metadata.update(metadata or {})
        stream: Any = container.add_stream(codec, rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = unit
        if codec in ("mpeg4", "mpeg2video"):
            stream.bit_rate = 2_000_000
        for name, value in settings.items():
            setattr(stream.codec_context, name, value)
        if turn is not None:
            stream.set_display_rotation(turn[0], hflip=turn[1])
        tracks = []
        for (name, seconds), language in itertools.zip_longest(sound, languages):
            track: Any = container.add_stream(name, rate=44100, layout="stereo")
            if language:
                track.metadata["language"] = language
            tracks.append((track, _tones(seconds, start)))
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.time_base = unit
            frame.pts = round(start / unit) + (
                index if times is None else round(1000 * times[index])
            )
            container.mux(stream.encode(frame.reformat(format=pix_fmt)))
        container.mux(stream.encode(None))
        for track, tones in tracks:
            for tone in tones:
                container.mux(track.encode(tone))
            container.mux(track.encode(None))
    return path


def write_packets(
    path: Path, codec: str, coded: Sequence[bytes], *, size: tuple[int, int], rate: int = 10
) -> Path:
    """Write a video of pictures that are coded already.

    Args:
        path: Its suffix decides the format.
        codec: FFmpeg's name of it.
        coded: Each picture.
        size: Width and height, in pixels.
        rate: Pictures per second.
    """
    import av

    unit = Fraction(1, rate)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "rgb24" if codec == "png" else "yuvj420p"
        stream.time_base = unit
        for number, content in enumerate(coded):
            packet = av.Packet(content)
            packet.stream = stream
            packet.pts = packet.dts = number
            packet.time_base, packet.duration, packet.is_keyframe = unit, 1, True
            container.mux(packet)
    return path


def write_with_bad_frame(path: Path, *, count: int, bad: int) -> Path:
    """Write an AVI file of `levels`, and zeros in place of the frame number `bad`."""
    write_video(path, levels(count), codec="mjpeg", pix_fmt="yuvj420p")
    content = bytearray(path.read_bytes())
    starts = [at for at in range(len(content)) if content.startswith(b"\xff\xd8\xff", at)]
    size = starts[bad + 1] - starts[bad] - 16  # without the head of the next
    content[starts[bad] : starts[bad] + size] = bytes(size)
    path.write_bytes(content)
    return path


def _tones(seconds: float, start: float) -> Iterator[Any]:
    import av

    wave = np.sin(np.arange(round(44100 * seconds)) / 20) * 9000
    for begin in range(0, len(wave), 1024):
        part = np.repeat(wave[begin : begin + 1024].astype(np.int16), 2)[None]
        frame = av.AudioFrame.from_ndarray(part, format="s16", layout="stereo")
        frame.rate = 44100
        frame.time_base = Fraction(1, 44100)
        frame.pts = begin + round(44100 * start)
        yield frame


@contextmanager
def hidden_pyav() -> Iterator[None]:
    """As if PyAV were not installed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "av", None)
        pyav_is_there.cache_clear()
        yield
    pyav_is_there.cache_clear()
