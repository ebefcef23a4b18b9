"""Which encoder writes a video, and how, so that it is what the source was."""

from __future__ import annotations

import logging
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.coded_videos import Kind
from ...data.video_pixels import is_hd
from ...errors import DataError, UserError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Encoder:
    """An encoder of FFmpeg.

    Attributes:
        name: FFmpeg's name.
        options: For about the quality of the source.
        tag: The name of the codec in MP4, where Apple's players want another than FFmpeg's.
        parameters: The option that takes further parameters.
        light: What of them are the static metadata of HDR10; None if it has none.
    """

    name: str
    options: dict[str, str]
    tag: str | None = None
    parameters: str | None = None
    light: tuple[str, str] | None = None


# Without B-frames each frame lasts in MP4 as long as it should, also the last.
_ENCODERS = {
    "h264": _Encoder(
        "libx264",
        {"preset": "veryfast", "crf": "20", "bf": "0", "rc-lookahead": "5"},
        parameters="x264-params",
        light=("mastering-display", "cll"),
    ),
    "hevc": _Encoder(
        "libx265",
        {"preset": "veryfast", "crf": "22", "x265-params": "log-level=none:bframes=0"},
        tag="hvc1",
        parameters="x265-params",
        light=("master-display", "max-cll"),
    ),
    "vp9": _Encoder(
        "libvpx-vp9",
        {"crf": "28", "b": "0", "deadline": "realtime", "cpu-used": "5", "lag-in-frames": "0"},
    ),
    "av1": _Encoder("libsvtav1", {"preset": "9", "crf": "28"}),
}
CODECS = tuple(_ENCODERS)

_PLANAR = {
    "yuvj420p": "yuv420p",
    "yuvj422p": "yuv422p",
    "yuvj444p": "yuv444p",
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "nv24": "yuv444p",
    "p010le": "yuv420p10le",
    "p210le": "yuv422p10le",
    "p410le": "yuv444p10le",
}
"""Pixel formats that hold the same numbers in another order, or have their range in the name."""

_UNREADABLE = ("yuv440p", "yuv440p10le", "yuv440p12le")
"""What VP9 has, and its box in MP4 has no number for: nobody can open such a file."""

_UNTAGGED = 2
_FULL_RANGE, _LIMITED_RANGE, _UNKNOWN_RANGE = 2, 1, 0


@dataclass(frozen=True)
class Target:
    """How a video is written.

    Attributes:
        kind: What its frames are; `pix_fmt` is planar.
        encoder: FFmpeg's name.
        options: Of the encoder.
        tag: See `_Encoder`.
        converted: Whether the source has another kind of colours.
        size: Width and height as they are written: even where the codec wants that.
    """

    kind: Kind
    encoder: str
    options: dict[str, str]
    tag: str | None
    converted: bool
    size: tuple[int, int]

    def picture(self, frame: VideoFrame) -> VideoFrame:
        """A frame of the source in the target's pixel format; itself if it is in that."""
        from av.video.reformatter import ColorRange, Colorspace, Interpolation

        form = frame.format
        if not self.converted:
            if form.name == self.kind.pix_fmt or form.name.startswith("yuvj"):
                return frame
            return frame.reformat(format=self.kind.pix_fmt)
        matrix = Colorspace.ITU709 if self.kind.colours[2] == 1 else Colorspace.ITU601
        untagged = frame.colorspace == _UNTAGGED and not form.is_rgb
        return frame.reformat(
            format=self.kind.pix_fmt,
            src_colorspace=matrix if untagged else None,  # which swscale would take for BT.601
            dst_colorspace=matrix,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BICUBIC | Interpolation.ACCURATE_RND,
            threads=1,
        )


def target_of(kind: Kind, codec: str, path: Path, *, warn: bool = True) -> Target:
    """How frames of a kind are written by a codec of `CODECS`.

    Args:
        kind: What they are.
        codec: Its name.
        path: The source, for messages.
        warn: Whether to say that its colours change.

    Raises:
        DataError: The codec cannot keep what they are.
        UserError: This PyAV has no such encoder.
    """
    import av

    encoder = _ENCODERS[codec]
    try:
        found = av.Codec(encoder.name, "w")
    except ValueError as error:
        raise UserError(f"--codec {codec}: the installed PyAV has no {encoder.name}") from error
    pix_fmt = _PLANAR.get(kind.pix_fmt, kind.pix_fmt)
    known = {one.name for one in found.video_formats or () if one.name not in _UNREADABLE}
    form = av.VideoFormat(kind.pix_fmt, 2, 2)
    colours = kind.colours
    # Grey without a tag, as of raw video, is of full range, and of H.264 it would not be.
    bare_grey = kind.pix_fmt.startswith("gray") and colours[3] == _UNKNOWN_RANGE
    if kind.pix_fmt.startswith("yuvj") or bare_grey:
        colours = (*colours[:3], _FULL_RANGE)
    if any(one.is_alpha for one in form.components):
        raise DataError(f"{path}: {kind.pix_fmt} has transparency, which {codec} cannot keep")
    converted = pix_fmt not in known or not pix_fmt.startswith(("yuv4", "gray"))
    if converted:
        bits = max(one.bits for one in form.components)
        if bits > 8:
            hint = None if codec == "hevc" else "--codec hevc keeps up to 12 bits"
            raise DataError(
                f"{path}: {kind.pix_fmt}, {bits} bits a colour, cannot be kept by {codec}",
                hint=hint,
            )
        if warn:
            why = f"as {codec} in MP4 does not have it"
            _log.warning("%s: %s becomes yuv420p, %s", path, kind.pix_fmt, why)
        code = 1 if is_hd(kind.width, kind.height) else 6
        colours, pix_fmt = (code, code, code, _LIMITED_RANGE), "yuv420p"
    options = dict(encoder.options)
    if kind.light:
        if encoder.light is None or encoder.parameters is None:
            raise DataError(
                f"{path}: the metadata of HDR10 cannot be kept by {codec}",
                hint="--codec hevc keeps them",
            )
        told = _light(dict(kind.light), *encoder.light)
        before = options.get(encoder.parameters)
        options[encoder.parameters] = ":".join(one for one in (before, told) if one)
    size = kind.width, kind.height
    if codec in ("h264", "hevc"):
        size = size[0] + size[0] % 2, size[1] + size[1] % 2
    return Target(
        kind=replace(kind, pix_fmt=pix_fmt, colours=colours),
        encoder=encoder.name,
        options=options,
        tag=encoder.tag,
        converted=converted,
        size=size,
    )


def _light(metadata: dict[str, bytes], display: str, content: str) -> str:
    """The static metadata of HDR10 as x264 and x265 take them.

    Args:
        metadata: FFmpeg's AVMasteringDisplayMetadata and AVContentLightMetadata
            (libavutil/mastering_display_metadata.h).
        display: The encoder's name of the first.
        content: And of the second.
    """
    told = []
    screen = metadata.get("MASTERING_DISPLAY_METADATA")
    if screen is not None:
        *numbers, has_primaries, has_luminance = struct.unpack_from("22i", screen)
        parts = [n / d if d else 0.0 for n, d in zip(numbers[::2], numbers[1::2], strict=True)]
        if has_primaries and has_luminance:
            red, green, blue, white = (
                ",".join(str(round(value * 50_000)) for value in parts[at : at + 2])
                for at in (0, 2, 4, 6)
            )
            low, high = (round(value * 10_000) for value in parts[8:10])
            told.append(f"{display}=G({green})B({blue})R({red})WP({white})L({high},{low})")
    light: Any = metadata.get("CONTENT_LIGHT_LEVEL")
    if light is not None:
        most, average = struct.unpack_from("2I", light)
        told.append(f"{content}={most},{average}")
    return ":".join(told)
