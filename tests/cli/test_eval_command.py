from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import pocketface
from pocketface.data.images import read_image
from pocketface.files import sha256_file
from pocketface.model_templates.catalogue import ready_file

from ..labelled_lists import write_labelled_faces

Run = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("place")

FLAGS = ("--test-ann-files", "faces.json", "--test-data-roots", "photos")


@pytest.fixture(autouse=True)
def labels(place: Path) -> None:
    """Faces where the network itself sees them: a perfect detector by construction."""
    model = pocketface.load("tiny.pth")
    names = ["a.jpg", "more/b.png"]
    images, annotations = [], []
    for number, name in enumerate(names):
        pixels = read_image(place / "photos" / name)
        height, width = pixels.shape[:2]
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        found = model.predict(pixels, score_threshold=0.02, second_look=False)
        for x1, y1, x2, y2 in found.boxes.tolist():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                }
            )
    assert annotations
    content = {"images": images, "annotations": annotations}
    content["categories"] = [{"id": 1, "name": "face"}]
    Path("faces.json").write_text(json.dumps(content))


@pytest.mark.parametrize("weights", ["tiny.pth", "model/model.bin", "model/model.onnx"])
def test_a_perfect_detector_gets_full_marks(run: Run, weights: str) -> None:
    result = run("eval", "--load-weights", weights, *FLAGS, "--save-metrics-to", "out/metrics.yaml")
    assert (result.code, result.err) == (0, "")
    assert "written: out/metrics.yaml" in result.out
    content = yaml.safe_load(Path("out/metrics.yaml").read_text())
    metrics = {entry["key"]: entry for entry in content["metrics"]}
    assert metrics["ap"]["value"] == 100
    assert metrics["ap50"]["unit"] == "%"
    assert metrics["images"]["value"] == 2
    for entry in metrics.values():
        assert entry["display_name"] in result.out
    assert content["protocol"]["score_floor"] == 0.02
    assert content["protocol"]["nms_iou"] == 0.45
    assert content["protocol"]["input"] == "letterbox to 96x64"
    files = {entry["role"]: entry for entry in content["files"]}
    assert files["annotations"]["sha256"] == sha256_file(Path("faces.json"))
    model = Path("model/model.xml" if weights.endswith(".bin") else weights)
    assert files["model"]["sha256"] == sha256_file(model)
    assert ("weights" in files) == weights.endswith(".bin")


def test_thresholds_and_sizes_change_the_figures(run: Run) -> None:
    def ap(*flags: str) -> float:
        command = ("eval", "--load-weights", "tiny.pth", *FLAGS, "--save-metrics-to", "m.yaml")
        assert run(*command, *flags).code == 0
        metrics = yaml.safe_load(Path("m.yaml").read_text())["metrics"]
        return next(entry["value"] for entry in metrics if entry["key"] == "ap")

    assert ap() == 100
    assert ap("--score-threshold", "0.9") < 100
    assert yaml.safe_load(Path("m.yaml").read_text())["protocol"]["threshold"] == 0.9
    assert ap("--score-floor", "0.9") == ap("--score-threshold", "0.9")
    assert ap("--max-detections", "1") < 100
    assert yaml.safe_load(Path("m.yaml").read_text())["protocol"]["max_detections"] == 1
    assert ap("--nms-iou", "0.05") < 100
    assert ap("--input-size", "64x64") < 100
    assert "letterbox to 64x64" in Path("m.yaml").read_text()


def test_the_protocol_is_said(run: Run) -> None:
    command = ("eval", "--load-weights", "tiny.pth", *FLAGS)
    result = run(*command, "--score-floor", "0.7", "--max-detections", "100", "--json")
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert {line["protocol"] for line in lines} == {
        "input letterbox to 96x64, score floor 0.7, max detections 100, nms iou 0.45, "
        "threshold 0.7, runtime torch, precision fp32, device cpu"
    }
    assert "score floor 0.02, max detections 750" in run(*command).out


def test_landmarks_are_measured_where_they_are_labelled(run: Run) -> None:
    def figures() -> dict[str, float]:
        command = ("eval", "--load-weights", "tiny.pth", *FLAGS, "--save-metrics-to", "m.yaml")
        assert run(*command).code == 0
        metrics = yaml.safe_load(Path("m.yaml").read_text())["metrics"]
        return {entry["key"]: entry["value"] for entry in metrics if "landmark" in entry["key"]}

    assert figures() == {}
    model = pocketface.load("tiny.pth")
    content = json.loads(Path("faces.json").read_text())
    face = model.predict("photos/a.jpg", second_look=False)[0]
    here = content["annotations"][0]
    np.testing.assert_allclose(here["bbox"][:2], face.box[:2], rtol=1e-5)
    size = np.array(here["bbox"][2:])
    places = [[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]
    points = here["bbox"][:2] + np.array(places) * size
    here["landmarks"] = points.ravel().tolist()
    Path("faces.json").write_text(json.dumps(content))
    distances = np.linalg.norm(face.landmarks - points, axis=1)
    error = pytest.approx(100 * distances.mean() / size.prod() ** 0.5, abs=0.01)
    assert figures() == {"landmark_error": error, "landmark_faces": 1}


def test_a_mode_of_pytorch_is_kept_at_another_size_and_said(run: Run) -> None:
    def found(*flags: str) -> tuple[float, str]:
        command = ("eval", "--load-weights", "tiny.pth", *FLAGS, "--save-metrics-to", "m.yaml")
        assert run(*command, "--input-size", "64x64", *flags).code == 0
        content = yaml.safe_load(Path("m.yaml").read_text())
        figures = {entry["key"]: entry["value"] for entry in content["metrics"]}
        return figures["ap"], content["protocol"]["runtime"]

    (plain, name), (rounded, other) = found(), found("--runtime", "torch:bf16")
    assert (name, other) == ("torch", "torch:bf16")
    assert plain != rounded


def test_a_photo_left_out_counts_in_no_figure(run: Run) -> None:
    def figures() -> dict[str, float]:
        command = ("eval", "--load-weights", "tiny.pth", *FLAGS, "--save-metrics-to", "m.yaml")
        assert run(*command).code == 0
        metrics = yaml.safe_load(Path("m.yaml").read_text())["metrics"]
        return {entry["key"]: entry["value"] for entry in metrics}

    both = figures()
    content = Path("photos/a.jpg").read_bytes()
    Path("photos/a.jpg").write_bytes(content[: len(content) // 2])
    one = figures()
    assert (both["images_skipped"], one["images_skipped"]) == (0, 1)
    # Both photos are the same picture, so that either alone has the figures of both.
    for key in ("ap", "best_f1", "recall_10", "recall_20", "recall_40", "false_alarms"):
        assert one[key] == both[key], key


@pytest.mark.parametrize("flag", ["--save-metrics-to", "--mistakes-to"])
def test_a_place_that_cannot_be_written_is_known_before(run: Run, flag: str) -> None:
    result = run("eval", "--load-weights", "no such weights", *FLAGS, flag, "notes.txt/m")
    assert result.code == 2
    assert f"{flag} notes.txt/m: cannot be written: notes.txt is in the way" in result.err


@pytest.mark.parametrize("flag", ["--save-metrics-to", "--mistakes-to"])
@pytest.mark.parametrize("file", ["faces.json", "tiny.pth", "tiny.yaml"])
def test_what_is_read_is_not_written_over(run: Run, flag: str, file: str) -> None:
    before = Path(file).read_bytes()
    model = ("--load-weights", "tiny.pth", "--template", "tiny.yaml")
    result = run("eval", *model, *FLAGS, flag, f"photos/../{file}")
    assert result.code == 2
    assert f"{flag} photos/../{file}: is one of the files to be read" in result.err
    assert Path(file).read_bytes() == before


@pytest.mark.parametrize("flag", ["--save-metrics-to", "--mistakes-to"])
def test_no_part_of_a_model_is_written_over(run: Run, flag: str) -> None:
    for name in ("model.xml", "model.bin"):
        Path(name).write_bytes(b"?")
    result = run("eval", "--load-weights", "model.xml", *FLAGS, flag, "model.bin")
    assert result.code == 2
    assert f"{flag} model.bin: is one of the files to be read" in result.err


def test_metrics_replace_older_metrics_alone(run: Run) -> None:
    command = ("eval", "--load-weights", "tiny.pth", *FLAGS, "--save-metrics-to")
    before = Path("notes.txt").read_bytes()
    result = run(*command, "notes.txt")
    assert result.code == 2
    assert "--save-metrics-to notes.txt: is there already, and holds no metrics" in result.err
    assert Path("notes.txt").read_bytes() == before
    assert [run(*command, "new.yaml").code for _ in range(2)] == [0, 0]


def test_an_exported_file_is_measured_with_another_input_size(run: Run) -> None:
    found = []
    for file in ("model/model.onnx", "tiny.pth"):
        place = ("--save-metrics-to", "m.yaml", "--input-size", "64x64")
        assert run("eval", "--load-weights", file, *FLAGS, *place).code == 0
        metrics = yaml.safe_load(Path("m.yaml").read_text())["metrics"]
        found.append({one["key"]: one["value"] for one in metrics if one["value"] is not None})
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    result = run("eval", "--load-weights", "model/model.onnx", *FLAGS, "--input-size", "64x60")
    assert result.code == 2
    assert "model/model.onnx takes positive multiples of 32" in result.err


def test_lists_may_have_commas(run: Run) -> None:
    result = run(
        "eval", "--load-weights", "tiny.pth", "--test-ann-files", "faces.json,faces.json",
        "--test-data-roots", "photos,photos", "--save-metrics-to", "m.yaml",
    )  # fmt: skip
    assert result.code == 0
    roles = [entry["role"] for entry in yaml.safe_load(Path("m.yaml").read_text())["files"]]
    assert roles == ["model", "annotations 1", "annotations 2"]


def test_wider_alone_and_beside_coco(run: Run, place: Path) -> None:
    _make_wider(place / "wider")
    command = ("eval", "--load-weights", "tiny.pth", "--wider-dir", "wider")
    result = run(*command, "--save-metrics-to", "m.yaml")
    assert result.code == 0
    content = yaml.safe_load(Path("m.yaml").read_text())
    assert [entry["key"] for entry in content["metrics"]] == [
        "wider_easy",
        "wider_medium",
        "wider_hard",
        "wider_images",
    ]
    assert content["metrics"][2]["value"] == 100
    assert content["protocol"]["wider_images"] == 1
    assert run(*command, *FLAGS, "--save-metrics-to", "m.yaml").code == 0
    keys = [entry["key"] for entry in yaml.safe_load(Path("m.yaml").read_text())["metrics"]]
    assert {"ap", "wider_hard"} < set(keys)
    assert len(keys) == len(set(keys))


def _make_wider(folder: Path) -> None:
    """The official layout and ground truth, for one photo with the faces the network finds."""
    import numpy as np
    from scipy.io import savemat

    events = folder / "WIDER_val/images/0--Parade"
    events.mkdir(parents=True)
    (events / "a.png").write_bytes(Path("photos/more/b.png").read_bytes())
    lists = folder / "wider_face_split"
    lists.mkdir()
    (lists / "wider_face_val_bbx_gt.txt").write_text("0--Parade/a.png\n1\n1 2 3 4 0 0 0 0 0 0\n")
    model = pocketface.load("tiny.pth")
    found = model.predict(events / "a.png", score_threshold=0.02, second_look=False).boxes
    corners = np.concatenate([found[:, :2], found[:, 2:] - found[:, :2]], axis=1)

    def cell(*values: object) -> object:
        made = np.empty((len(values), 1), dtype=object)
        made[:, 0] = values
        return made

    truth = folder / "ground_truth"
    truth.mkdir()
    names = {"event_list": cell("0--Parade"), "file_list": cell(cell("a"))}
    savemat(truth / "wider_face_val.mat", {**names, "face_bbx_list": cell(cell(corners))})
    every = np.arange(1, len(corners) + 1).reshape(-1, 1)
    for setting in ("easy", "medium", "hard"):
        savemat(truth / f"wider_{setting}_val.mat", {**names, "gt_list": cell(cell(every))})


@pytest.mark.parametrize(
    ("labels_file", "template"), [("faces.json", "face-detection-n"), ("list.csv", "glasses-n")]
)
def test_without_a_model_the_labels_choose_one(run: Run, labels_file: str, template: str) -> None:
    points = np.array([[60, 50], [90, 50], [75, 70], [62, 85], [88, 85]], np.float32)
    write_labelled_faces(
        Path("list.csv"), [("a.jpg", "glass", points), ("more/b.png", "no_glass", points)]
    )
    flags = ("--test-ann-files", labels_file, "--test-data-roots", "photos")
    result = run("eval", *flags, "--save-metrics-to", "metrics.yaml")
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines()[0] == str(ready_file(template))
    same = run("eval", *flags, "--load-weights", template)
    assert same.out == result.out.replace("written: metrics.yaml\n", "")
