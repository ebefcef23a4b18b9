"""Frames of a source that does not wait: a thread reads them, and the newest one is given."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from ..data.videos import Frame

_Pixels = NDArray[np.uint8]

_LOOK = 0.5
"""Seconds after which a wait for a frame is begun anew, so that Ctrl-C is heard everywhere."""

_PATIENCE = 1.0
"""Seconds to wait for the thread's end; its last read may take longer, and then ends alone."""


class LiveFrames:
    """Frames of a camera or stream; one that nobody asked for in time is replaced by the next.

    What is looked at is thus never older than the look before it took, and a frame's time is that
    of its arrival, however long frames are looked at.

    Args:
        first: The first picture, uint8 (H, W, 3); it has the time 0 and is always given.
        pictures: Those that follow, until none comes any more.
        close: Closes the source; called by the thread, which alone may do so while it reads.

    Attributes:
        count: Number of frames that came.
        left_out: Number of frames that were replaced.
        lasted: Time of the last frame that came, in seconds.
        ended: Whether all frames were given, and nothing more comes.
    """

    def __init__(
        self, first: _Pixels, pictures: Iterator[_Pixels], *, close: Callable[[], None]
    ) -> None:
        self.count = 1
        self.left_out = 0
        self.lasted = 0.0
        self.ended = False
        self._first = first
        self._pictures = pictures
        self._close = close
        self._newest: Frame | None = None
        self._over = self._stopped = False
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._read, name="live-frames", daemon=True)
        self._thread.start()

    def frames(self) -> Iterator[Frame]:
        """The frames, once, each as soon as it is asked for and there."""
        yield Frame(self._first, 0.0)
        while True:
            with self._changed:
                while self._newest is None and not self._over:
                    self._changed.wait(_LOOK)
                frame, self._newest = self._newest, None
            if frame is None:
                break
            yield frame
        if self._error is not None:
            raise self._error
        self.ended = True

    def stop(self) -> None:
        """Read nothing more, and close the source."""
        with self._changed:
            self._stopped = True
        self._thread.join(_PATIENCE)

    def _read(self) -> None:
        try:
            for pixels in self._pictures:
                now = time.monotonic() - self._started
                with self._changed:
                    if self._stopped:
                        break
                    self.left_out += self._newest is not None
                    self._newest = Frame(pixels, now)
                    self.count += 1
                    self.lasted = now
                    self._changed.notify()
        except Exception as error:  # raised where the frames are asked for
            self._error = error
        finally:
            self._close()
            with self._changed:
                self._over = True
                self._changed.notify()
