"""Carry the sound of one video over to another that is being written."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.media import Timeline, open_container, read_packets, start_of

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer

_log = logging.getLogger(__name__)

_PLAYED = {"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"}
"""Codecs that players expect in MP4, whose packets are copied; others become AAC."""

_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_BITS_PER_CHANNEL = 96_000
"""Of AAC, in bits per second: twice 96 kbit/s are taken for as good as the original in stereo."""


@contextmanager
def open_sound(source: Path, output: OutputContainer) -> Iterator[Sound]:
    """Open a file's sound for as long as the block runs, and add its tracks to `output`.

    Args:
        source: The file with sound, or without.
        output: The container that is being written, before its first packet.

    Raises:
        DataError: The source cannot be opened.
    """
    with open_container(source) as container:
        yield Sound(container, source, output)


class Sound:
    """All sound tracks of a file, on their way to another; see `open_sound`."""

    def __init__(self, container: InputContainer, source: Path, output: OutputContainer) -> None:
        self._tracks: dict[int, _Track] = {}
        length = None if container.duration is None else container.duration / 1_000_000
        for number, stream in enumerate(container.streams.audio, 1):
            origin = start_of(container, stream.time_base)
            # An encoder's run-in lies before the start, and is skipped by players.
            timeline = Timeline(origin, stream, length, earliest=1)
            track = _track(stream, output, timeline)
            if track is None:
                _log.warning("%s: sound track %d cannot be kept: unknown codec", source, number)
            else:
                self._tracks[stream.index] = track
        self._packets = read_packets(container) if self._tracks else iter(())
        self._waiting: Any = None

    def copy(self, until: float | None) -> None:
        """Write the sound before a time.

        Args:
            until: Seconds since the start of the source; None for all that is left.
        """
        while True:
            packet = self._waiting or self._next()
            self._waiting = None
            if packet is None:
                return
            track = self._tracks.get(packet.stream_index)
            if track is None or packet.is_corrupt:
                continue
            if until is not None and track.time(packet) >= until:
                self._waiting = packet
                return
            track.put(packet)

    def _next(self) -> Any:
        import av

        try:
            return next(self._packets, None)
        except av.FFmpegError:  # the reader of the pictures tells of the damage
            return None

    def end(self) -> None:
        """Write what the encoders still hold."""
        for track in self._tracks.values():
            track.end()


class _Track:
    """A track whose packets are copied as they are."""

    def __init__(self, stream: Any, output: OutputContainer, timeline: Timeline) -> None:
        self._timeline = timeline
        self._output = output
        self._placed: tuple[Any, int] = (None, 0)
        self._lasts: int | None = None
        self._made = self._add(stream)
        language = stream.metadata.get("language")
        if language:
            self._made.metadata["language"] = language

    def time(self, packet: Any) -> float:
        """Seconds since the start of the source."""
        if self._placed[0] is not packet:
            moment = packet.dts if packet.pts is None else packet.pts
            self._placed = (packet, self._timeline.place(moment, after=self._lasts))
            self._lasts = packet.duration
        return float(self._placed[1] * self._timeline.time_base)

    def put(self, packet: Any) -> None:
        self.time(packet)
        packet.pts = packet.dts = self._placed[1]
        packet.stream = self._made
        self._output.mux(packet)

    def end(self) -> None:
        pass

    def _add(self, stream: Any) -> Any:
        return self._output.add_stream_from_template(stream)


class _Encoded(_Track):
    """A track that becomes AAC."""

    def _add(self, stream: Any) -> Any:
        self._decoder = stream.codec_context
        rate = stream.rate if stream.rate in _AAC_RATES else 48000
        made = self._output.add_stream("aac", rate=rate)
        # Those that every player of AAC knows; PCM in AVI has channels without places.
        made.layout = {1: "mono", 2: "stereo"}.get(stream.channels, "5.1")
        made.bit_rate = _BITS_PER_CHANNEL * made.channels
        self._resampler: Any = None
        self._heard: tuple[Any, ...] = ()
        return made

    def put(self, packet: Any) -> None:
        import av

        if packet is not None:
            self.time(packet)
            packet.pts = packet.dts = self._placed[1]
        try:
            frames = self._decoder.decode(packet)
        except (av.FFmpegError, ValueError):  # a gap, which the resampler fills with silence
            return
        for frame in frames:
            heard = (frame.format.name, frame.layout.name, frame.rate)
            if heard != self._heard:
                self._flush()
                self._resampler = av.AudioResampler(
                    format=self._made.format,
                    layout=self._made.layout,
                    rate=self._made.rate,
                    options={"async": "1"},
                )
                self._heard = heard
            self._encode(self._resampler.resample(frame))

    def end(self) -> None:
        self.put(None)
        self._flush()
        self._output.mux(self._made.encode(None))

    def _flush(self) -> None:
        if self._resampler is not None:
            self._encode(self._resampler.resample(None))

    def _encode(self, frames: list[Any]) -> None:
        for frame in frames:
            self._output.mux(self._made.encode(frame))


def _track(stream: Any, output: OutputContainer, timeline: Timeline) -> _Track | None:
    if stream.codec_context is None or not stream.rate:
        return None
    kind = _Track if stream.codec_context.codec.canonical_name in _PLAYED else _Encoded
    return kind(stream, output, timeline)
