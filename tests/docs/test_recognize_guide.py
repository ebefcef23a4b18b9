"""The example of docs/guide/recognize.md runs, on a small recogniser."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from ..pixel_recognizer import MEASURED, write_detector, write_photo, write_recognizer

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "recognize.md"


def test_the_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_recognizer(Path("recognizer.onnx"), **MEASURED)
    write_detector(Path("one.onnx"), 40)
    write_detector(Path("two.onnx"), 40, 40)
    write_photo(Path("anna.png"), 1)
    write_photo(Path("party.png"), 2, 1, blur=0.1)
    text = GUIDE.read_text(encoding="utf-8").partition("## In Python\n")[2]
    block = re.search(r"(?:^(?: {4}.*)?\n)+", text, re.MULTILINE)
    assert block is not None
    code = textwrap.dedent(block[0]).replace(".jpg", ".png")
    one, two = code.split("sure = ")
    assert '"face-detection-n"' in one
    code = one.replace('"face-detection-n"', '"one.onnx"')
    code += "detector = pocketface.load('two.onnx')\nsure = " + two
    exec(compile(code, str(GUIDE), "exec"), {})
    said = sorted(line.split()[0] for line in capsys.readouterr().out.splitlines())
    assert said == ["Anna", "unknown"]
