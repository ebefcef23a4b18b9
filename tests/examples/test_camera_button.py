"""The web page's camera is on between two clicks, and its slider asks for what is seen alone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

DRIVER = Path(__file__).parent / "drivers" / "camera.mjs"
ON, OFF = "Stop the camera", "Use the camera"


@pytest.fixture
def click(node: str, examples: Path) -> Any:
    def click(*arguments: str) -> dict[str, Any]:
        command = [node, str(DRIVER), str(examples / "web/page.js"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    return click


@pytest.mark.parametrize(
    ("clicks", "opened", "stopped", "button"),
    [
        ("c...", 1, 0, ON),
        ("c...c", 1, 1, OFF),
        ("c.c", 1, 1, OFF),  # while people are asked
        ("c.cc", 2, 1, ON),
        ("c...cc...c", 2, 2, OFF),
    ],
)
def test_each_click_turns_it_on_or_off(
    click: Any, clicks: str, opened: int, stopped: int, button: str
) -> None:
    said = click(clicks)
    assert (said["opened"], said["stopped"], said["button"]) == (opened, stopped, button)


def test_without_a_model_it_stays_off(click: Any) -> None:
    said = click("c...", "no-model")
    nothing = {"opened": 0, "stopped": 0, "looks": 0}
    assert said == {**nothing, "button": OFF, "says": "No model is open."}
    assert click("", "no-model")["says"] == "models.json is not beside this page; see README.md"


def test_a_slider_that_is_dragged_asks_once_more(click: Any) -> None:
    assert click("p..")["looks"] == 1
    assert click("p..tttttttttttt")["looks"] == 3  # the first one, and where it came to rest
    assert click("p..t..t")["looks"] == 3
