"""Decoded frames of a video to pictures as a player shows them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .images import MAX_PIXELS

if TYPE_CHECKING:
    from av.filter import Graph
    from av.video.frame import VideoFrame

_UNSPECIFIED, _BT709, _PQ = 2, 1, 16
"""Code points of matrix and transfer function (ITU-T H.273, tables 3 and 4)."""

_MOST_STRETCH = 4
"""Pixels further from square than this come from damaged headers."""

_AS_IT_IS = (1, 0, 0, 1)
_FIXED_POINT = 1 << 16
"""The matrix that changes nothing, and what stands for 1 in FFmpeg's."""


def deinterlaced(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """As many frames, progressive, with the same `pts`.

    From the first interlaced frame on, all go through FFmpeg's bwdif, which looks at the frames
    before and after, and changes only those that are marked as interlaced.
    """
    graph: Graph | None = None
    kind: tuple[int, int, str] | None = None
    for frame in frames:
        if graph is None and not frame.interlaced_frame:
            yield frame
            continue
        if graph is None or kind != _kind(frame):
            if graph is not None:
                yield from _pulled(graph, None)
            graph, kind = _bwdif(frame), _kind(frame)
        yield from _pulled(graph, frame)
    if graph is not None:
        yield from _pulled(graph, None)


def is_hd(width: int, height: int) -> bool:
    """Whether players take untagged video of this size for BT.709; the rest is BT.601."""
    return width >= 1280 or height > 576


class Conversion:
    """Makes pictures of the frames of one stream.

    Args:
        pixel_aspect: Width of a pixel divided by its height; None for square.
    """

    def __init__(self, pixel_aspect: Fraction | None) -> None:
        from av.video.reformatter import VideoReformatter

        self._aspect = pixel_aspect or Fraction(1)
        self._reformatter = VideoReformatter()
        self._seen: tuple[int, ...] = ()
        self._turn = _AS_IT_IS

    def bgr(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """The picture of a progressive frame in any pixel format.

        Transparency is ignored. PQ (HDR10) becomes BT.709; lights brighter than paper are cut off.

        Returns:
            uint8 (H, W, 3), BGR, contiguous; turned and mirrored by the frame's display matrix.

        Raises:
            av.FFmpegError: The pixel format cannot be converted.
        """
        from av.video.reformatter import ColorPrimaries, ColorTrc, Interpolation

        untagged = frame.colorspace == _UNSPECIFIED and not frame.format.is_rgb
        if untagged and is_hd(frame.width, frame.height):
            frame.colorspace = _BT709
        light: dict[str, Any] = {}
        if frame.color_trc == _PQ:
            light = {"dst_color_trc": ColorTrc.BT709, "dst_color_primaries": ColorPrimaries.BT709}
        width, height = _square(frame.width, frame.height, self._aspect)
        shown = self._reformatter.reformat(
            frame,
            width=width,
            height=height,
            format="bgr24",
            interpolation=Interpolation.BICUBIC,
            threads=1,
            **light,
        )
        # Copied, as the array is part of the frame's memory, with gaps between the rows.
        return np.array(self._turned(shown.to_ndarray(), frame), dtype=np.uint8, order="C")

    def _turned(self, pixels: NDArray[Any], frame: VideoFrame) -> NDArray[Any]:
        seen = (frame.rotation, frame.width, frame.height)
        if seen != self._seen:
            # Not for each frame: its side data and the frame keep each other in memory.
            self._seen, self._turn = seen, display_matrix(frame)
        a, b, c, d = self._turn
        if b:
            return pixels.transpose(1, 0, 2)[::b, ::c]
        return pixels[::d, ::a]


def _square(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """The size with square pixels; the larger one, so that nothing is lost."""
    if not Fraction(1, _MOST_STRETCH) <= aspect <= _MOST_STRETCH:
        return width, height
    wide, high = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
    return (wide, high) if wide * high <= MAX_PIXELS else (width, height)


def display_matrix(frame: VideoFrame) -> tuple[int, int, int, int]:
    """How a frame is turned and mirrored by right angles; another matrix is ignored.

    Returns:
        a, b, c, d, each -1, 0 or 1: (x, y) goes to (a x + c y, b x + d y), y down
        (libavutil/display.h).
    """
    side_data: Any = frame.side_data  # typed as a dict, but iterates over its values
    for data in side_data:
        if data.type.name == "DISPLAYMATRIX":
            values = np.frombuffer(data, np.int32)[[0, 1, 3, 4]] / _FIXED_POINT
            a, b, c, d = (int(value) for value in values.round())
            if (abs(a), abs(b), abs(c), abs(d)) in ((1, 0, 0, 1), (0, 1, 1, 0)):
                return a, b, c, d
    return _AS_IT_IS


def _kind(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def _bwdif(frame: VideoFrame) -> Graph:
    from av.filter import Graph

    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base,
    )
    bwdif = graph.add("bwdif", mode="send_frame", parity="auto", deint="interlaced")
    # bwdif counts time in half units.
    unit = graph.add("settb", str(frame.time_base))
    graph.link_nodes(source, bwdif, unit, graph.add("buffersink")).configure()
    return graph


def _pulled(graph: Graph, frame: VideoFrame | None) -> Iterator[VideoFrame]:
    import av

    graph.vpush(frame)
    while True:
        try:
            pulled = graph.vpull()
        except (av.BlockingIOError, EOFError):
            return
        yield pulled
