"""What is said where no window can be opened; tests of commands replace the window itself."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from pocketface.apps.window import Window, check_display
from pocketface.errors import UserError


@pytest.fixture(autouse=True)
def _display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":98765")


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_opencv_without_windows_is_named_and_how_to_change_it(
    monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")
    with pytest.raises(UserError, match="the installed OpenCV is the one without windows") as found:
        check_display()
    assert found.value.hint is not None
    assert "--no-show" in found.value.hint
    assert "pip uninstall -y opencv-python-headless && pip install 'opencv" in found.value.hint


def test_a_missing_display_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another OpenCV would not help there."""
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "")
    monkeypatch.delenv("DISPLAY")
    with pytest.raises(UserError, match="neither DISPLAY nor WAYLAND_DISPLAY") as found:
        check_display()
    assert "opencv" not in str(found.value.hint)


def test_a_display_that_no_window_opens_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: "QT")
    with pytest.raises(UserError, match=r"DISPLAY is ':98765', but no window opens there"):
        check_display()


def test_what_opencv_says_of_its_windows_is_what_it_was_built_with() -> None:
    told = cv2.getBuildInformation()
    built = told[told.index("GUI:") :].split()[1]
    assert bool(cv2.currentUIFramework()) == (built != "NONE")
    if built == "NONE":
        with pytest.raises(cv2.error):
            Window().show(np.zeros((2, 2, 3), np.uint8), delay=1)
