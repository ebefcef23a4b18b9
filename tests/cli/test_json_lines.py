"""--json: lines with the keys that docs/reference/json.md names, and nothing else on stdout."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

from pocketface.cli.json_lines import faces_as_json, print_json
from pocketface.data.images import read_image
from pocketface.results import Detections
from pocketface.tasks.load import load

from ..pixel_recognizer import MEASURED, write_detector, write_photo, write_recognizer

Run = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("place")

ROOT = Path(__file__).parents[2]
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
RESULTS = ROOT / "docs" / "reports" / "benchmarks" / "results.json"
LOW = ("--load-weights", "model/model.onnx", "--score-threshold", "0.1", "--no-show", "--video")
SELECT = ("select", "--task", "face-detection", "--results", RESULTS)


def documented(section: str) -> set[str]:
    """Keys in the first column of a section's table."""
    text = (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
    (body,) = re.findall(rf"(?ms)^## {re.escape(section)}\n(.*?)(?=^## |\Z)", text)
    rows = re.findall(r"(?m)^\| (`[^|]*) \|", body)
    return {key for row in rows for key in re.findall(r"`(\w+)`", row)}


@pytest.fixture
def lines(run: Run) -> Callable[..., list[dict[str, Any]]]:
    """Runs a command with --json; checks the keys of its lines, and returns these."""

    def lines(verb: str, *arguments: object, code: int = 0) -> list[dict[str, Any]]:
        result = run(verb, *arguments, "--json")
        assert result.code == code, result.err
        found = [json.loads(line) for line in result.out.splitlines()]
        for one in found:
            assert set(one) == documented(verb)
            for face in one.get("faces", ()):
                assert set(face) == documented("A face")
                if "vector" in (face["result"] or {}):
                    assert set(face["result"]) == {"vector"}
                elif "name" in (face["result"] or {}):
                    assert set(face["result"]) == documented("Who it is")
                elif face["result"] is not None:
                    assert set(face["result"]) == documented("A result")
        return found

    return lines


Lines = Callable[..., list[dict[str, Any]]]


def test_a_photo(lines: Lines) -> None:
    (one,) = lines("visualize", *LOW, "photo.jpg")
    expected = load("model/model.onnx").predict(read_image(Path("photo.jpg")), score_threshold=0.1)
    faces = [{**face, "result": None} for face in expected.to_dict()["faces"]]
    assert faces
    assert one == {"source": "photo.jpg", "frame": None, "time": None, "faces": faces}


def test_a_folder_whose_bad_photo_is_told_elsewhere(run: Run, lines: Lines) -> None:
    found = lines("visualize", *LOW, "photos", "--output", "out")
    assert [one["source"] for one in found] == ["photos/a.jpg", "photos/more/b.png"]
    assert run("visualize", *LOW, "photos", "--json").err.count("photos/half.jpg: ") == 1


def test_a_video(lines: Lines) -> None:
    found = lines("visualize", *LOW, "video.mp4")
    assert [one["frame"] for one in found] == list(range(12))
    assert [one["time"] for one in found] == pytest.approx([index / 10 for index in range(12)])
    assert {one["source"] for one in found} == {"video.mp4"}
    assert any(one["faces"] for one in found)


def test_a_classifier(lines: Lines) -> None:
    pytest.importorskip("onnxruntime")
    seen = lines("visualize", "--load-weights", "glasses-n", "--video", HOPPER, "--no-show")
    (one,) = lines("classify", HOPPER, "--copy-to", "copies")
    (face,) = one["faces"]
    assert (one["file"], one["answer"]) == (str(HOPPER), face["result"]["label"])
    assert seen[0]["faces"] == [face]
    assert list(face["landmarks"]) == ["left_eye", "right_eye", "nose", "left_mouth", "right_mouth"]
    assert Path("copies", HOPPER.name).exists()


def test_a_recogniser(run: Run, lines: Lines) -> None:
    write_recognizer(Path("pixels.onnx"), **MEASURED)
    write_detector(Path("one.onnx"), 40)
    write_photo(Path("anna.png"), 1)
    models = ("--load-weights", "pixels.onnx", "--detector", "one.onnx")
    assert run("recognize", "enroll", "a.gallery", "anna.png", "--name", "A", *models).code == 0
    look = ("visualize", "anna.png", "--no-show", *models)
    (face,) = lines(*look)[0]["faces"]
    assert len(face["result"]["vector"]) == load("pixels.onnx").contract.outputs[0].shape[1]
    (face,) = lines(*look, "--gallery", "a.gallery")[0]["faces"]
    assert (face["result"]["answer"], face["result"]["name"]) == ("known", "A")
    found = run("recognize", "find", "a.gallery", "anna.png", *models, "--json")
    assert json.loads(found.out)["faces"][0]["result"] == face["result"]


def test_a_name_that_is_no_text(lines: Lines) -> None:
    name = b"ph\xff \n\xc3\xa9.jpg".decode("utf-8", "surrogateescape")
    Path("photo.jpg").rename(name)
    (one,) = lines("visualize", *LOW, name)
    assert one["source"] == name


def test_answers_of_a_task_that_gives_arrays(capsys: pytest.CaptureFixture[str]) -> None:
    """As the one of CONTRIBUTING.md."""
    faces = Detections(np.ones((1, 4), np.float32), np.ones(1, np.float32))
    print_json({"faces": faces_as_json(faces, [np.array([0.5, 1.0], np.float32)])})
    (face,) = json.loads(capsys.readouterr().out)["faces"]
    assert face == {"box": [1, 1, 1, 1], "score": 1, "landmarks": None, "result": [0.5, 1.0]}


def test_eval(lines: Lines) -> None:
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [20, 20, 40, 40]}
    content = {
        "images": [{"id": 1, "file_name": "photo.jpg", "width": 160, "height": 120}],
        "annotations": [{**box, "area": 1600, "iscrowd": 0}],
        "categories": [{"id": 1, "name": "face"}],
    }
    Path("a.json").write_text(json.dumps(content))
    labels = ("--test-ann-files", "a.json", "--test-data-roots", ".")
    found = lines(
        "eval", "--load-weights", "model/model.onnx", *labels, "--save-metrics-to", "m.yaml"
    )
    figures = {one["key"]: one for one in found}
    assert (figures["images"]["value"], figures["images"]["unit"]) == (1, "photos")
    assert 0 <= figures["ap50"]["value"] <= 100
    assert figures["ap50"]["model"] == "model/model.onnx"
    assert Path("m.yaml").exists()


def test_templates(lines: Lines) -> None:
    found = lines("templates")
    assert {"face-detection-n", "glasses-n"} <= {one["name"] for one in found}


def test_verify(lines: Lines) -> None:
    found = lines("verify", "model")
    assert [(one["file"], one["status"]) for one in found] == [
        ("model/model.onnx", "passed"),
        ("model/model.xml", "passed"),
    ]
    assert all(one["agreed"] == one["asked"] for one in found)
    Path("model/model.onnx.parity.json").unlink()
    (one,) = lines("verify", "model/model.onnx", code=1)
    assert one["status"] == "not verified"
    assert "certificate" in one["reason"]


def test_select(run: Run, lines: Lines) -> None:
    best, *others = lines(*SELECT, "--min-ap-medium", "75", "--max-ms", "20")
    assert best["rank"] == "chosen"
    assert best["figures"]["wider_medium"] >= 75
    assert {one["rank"] for one in others} == {"next"}
    (nearest,) = lines(*SELECT, "--min-ap-medium", "99", code=3)
    assert nearest["misses"] == [
        f"wider_medium is {nearest['figures']['wider_medium']:.4g} %, not 99 %"
    ]
    assert nearest["misses"][0] in run(*SELECT, "--min-ap-medium", "99", "--json").err


def test_a_failure_is_a_line_on_stderr_alone(run: Run) -> None:
    result = run("visualize", *LOW, "none.jpg", "--json")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("pocketface: error: none.jpg: ")
