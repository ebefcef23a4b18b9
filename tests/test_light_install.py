"""What works after `pip install 'pocketface[onnx,serve]'`: no PyTorch, and nothing for training."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.request import Request, urlopen

import matplotlib
import pytest
import skimage

ASTRONAUT = Path(skimage.__file__).parent / "data" / "astronaut.png"
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"

ABSENT = ("torch", "lightning", "kornia", "safetensors", "onnx", "onnxscript", "sympy", "openvino")
ABSENT += ("nncf", "coremltools", "litert_torch", "ai_edge_litert", "tensorflow", "scipy")
ABSENT += ("matplotlib", "skimage", "av", "faster_coco_eval", "psutil", "cpuinfo", "altair")

HIDE = f"import sys\nsys.modules.update(dict.fromkeys({ABSENT!r}))\n"
"""Makes each import of them fail, and `find_spec` find none."""

COMMAND = HIDE + "from pocketface.cli import main\nsys.exit(main(sys.argv[1:]))"


def started(code: str, arguments: Sequence[object], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )


def said(*arguments: object, folder: Path, code: str = COMMAND, ends: int = 0) -> str:
    """What a command prints; its errors if it is to fail."""
    process = started(code, arguments, folder)
    out, err = process.communicate(timeout=120)
    assert process.returncode == ends, err
    assert ends or err == ""
    return err if ends else out


def test_load_by_name(tmp_path: Path) -> None:
    code = HIDE + (
        "import pocketface, cv2\n"
        "model = pocketface.load('face-detection-n')\n"
        "print(model.session.runtime, len(model.predict(cv2.imread(sys.argv[1]))))"
    )
    assert said(ASTRONAUT, folder=tmp_path, code=code) == "onnxruntime 1\n"


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--load-weights", "face-detection-n"),
        ("--template", "face-detection-n"),
        ("--load-weights", "glasses-n"),
        ("--template", "glasses-n", "--detector", "face-detection-n"),
    ],
)
def test_visualize(tmp_path: Path, flags: tuple[str, ...]) -> None:
    told = said(
        *("visualize", "--video", HOPPER, "--no-show", "--output", "drawn.png", *flags),
        folder=tmp_path,
    )
    assert told.startswith(f"{HOPPER}: 1 face")
    assert ("1 glass" in told) == ("glasses-n" in flags)
    assert (tmp_path / "drawn.png").stat().st_size > 10_000


def test_classify(tmp_path: Path) -> None:
    told = said("classify", ASTRONAUT, HOPPER, "--csv", "all.csv", folder=tmp_path)
    assert told == f"{HOPPER}\n"
    rows = (tmp_path / "all.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == [str(ASTRONAUT), str(HOPPER)]


def test_verify(tmp_path: Path) -> None:
    """By the answers in the certificate."""
    for photo in (ASTRONAUT, HOPPER):
        (tmp_path / photo.name).write_bytes(photo.read_bytes())
    told = said("verify", "face-detection-n", "--photos", ".", folder=tmp_path)
    assert re.search(r"model_fp16\.onnx +passed +onnxruntime .* 2 of 2 +certificate", told)


def test_serve(tmp_path: Path) -> None:
    process = started(COMMAND, ["serve", "--port", 0], tmp_path)
    try:
        assert process.stdout is not None
        where = re.search(r"-F image=@photo\.jpg (\S+)", process.stdout.readline())
        assert where, process.stderr and process.stderr.read()
        form = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        request = Request(
            where[1],
            form + ASTRONAUT.read_bytes() + b"\r\n--x--\r\n",
            {"Content-Type": "multipart/form-data; boundary=x"},
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                with urlopen(request, timeout=30) as answer:
                    assert b"no_glass" in answer.read()
                break
            except ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("export", "--template", "face-detection-n", "--save-model-to", "out"), "train"),
        (
            ("visualize", "--template", "face-detection-0200", "--video", HOPPER, "--no-show"),
            "train",
        ),
        (("classify", HOPPER, "--load-weights", "glasses-cnn"), "train"),
    ],
)
def test_what_does_not_work_names_the_extra(
    tmp_path: Path, arguments: tuple[object, ...], extra: str
) -> None:
    told = said(*arguments, folder=tmp_path, ends=2)
    assert f"needs `pip install 'pocketface[{extra}]'`" in told
