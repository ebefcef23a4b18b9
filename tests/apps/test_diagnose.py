"""The mismatch detector: right files, deliberately wrong files, other people's files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from pocketface.apps.diagnose import Diagnosis, Trial, diagnose
from pocketface.errors import DataError
from pocketface.exporting import ExportRequest, export_model
from pocketface.model_templates import template_path
from pocketface.model_templates.catalogue import shipped_weights
from pocketface.models.network import Network
from pocketface.models.weights import Weights, build_network, read_weights, write_weights
from pocketface.tasks.detection.peers import PEERS
from pocketface.tasks.detection.preprocessing import ALL_PREPROCESSINGS, Preprocessing
from pocketface.tasks.measuring import Labels
from pocketface.tasks.templates import open_template, parse_template

SIZE = (320, 320)
RIGHT = "bgr,0-255,letterbox"
TINY = Path(__file__).parents[1] / "tiny_template.yaml"


@pytest.fixture(scope="module")
def shipped() -> Weights:
    path = shipped_weights(open_template("face-detection-n"))
    assert path is not None
    return read_weights(path)


@pytest.fixture(scope="module")
def right(shipped: Weights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """face-detection-n as it ships."""
    return export(shipped, tmp_path_factory.mktemp("right"), input_size=SIZE)


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """The tiny network, never trained."""
    text = TINY.read_text()
    state = Network(parse_template(text, source="tiny").architecture).state_dict()
    path = tmp_path_factory.mktemp("new") / "new.safetensors"
    write_weights(path, template_text=text, state_dict=state, epochs=0, seed=0)
    return read_weights(path)


@pytest.fixture(scope="module")
def labels(shared: Path) -> Labels:
    """Forty photos of people with and without masks, boxes by hand."""
    return Labels([shared / "face_mask/faces.json"], [shared / "face_mask/images"])


@pytest.fixture
def made_labels(tmp_path: Path) -> Labels:
    """A picture of nothing, said to have a face."""
    assert cv2.imwrite(str(tmp_path / "0.png"), np.full((90, 120, 3), 127, np.uint8))
    image = {"id": 1, "file_name": "0.png", "width": 120, "height": 90}
    face = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 50], "iscrowd": 0}
    text = {
        "images": [image],
        "annotations": [face],
        "categories": [{"id": 1, "name": "face"}],
    }
    (tmp_path / "faces.json").write_text(json.dumps(text))
    return Labels([tmp_path / "faces.json"], [tmp_path])


def export(weights: Weights, folder: Path, **options: Any) -> Path:
    """An ONNX file, unless told otherwise."""
    settings: dict[str, Any] = {"formats": ["onnx"], "verify": False}
    request = ExportRequest(weights=weights, folder=folder, **(settings | options))
    return export_model(request).paths[0]


def look(file: Path, labels: Labels, **options: Any) -> Diagnosis:
    found = diagnose(file, labels=labels, **{"limit": 10, "threads": 1, **options})
    assert {trial.preprocessing for trial in found.trials} == set(ALL_PREPROCESSINGS)
    assert all(trial.low <= trial.ap <= trial.high for trial in found.trials)
    return found


def export_with(shipped: Weights, folder: Path, pattern: str, replacement: str) -> Path:
    """The shipped weights behind another normalisation than the one they were trained with."""
    text = template_path("face-detection-n").read_text()
    text = re.sub(r"initial_weights:\n(  .*\n)+", "initial_weights: null\n", text)
    text, count = re.subn(pattern, replacement, text)
    assert count == 1
    path = folder / "wrong.safetensors"
    state = build_network(shipped).state_dict()
    write_weights(path, template_text=text, state_dict=state, epochs=0, seed=0)
    request = ExportRequest(
        weights=read_weights(path), folder=folder, formats=["onnx"], input_size=SIZE
    )
    report = export_model(request)
    # Against its own network it is faultless, which is why only labelled photos tell.
    assert [one.status for one in report.files] == ["passed"]
    return report.paths[0]


def test_a_right_file_is_as_declared(right: Path, labels: Labels) -> None:
    found = look(right, labels)
    assert (found.verdict, found.kind) == ("as declared", "boxes and scores")
    assert found.declared == Preprocessing.parse(RIGHT)
    assert found.trials[0].ap > 0.65
    # The user's word counts more than the file's.
    other = look(right, labels, declared=Preprocessing.parse("rgb,-1-1,letterbox"))
    assert other.verdict == "mismatch"
    assert other.gain is not None
    assert other.gain[1] > 0.3


@pytest.mark.parametrize(
    ("pattern", "replacement", "best", "photos"),
    [
        (r"colour: BGR", "colour: RGB", "rgb,0-255", 30),  # few photos leave it undecided
        (r"mean: .*\n(\s*)std: .*", r"mean: [0, 0, 0]\n\1std: [1, 1, 1]", "bgr,-1-1", 10),
    ],
)
def test_a_wrong_file_is_a_mismatch(
    shipped: Weights,
    labels: Labels,
    tmp_path: Path,
    pattern: str,
    replacement: str,
    best: str,
    photos: int,
) -> None:
    found = look(export_with(shipped, tmp_path, pattern, replacement), labels, limit=photos)
    assert found.verdict == "mismatch"
    right = max(one.ap for one in found.trials if str(one.preprocessing).startswith(best))
    # Networks bear other contrasts: with half of it this one may find a little more.
    assert right > found.trials[0].ap - 0.01
    assert found.gain is not None
    assert 0 < found.gain[1] <= found.gain[0] <= found.gain[2]


def test_a_network_that_knows_nothing(new: Weights, made_labels: Labels, tmp_path: Path) -> None:
    assert look(export(new, tmp_path), made_labels).verdict == "useless"


@pytest.mark.parametrize(
    ("peer", "wrong"), [("yunet-n", "rgb,-1-1,letterbox"), ("scrfd-500m", "bgr,0-255,letterbox")]
)
def test_other_peoples_files(shared: Path, labels: Labels, peer: str, wrong: str) -> None:
    how: dict[str, Any] = {"limit": 12}
    if peer == "scrfd-500m":  # its input is free
        how["input_size"] = (320, 320)
    path = shared / "peers" / PEERS[peer].file
    right = look(path, labels, declared=PEERS[peer].preprocessing, **how)
    assert right.verdict != "mismatch"  # a dozen photos may leave it undecided
    assert look(path, labels, declared=Preprocessing.parse(wrong), **how).verdict == "mismatch"


def test_an_nhwc_graph_without_contract(right: Path, labels: Labels, tmp_path: Path) -> None:
    """As other people make them: ours with a transposition before it, metadata gone."""
    model = onnx.load(right)
    del model.metadata_props[:]
    (image,) = model.graph.input
    inside = "planes"
    for node in model.graph.node:
        node.input[:] = [inside if name == image.name else name for name in node.input]
    model.graph.node.insert(
        0, onnx.helper.make_node("Transpose", [image.name], [inside], perm=[0, 3, 1, 2])
    )
    image.CopyFrom(
        onnx.helper.make_tensor_value_info(image.name, onnx.TensorProto.FLOAT, [1, *SIZE, 3])
    )
    onnx.save(model, tmp_path / "nhwc.onnx")
    found = look(tmp_path / "nhwc.onnx", labels)
    assert (found.verdict, found.declared) == ("undeclared", None)
    assert str(found.trials[0].preprocessing) == RIGHT
    assert found.trials[0].ap > 0.65


@pytest.mark.parametrize("name", ["model_nms.onnx", "model_nms.mlmodel"])
def test_files_with_their_nms_inside(
    new: Weights, made_labels: Labels, tmp_path: Path, name: str
) -> None:
    """Which answer with no box at all, where the pre-processing is wrong."""
    kind = "onnx" if name.endswith("onnx") else "coreml"
    if kind == "coreml":
        pytest.importorskip("coremltools", reason="needs coremltools")
    export(new, tmp_path, formats=[kind], with_nms=True)
    found = look(tmp_path / name, made_labels)
    assert (found.verdict, found.declared) == (
        "useless",
        Preprocessing.parse("bgr,0-255,letterbox"),
    )


def test_no_labelled_face(new: Weights, tmp_path: Path, made_labels: Labels) -> None:
    (path,) = made_labels.files
    text = json.loads(path.read_text())
    path.write_text(json.dumps(text | {"annotations": []}))
    with pytest.raises(DataError, match=r"faces\.json: no labelled face in the 1 photos"):
        look(export(new, tmp_path), made_labels)


def test_ways_that_find_as_much() -> None:
    trials = _trials(0.5, 0.495, 0.48)
    declared = trials[0].preprocessing
    found = Diagnosis(
        path=Path("model.onnx"), kind="boxes and scores", photos=5, faces=9, trials=trials,
        declared=declared, verdict="as declared", with_faces=5, gain=(0.0, 0.0, 0.0),
    )  # fmt: skip
    assert found.others_as_good == 1


def _trials(*found: float) -> tuple[Trial, ...]:
    way = Preprocessing.parse(RIGHT)
    return tuple(Trial(preprocessing=way, ap=ap, low=ap, high=ap) for ap in found)
