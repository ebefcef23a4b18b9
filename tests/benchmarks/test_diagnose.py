"""The mismatch detector: right files, deliberately wrong files, other people's files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from pocketface.apps.diagnose import Diagnosis, Trial, _verdict, diagnose
from pocketface.tasks.detection.peers import PEERS
from pocketface.tasks.detection.preprocessing import ALL_PREPROCESSINGS, Preprocessing
from pocketface.errors import DataError, ModelFileError, UserError
from pocketface.export import export_model
from pocketface.model_templates import template_path
from pocketface.tasks.templates import parse_template
from pocketface.models.network import Network
from pocketface.models.weights import build_network, read_weights, shipped_weights, write_weights
from pocketface.tasks.templates import open_template

SIZE = (320, 320)
RIGHT = "bgr,0-255,letterbox"


@pytest.fixture(scope="module")
def shipped() -> Path:
    weights = shipped_weights(open_template("face-detection-n"))
    assert weights is not None
    return weights


@dataclass(frozen=True)
class Labels:
    annotations: Path
    root: Path


@pytest.fixture(scope="module")
def labels(shared: Path) -> Labels:
    """Forty photos of people with and without masks, boxes by hand."""
    return Labels(shared / "face_mask/faces.json", shared / "face_mask/images")


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
    return Labels(tmp_path / "faces.json", tmp_path)


def look(file: Path, labels: Labels, **options: Any) -> Diagnosis:
    where = {"annotations": [labels.annotations], "roots": [labels.root]}
    found = diagnose(file, **{"limit": 40, **where, **options})
    assert {trial.preprocessing for trial in found.trials} == set(ALL_PREPROCESSINGS)
    assert all(trial.low <= trial.ap <= trial.high for trial in found.trials)
    return found


def export_with(shipped: Path, folder: Path, pattern: str, replacement: str) -> Path:
    """The shipped weights behind another normalisation than the one they were trained with."""
    text = template_path("face-detection-n").read_text()
    text = re.sub(r"initial_weights:\n(  .*\n)+", "initial_weights: null\n", text)
    text, count = re.subn(pattern, replacement, text)
    assert count == 1
    weights = folder / "wrong.safetensors"
    state = build_network(read_weights(shipped)).state_dict()
    write_weights(weights, template_text=text, state_dict=state, epochs=0, seed=0)
    report = export_model(
        weights=weights, template=None, folder=folder, formats=["onnx"], input_size=SIZE
    )
    # Against its own network it is faultless, which is why only labelled photos tell.
    assert [row.status for row in report.rows] == ["passed"]
    return folder / "model.onnx"


def test_a_right_file_is_as_declared(shipped: Path, labels: Labels, tmp_path: Path) -> None:
    export_model(weights=shipped, template=None, folder=tmp_path, formats=["onnx"], input_size=SIZE)
    found = look(tmp_path / "model.onnx", labels)
    assert (found.verdict, found.kind) == ("as declared", "boxes and scores")
    assert found.declared == Preprocessing.parse(RIGHT)
    assert found.trials[0].ap > 0.65
    # The user's word counts more than the file's.
    other = look(
        tmp_path / "model.onnx", labels, declared=Preprocessing.parse("rgb,-1-1,letterbox")
    )
    assert other.verdict == "mismatch"
    assert other.gain is not None
    assert other.gain[1] > 0.3


@pytest.mark.parametrize(
    ("pattern", "replacement", "best"),
    [
        (r"colour: BGR", "colour: RGB", "rgb,0-255"),
        (r"mean: .*\n(\s*)std: .*", r"mean: [0, 0, 0]\n\1std: [1, 1, 1]", "bgr,-1-1"),
    ],
)
def test_a_wrong_file_is_a_mismatch(
    shipped: Path, labels: Labels, tmp_path: Path, pattern: str, replacement: str, best: str
) -> None:
    found = look(export_with(shipped, tmp_path, pattern, replacement), labels)
    assert found.verdict == "mismatch"
    right = max(one.ap for one in found.trials if str(one.preprocessing).startswith(best))
    # Networks bear other contrasts: with half of it this one may find a little more.
    assert right > found.trials[0].ap - 0.01
    assert found.gain is not None
    assert 0 < found.gain[1] <= found.gain[0] <= found.gain[2]


def test_a_network_that_knows_nothing(made_labels: Labels, tmp_path: Path) -> None:
    text = template_path("face-detection-n").read_text()
    text = re.sub(r"initial_weights:\n(  .*\n)+", "initial_weights: null\n", text)
    state = Network(parse_template(text, source="test").architecture).state_dict()
    weights = tmp_path / "new.safetensors"
    write_weights(weights, template_text=text, state_dict=state, epochs=0, seed=0)
    export_model(
        weights=weights, template=None, folder=tmp_path, formats=["onnx"], input_size=(64, 64)
    )
    assert look(tmp_path / "model.onnx", made_labels).verdict == "useless"


@pytest.mark.parametrize(
    ("peer", "wrong"), [("yunet-n", "rgb,-1-1,letterbox"), ("scrfd-500m", "bgr,0-255,letterbox")]
)
def test_other_peoples_files(shared: Path, labels: Labels, peer: str, wrong: str) -> None:
    how: dict[str, Any] = {"limit": 20}
    if peer == "scrfd-500m":  # its input is free
        how["input_size"] = SIZE
    path = shared / "peers" / PEERS[peer].file
    right = look(path, labels, declared=PEERS[peer].preprocessing, **how)
    assert right.verdict != "mismatch"  # twenty photos may leave it undecided
    assert look(path, labels, declared=Preprocessing.parse(wrong), **how).verdict == "mismatch"


def test_an_nhwc_graph_without_contract(shipped: Path, labels: Labels, tmp_path: Path) -> None:
    """As other people make them: ours with a transposition before it, metadata gone."""
    export_model(weights=shipped, template=None, folder=tmp_path, formats=["onnx"], input_size=SIZE)
    model = onnx.load(tmp_path / "model.onnx")
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


def identity(
    path: Path, shape: list[Any], kind: int = onnx.TensorProto.FLOAT, output: str = "mask"
) -> Path:
    """A file that answers with its input."""
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["image"], [output])],
        "identity",
        [value("image", kind, shape)],
        [value(output, kind, shape)],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    return path


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ([1, 3, 8, 8], r"outputs .*mask.*: expected those of boxes and scores; coordinates"),
        ([1, 8, 8, 5], r"inputs .*image.*: expected one image, \(B, 3, H, W\) or"),
        ([2, 3, 8, 8], "takes 2 images at once; expected 1 or any number"),
    ],
)
def test_what_is_no_detector_is_refused(
    tmp_path: Path, made_labels: Labels, shape: list[int], message: str
) -> None:
    with pytest.raises(ModelFileError, match=message):
        look(identity(tmp_path / "m.onnx", shape), made_labels)


def test_a_graph_that_takes_other_arrays_is_refused(tmp_path: Path, made_labels: Labels) -> None:
    path = identity(tmp_path / "m.onnx", [1, 3, 1, 7], onnx.TensorProto.UINT8)
    with pytest.raises(ModelFileError, match=r"m\.onnx: does not answer a float32 image as SSD"):
        look(path, made_labels)


@pytest.mark.parametrize(
    ("sides", "asked", "message"),
    [
        (["h", "w"], (100, 101), "--input-size 100x101: expected positive multiples of 32"),
        (["h", "w"], (0, 0), "--input-size 0x0: expected positive multiples of 32"),
        (
            ["h", "w"],
            (99968, 99968),
            "--input-size 99968x99968: above the limit of 64,000,000 pixels",
        ),
        ([64, 64], (32, 32), r"--input-size 32x32: .*m\.onnx has a fixed input of 64x64"),
    ],
)
def test_input_sizes(
    tmp_path: Path, made_labels: Labels, sides: list[Any], asked: tuple[int, int], message: str
) -> None:
    path = identity(tmp_path / "m.onnx", [1, 3, *sides])
    with pytest.raises(UserError, match=message):
        look(path, made_labels, input_size=asked)


@pytest.mark.parametrize("name", ["model_nms.onnx", "model_nms.mlmodel"])
def test_files_with_their_nms_inside(made_labels: Labels, tmp_path: Path, name: str) -> None:
    """Which answer with no box at all, where the pre-processing is wrong."""
    pytest.importorskip("coremltools", reason="needs coremltools")
    export_model(
        weights=None,
        template="face-detection-n",
        folder=tmp_path,
        formats=["onnx" if name.endswith("onnx") else "coreml"],
        with_nms=True,
        input_size=(64, 64),
        verify=False,
    )
    found = look(tmp_path / name, made_labels)
    assert (found.verdict, found.declared) == (
        "useless",
        Preprocessing.parse("bgr,0-255,letterbox"),
    )


def test_no_labelled_face(tmp_path: Path, made_labels: Labels) -> None:
    text = json.loads(made_labels.annotations.read_text())
    made_labels.annotations.write_text(json.dumps(text | {"annotations": []}))
    export_model(
        weights=None,
        template="face-detection-n",
        folder=tmp_path,
        formats=["onnx"],
        input_size=(64, 64),
        verify=False,
    )
    with pytest.raises(DataError, match=r"faces\.json: no labelled face in the 1 photos"):
        look(tmp_path / "model.onnx", made_labels)


def test_the_sixteen() -> None:
    assert len(ALL_PREPROCESSINGS) == len({str(one) for one in ALL_PREPROCESSINGS}) == 16
    for one in ALL_PREPROCESSINGS:
        assert Preprocessing.parse(str(one)) == one
    with pytest.raises(
        UserError, match=r"--declared 'bgr,0-2,letterbox': expected bgr\|rgb,0-255\|0-1"
    ):
        Preprocessing.parse("bgr,0-2,letterbox")


def test_what_the_network_is_shown() -> None:
    blue = np.zeros((10, 20, 3), np.uint8)
    blue[..., 0] = 255
    shown = {
        str(one): one.apply(blue, height=20, width=20)[0][0, :, 2, 2] for one in ALL_PREPROCESSINGS
    }
    assert shown["bgr,0-255,stretch"].tolist() == [255, 0, 0]
    assert shown["rgb,0-1,letterbox"].tolist() == [0, 0, 1]
    assert shown["bgr,-1-1,stretch"].tolist() == [1, -1, -1]
    np.testing.assert_allclose(shown["rgb,imagenet,stretch"], [-2.1179, -2.0357, 2.64], atol=1e-4)
    low, high = (
        Preprocessing.parse(f"bgr,0-255,{how}").apply(blue, height=20, width=20, pad_value=7.0)
        for how in ("letterbox", "stretch")
    )
    assert low[0][0, :, 15, 5].tolist() == [7, 7, 7]
    assert high[0][0, :, 15, 5].tolist() == [255, 0, 0]
    assert low[1].scale_y == 1
    assert high[1].scale_y == 2


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        ((0.0, 0.0, 0.0), "as declared"),
        ((0.009, 0.001, 0.02), "as declared"),
        ((0.3, 0.1, 0.5), "mismatch"),
        ((0.3, -0.02, 0.6), "undecided"),
        (None, "undeclared"),
    ],
)
def test_what_a_few_photos_cannot_tell(
    gain: tuple[float, float, float] | None, verdict: str
) -> None:
    assert _verdict(_trials(0.5, 0.2), gain) == verdict
    assert _verdict(_trials(0.0, 0.0), gain) == "useless"


def test_ways_that_find_as_much() -> None:
    trials = _trials(0.5, 0.495, 0.48)
    declared = trials[0].preprocessing
    found = Diagnosis(
        path=Path("model.onnx"), kind="boxes and scores", photos=5, faces=9, trials=trials,
        declared=declared, verdict="as declared", gain=(0.0, 0.0, 0.0),
    )  # fmt: skip
    assert found.others_as_good == 1


def _trials(*found: float) -> tuple[Trial, ...]:
    way = Preprocessing.parse(RIGHT)
    return tuple(Trial(preprocessing=way, ap=ap, low=ap, high=ap) for ap in found)
