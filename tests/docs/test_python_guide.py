"""The examples of docs/guide/python.md run, one after the other, on a tiny network."""

from __future__ import annotations

import re
import shutil
import textwrap
from pathlib import Path

import pytest

from pocketface.models.weights import read_weights, write_weights
from pocketface.tasks.measuring import Labels

from ..one_process import in_this_process
from ..small_training import drawn_photos, write_template
from ..tiny_network import write_tiny_weights

__all__ = ["drawn_photos", "in_this_process"]

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "python.md"
OF_THE_TINY_ONE = {
    'weights="face-detection-n"': 'weights="tiny/snapshot.pth", workers=0, batch_size=2',
    '"face-detection-n"': '"tiny"',
    "duration=1": "duration=0.05, runtimes='onnxruntime'",
}


def examples() -> list[str]:
    """The indented blocks; one between fences is a script of its own."""
    text = re.sub(r"(?ms)^```.*?^```$", "", GUIDE.read_text(encoding="utf-8"))
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", text, re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks if block.strip()]


@pytest.mark.usefixtures("in_this_process")
def test_examples_run(
    drawn_photos: Labels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    labels = drawn_photos.files[0]
    shutil.copytree(labels.parent, tmp_path / "photos")
    shutil.copy(labels, tmp_path / "faces.json")
    template = write_template(tmp_path / "template.yaml")
    (tmp_path / "tiny").mkdir()
    weights = read_weights(write_tiny_weights(tmp_path, template.read_text()))
    template.rename(tmp_path / "tiny" / "template.yaml")
    write_weights(
        tmp_path / "tiny" / "snapshot.pth",
        template_text=weights.template_text,
        state_dict=weights.state_dict,
        epochs=weights.epochs,
    )
    monkeypatch.chdir(tmp_path)
    code = "".join(examples())
    for written, run in OF_THE_TINY_ONE.items():
        assert written in code
        code = code.replace(written, run)
    exec(compile(code, str(GUIDE), "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("out/model.onnx (fp32): passed, ")
    assert lines[1] == "(PosixPath('out/model.onnx'),)"
    assert 0 <= float(lines[2]) <= 100
    assert [line.split()[0] for line in lines if re.match(r"\d \d+\.", line)] == ["1", "2"]
    rows = [line.split()[:2] for line in lines if " onnxruntime " in line]
    assert {tuple(row) for row in rows} >= {("out/model.onnx", "onnxruntime")}
