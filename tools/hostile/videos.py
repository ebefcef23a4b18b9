"""Damaged and forged videos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, cast

import numpy as np

from pocketface.tools.hostile.mutations import MUTATIONS

if TYPE_CHECKING:
    from av import VideoStream

_KINDS = {
    "mp4": "libx264",
    "mkv": "libx264",
    "webm": "libvpx-vp9",
    "avi": "mpeg4",
    "ts": "mpeg2video",
}
"""By suffix, FFmpeg's name of the encoder."""

FRAMES = 12


def videos(folder: Path, count: int, seed: int) -> Iterator[tuple[str, Path]]:
    """Write hostile videos, with what is wrong with each."""
    sound = {suffix: encode(folder / f"sound.{suffix}", codec) for suffix, codec in _KINDS.items()}
    forged = [
        ("nothing", "mp4", b""),
        ("zeros", "mp4", bytes(100_000)),
        ("a text", "mkv", b"this is no video\n" * 100),
        ("a playlist of local files", "ts", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"),
        ("a list for concatenation", "avi", b"ffconcat version 1.0\nfile /etc/passwd\n"),
        ("only a header", "mp4", sound["mp4"][:32]),
        ("only the end", "mkv", sound["mkv"][len(sound["mkv"]) // 2 :]),
        ("zeros behind it", "mp4", sound["mp4"] + bytes(1_000_000)),
    ]
    for index in range(count):
        random = Random(f"{seed} {index}")
        if index < len(forged):
            what, suffix, content = forged[index]
        else:
            suffix = random.choice(list(sound))
            kind = random.choice(list(MUTATIONS))
            data = bytearray(sound[suffix])
            MUTATIONS[kind](data, random)
            what, content = f"{kind} in {suffix}", bytes(data)
        path = folder / f"{index}.{suffix}"
        path.write_bytes(content)
        yield f"{index}: {what}", path


def encode(path: Path, codec: str, *, frames: int = FRAMES) -> bytes:
    """Write a small video of noise, and return its bytes."""
    import av

    generator = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = cast("VideoStream", container.add_stream(codec, rate=25))
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for _ in range(frames):
            pixels = generator.integers(0, 256, (8, 12, 3), np.uint8).repeat(8, 0).repeat(8, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        container.mux(stream.encode())
    return path.read_bytes()
