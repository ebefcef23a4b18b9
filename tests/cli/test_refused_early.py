"""What needs no model to be refused is refused before PyTorch or a runtime loads."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest

HEAVY = ("torch", "lightning", "openvino", "onnxruntime", "tensorflow", "coremltools", "nncf", "av")

LABELS = "--train-ann-files faces.json --train-data-roots ."
VALIDATION = "--val-ann-files faces.json --val-data-roots ."
TRAIN = "train --template face-detection-n --save-checkpoints-to out"
COMPRESS = f"compress --save-checkpoints-to out {LABELS} {VALIDATION}"
SHIPPED = "--template face-detection-n"
EXPORT = "export --save-model-to out"
LOOK = "visualize --no-show --load-weights none.onnx --video photo.png"

REFUSED = (
    ("eval --template nothing --test-ann-files faces.json --test-data-roots .", "nothing"),
    (f"eval {SHIPPED} --test-ann-files none.json --test-data-roots .", "none.json: no such file"),
    (f"eval {SHIPPED} --test-ann-files faces.json --test-data-roots none", "none: no such folder"),
    (f"eval {SHIPPED} --test-ann-files faces.json", "go together"),
    (f"eval {SHIPPED}", "nothing to measure on"),
    ("eval --load-weights none.onnx --test-ann-files faces.json --test-data-roots .", "none.onnx"),
    (f"{TRAIN} --train-ann-files none.json --train-data-roots .", "none.json: no such file"),
    (f"{TRAIN} {LABELS} --load-weights none.pth", "none.pth: no such file"),
    (f"{TRAIN} {LABELS} --resume-from none.pth", "none.pth: no such file"),
    (f"{TRAIN} {LABELS} --load-weights photo.png", "photo.png: not a weights file"),
    (f"{TRAIN} {LABELS} --classes face", "--classes"),
    (f"{TRAIN} {LABELS} --save-checkpoints-to photo.png/run", "photo.png is in the way"),
    (f"{COMPRESS} {SHIPPED}", "nothing to do"),
    (f"{COMPRESS} {SHIPPED} --post-training --formats tfjs", "format 'tfjs'"),
    (f"{COMPRESS} {SHIPPED} --post-training --precision int4", "precision 'int4'"),
    (f"{COMPRESS} --load-weights none.pth --post-training", "none.pth: no such file"),
    (f"{EXPORT} --load-weights none.pth", "none.pth: no such file"),
    (f"{EXPORT} {SHIPPED} --formats tfjs", "format 'tfjs'"),
    (f"{EXPORT} {SHIPPED} --precision int4", "precision 'int4'"),
    (f"export {SHIPPED} --save-model-to photo.png", "--save-model-to photo.png: cannot be written"),
    (f"visualize --no-show {SHIPPED} --video none.mp4", "none.mp4: no such file"),
    (f"{LOOK} --output out/", "--output out: expected a photo's name"),
    (LOOK, "none.onnx: no such file"),
    ("classify none.jpg", "none.jpg: no such file"),
    ("classify photo.png --csv photo.png", "--csv photo.png: is one of the files"),
    ("serve --template nothing", "nothing"),
    ("serve --port 99999", "--port 99999: expected 0 to 65535"),
    ("serve --load-weights none.onnx", "none.onnx: no such file"),
    ("data label none --output out.json", "none: no such folder"),
    ("data split none.json --output out --seed 1000000000", "a whole number of 9 digits at most"),
    ("data label . --output photo.png", "--output photo.png: expected a name that ends in .json"),
    ("data glasses . --output out", ".: expected a folder with folders no_glass and glass"),
    ("benchmark face-detection-n none.onnx", "none.onnx"),
    ("init face-detection-n photo.png", "photo.png: is a file"),
    ("verify none.onnx", "none.onnx: no such file"),
    ("benchmark none.onnx", "none.onnx"),
    (f"benchmark {SHIPPED.split()[1]} --data none.json --root .", "none.json: no such file"),
    ("select --task face-detection --results none.json", "none.json: no such file"),
    ("diagnose none.onnx --test-ann-files faces.json --test-data-roots .", "none.onnx: no such"),
    ("data split none.json --output out", "none.json: cannot be read"),
    ("init nothing out", "nothing"),
)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, list[str]]]:
    """By command its exit code, what it said, and the heavy modules that it loaded."""
    folder = tmp_path_factory.mktemp("early")
    (folder / "faces.json").write_text("{}")
    (folder / "photo.png").write_bytes(b"")
    code = (
        "import contextlib, io, json, sys\n"
        "from pocketface.cli import main\n"
        "for line, arguments in json.load(sys.stdin):\n"
        "    before, said = set(sys.modules), io.StringIO()\n"
        "    with contextlib.redirect_stderr(said):\n"
        "        code = main(arguments)\n"
        f"    heavy = [one for one in {HEAVY} if one in set(sys.modules) - before]\n"
        "    print(json.dumps([line, code, said.getvalue(), heavy]))\n"
    )
    asked = [(line, shlex.split(line)) for line, _ in REFUSED]
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(asked),
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not (folder / "out").exists()
    return {
        line: (code, said, heavy)
        for line, code, said, heavy in map(json.loads, done.stdout.splitlines())
    }


@pytest.mark.parametrize(("command", "says"), REFUSED)
def test_refused_early(
    outcomes: dict[str, tuple[int, str, list[str]]], command: str, says: str
) -> None:
    code, said, heavy = outcomes[command]
    assert code == 2
    assert says in said
    assert heavy == []
