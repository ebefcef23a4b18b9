"""The one window on the screen."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import UserError

_WITH_WINDOWS = "`pip uninstall -y opencv-python-headless && pip install 'opencv-python>=5.0,<6'`"
"""Not one beside the other, as both packages have the same files."""

_TITLE = "pocketface"
_LARGEST = (1280, 800)
_ESCAPE = 27


def check_display() -> None:
    """Make sure that a window can be opened.

    Raises:
        UserError: No window can be opened.
    """
    instead = "add --no-show, and --output PATH to keep the pictures"
    on_linux = sys.platform.startswith("linux")
    reason = None
    if on_linux and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        reason = "neither DISPLAY nor WAYLAND_DISPLAY is set"
    elif not cv2.currentUIFramework():
        reason = "the installed OpenCV is the one without windows"
        instead += f"; or change it for the one with windows: {_WITH_WINDOWS}"
    # Tried in another process, because Qt ends the process if it finds no display.
    elif on_linux and not _opens(f"import cv2; cv2.namedWindow({_TITLE!r}); cv2.waitKey(1)"):
        reason = f"DISPLAY is {os.environ.get('DISPLAY', '')!r}, but no window opens there"
    if reason is not None:
        raise UserError(f"no display to show pictures on: {reason}", hint=instead)


class Window:
    """A window that opens with the first picture."""

    def __init__(self) -> None:
        self._size = (0, 0)

    def show(self, image: NDArray[np.uint8], *, delay: int) -> bool:
        """Show a uint8 (H, W, 3) BGR picture for `delay` ms; 0 waits for a key.

        Returns:
            False when the user pressed q or Esc, or closed the window.
        """
        height, width = image.shape[:2]
        if self._size != (width, height):
            self._size = (width, height)
            shrink = min(1.0, _LARGEST[0] / width, _LARGEST[1] / height)
            cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
            cv2.resizeWindow(_TITLE, round(width * shrink), round(height * shrink))
        cv2.imshow(_TITLE, image)
        key = self._wait(delay)
        closed = cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1
        return key not in (ord("q"), _ESCAPE) and not closed

    def close(self) -> None:
        """Close the window if it was opened."""
        if self._size != (0, 0):
            cv2.destroyAllWindows()

    def _wait(self, delay: int) -> int:
        if delay:
            return cv2.waitKey(delay) & 0xFF
        # waitKey(0) would never return from a window that the user closed.
        while (key := cv2.waitKey(50)) == -1:
            if cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
                break
        return key & 0xFF


def _opens(code: str) -> bool:
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=30)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
