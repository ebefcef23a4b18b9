"""Kill commands at any moment: what stands there is whole, and the next run tidies up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pocketface.tools.hostile.commands import Verdict

COMMAND = (sys.executable, "-m", "pocketface")

_TRIES = 5
"""How often a command may end before it is killed."""


@dataclass(frozen=True)
class Killed:
    """A command to be killed.

    Attributes:
        name: What is killed.
        argv: Its arguments, with its output last.
        whole: Raises if what stands at its output is not whole.
        again: Arguments by which the work goes on there.
        output: Name of its output.
    """

    name: str
    argv: list[str]
    whole: Callable[[Path], None]
    again: Callable[[Path], list[str]]
    output: str = "out"


def killed(one: Killed, folder: Path, times: int) -> Iterator[Verdict]:
    """Kill a command at moments spread over the time that it takes.

    The time is that of a second run, as the first one loads files that later ones find in memory,
    or of the last one that ended before it was to be killed. Such a command is started again: only
    those that were killed are judged.
    """
    for name in ("cold", "warm"):
        started = time.monotonic()
        to = folder / name / one.output
        subprocess.run([*COMMAND, *one.argv, str(to)], check=True, capture_output=True)
        whole = time.monotonic() - started
    for index in range(times):
        output = folder / str(index) / one.output
        for _ in range(_TRIES):
            delay = whole * (index + 0.5) / times
            ended = _ended(one, output, delay)
            if ended is None:
                fault = _fault(one, output)
                break
            whole = ended
            shutil.rmtree(output.parent, ignore_errors=True)
        else:
            fault = f"ended before it was killed, {_TRIES} times"
        what = f"{one.name}, killed after {delay:.1f} of {whole:.1f} s"
        yield Verdict(what, -signal.SIGKILL, fault, delay, 0)
        shutil.rmtree(output.parent, ignore_errors=True)


def _ended(one: Killed, output: Path, delay: float) -> float | None:
    """Start a command and kill it after some seconds; the seconds that it took if it was faster."""
    started = time.monotonic()
    process = subprocess.Popen(
        [*COMMAND, *one.argv, str(output)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # not waited for yet, so its group is there
        if process.wait() == -signal.SIGKILL:
            return None
    return time.monotonic() - started


def _fault(one: Killed, output: Path) -> str:
    try:
        one.whole(output)
    except Exception as error:  # whatever the readers raise
        return f"half-written: {error}"
    again = subprocess.run(
        [*COMMAND, *one.again(output), str(output)], capture_output=True, text=True
    )
    if again.returncode != 0:
        return f"the next run ended with {again.returncode}: {again.stderr[-300:]}"
    left = [path for path in output.parent.rglob("*") if ".pocketface-" in path.name]
    return f"the next run left {left[0]}" if left else ""


def commands(material: Path) -> list[Killed]:
    """The commands; `material` holds weights.pth, faces.json and a.png, as `trust` makes them."""
    weights, faces, photos = material / "weights.pth", material / "faces.json", material
    data = ["--train-ann-files", str(faces), "--train-data-roots", str(photos)]
    train = ["train", "--template", str(material / "tiny.yaml"), *data, "--workers", "0"]
    train += ["--epochs", "4", "--gpu-num", "0"]
    to = "--save-checkpoints-to"
    export = ["export", "--load-weights", str(weights), "--formats", "onnx,openvino"]
    show = ["visualize", "--no-show", "--load-weights", str(material / "model.onnx")]
    clip = str(material / "clip.mp4")
    many = [str(material / "many.json"), "--train-fraction", "0.5"]
    return [
        Killed("train", [*train, to], _checkpoints, lambda output: _resumed(train, output, to)),
        _simple("export", [*export, "--save-model-to"], _models),
        _simple("visualize", [*show, "--video", clip, "--output"], _video, "out.mp4"),
        _simple("data split", ["data", "split", *many, "--output"], _labels),
    ]


def _simple(
    name: str, argv: list[str], whole: Callable[[Path], None], output: str = "out"
) -> Killed:
    return Killed(name, argv, whole, lambda _: argv, output)


def _resumed(train: list[str], output: Path, to: str) -> list[str]:
    latest = output / "latest.pth"
    if not latest.exists():
        return [*train, to]
    from pocketface.models.weights import read_weights

    more = str(read_weights(latest).epochs + 1)
    return [*train, "--resume-from", str(latest), "--epochs", more, to]


def _checkpoints(folder: Path) -> None:
    from pocketface.models.weights import read_weights

    for path in folder.glob("[!.]*.pth"):
        read_weights(path)


def _models(folder: Path) -> None:
    import pocketface

    for path in (folder / "model.onnx", folder / "model.xml"):
        if path.exists():
            pocketface.load(path)


def _video(path: Path) -> None:
    if path.exists():
        import av

        with av.open(str(path)) as container:
            if not sum(1 for _ in container.decode(video=0)):
                raise ValueError(f"{path}: no frame")


def _labels(folder: Path) -> None:
    import json

    for path in folder.glob("[!.]*.json"):
        json.loads(path.read_bytes())
