"""The reference interpreter: known answers, and refusals by name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pocketface
from pocketface.errors import ModelFileError
from pocketface.exporting.coreml_spec import describe

if find_spec("coremltools") is None:
    pytest.skip("needs coremltools", allow_module_level=True)

from pocketface.runtimes.coreml import read_spec
from pocketface.runtimes.coreml_reference import function_of
from pocketface.runtimes.seal import model_files, seal

PICTURE = np.random.default_rng(0).integers(0, 256, (1, 3, 64, 96)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(converted: Callable[[str], Path]) -> Path:
    return converted("coreml")


def answer(path: Path, change: Callable[[Any], object] = lambda spec: spec) -> dict[str, Any]:
    spec = read_spec(path)
    change(spec)
    return function_of(spec, model_files(path)[0].parent, where=path.name).run(PICTURE, {})


def layer(spec: Any, kind: str) -> Any:
    return next(one for one in spec.neuralNetwork.layers if one.WhichOneof("layer") == kind)


def operation(spec: Any, kind: str) -> Any:
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    return next(one for one in block.operations if one.type == kind)


def test_both_kinds_answer_alike(folder: Path) -> None:
    one, other = answer(folder / "model.mlmodel"), answer(folder / "model.mlpackage")
    assert one.keys() == other.keys() == {"boxes", "scores", "landmarks"}
    for name, array in one.items():
        np.testing.assert_allclose(array, other[name], atol=1e-3)


def test_fp16_is_rounded_at_every_step(folder: Path) -> None:
    exact = answer(folder / "model.mlpackage")["boxes"]
    rounded = answer(folder / "model_fp16.mlpackage")["boxes"]
    assert 1e-3 < np.abs(exact - rounded).max() < 0.5
    # Every value is one that FP16 has.
    np.testing.assert_array_equal(rounded, rounded.astype(np.float16))


def set_stride(spec: Any) -> None:
    layer(spec, "convolution").convolution.dilationFactor[:] = [2, 2]
    amounts = layer(spec, "convolution").convolution.valid.paddingAmounts.borderAmounts
    for amount in amounts:
        amount.startEdgeSize = amount.endEdgeSize = 2


def set_colour(spec: Any) -> None:
    spec.description.input[0].type.imageType.colorSpace = 20


def set_bias(spec: Any) -> None:
    spec.neuralNetwork.preprocessing[0].scaler.blueBias = 50


def set_scale(spec: Any) -> None:
    spec.neuralNetwork.preprocessing[0].scaler.channelScale = 0.5


def set_activation(spec: Any) -> None:
    layer(spec, "activation").activation.linear.alpha = 0.9


@pytest.mark.parametrize("change", [set_stride, set_colour, set_bias, set_scale, set_activation])
def test_what_a_layer_says_matters(folder: Path, change: Callable[[Any], None]) -> None:
    path = folder / "model.mlmodel"
    # Network-input pixels, of a network that was never trained.
    assert np.abs(answer(path)["boxes"] - answer(path, change)["boxes"]).max() > 3e-4


def test_preprocessing_goes_by_the_colour_order(folder: Path) -> None:
    path = folder / "model.mlmodel"

    def as_rgb(spec: Any) -> None:
        set_colour(spec)
        set_bias(spec)

    # The blue plane of a BGR picture is the first, and the last of what an RGB network gets.
    shifted = PICTURE.copy()
    shifted[:, 0] += 50
    spec = read_spec(path)
    set_colour(spec)
    expected = function_of(spec, folder, where="").run(shifted, {})
    np.testing.assert_allclose(answer(path, as_rgb)["boxes"], expected["boxes"], atol=1e-4)


def refuse(spec: Any, kind: str, field: str, value: object) -> None:
    setattr(getattr(layer(spec, kind), kind), field, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: layer(s, "convolution").gelu.SetInParent(), "type gelu is not one that the ref"),
        (lambda s: refuse(s, "convolution", "isDeconvolution", True), "isDeconvolution is not"),
        (lambda s: layer(s, "convolution").convolution.same.SetInParent(), "padding 'same' is not"),
        (lambda s: layer(s, "activation").activation.tanh.SetInParent(), "tanh is not known"),
        (lambda s: refuse(s, "upsample", "mode", 1), "linearUpsampleMode 0 is not"),
        (lambda s: refuse(s, "concatND", "interleave", True), "interleave is not known"),
        (lambda s: refuse(s, "slice", "endIndex", -1), "a range from 0 to -1 is not known"),
        (
            lambda s: setattr(
                layer(s, "convolution").convolution.weights, "rawValue", b"\1" * 1000
            ),
            "weights stored as .*rawValue",
        ),
        (lambda s: setattr(s.neuralNetwork, "arrayInputShapeMapping", 0), "five axes"),
        (
            lambda s: setattr(s.description.input[0].type.imageType, "colorSpace", 10),
            "colour space 10",
        ),
        (
            lambda s: s.neuralNetwork.preprocessing[0].meanImage.SetInParent(),
            "preprocessing of 'image' is not known",
        ),
        (lambda s: s.ClearField("neuralNetwork") or s.glmClassifier.SetInParent(), "glmClassifier"),
    ],
)
def test_a_network_that_is_not_known(
    folder: Path, change: Callable[[Any], object], message: str
) -> None:
    with pytest.raises(ModelFileError, match=message) as caught:
        answer(folder / "model.mlmodel", change)
    assert str(caught.value).startswith("model.mlmodel: ")


def rename_argument(spec: Any) -> None:
    inputs = operation(spec, "conv").inputs
    inputs["odd"].CopyFrom(inputs["x"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: setattr(operation(s, "relu"), "type", "gelu"), "of type gelu is not one that"),
        (rename_argument, "of type conv: odd is not known"),
        (lambda s: s.mlProgram.functions["more"].SetInParent(), r"functions \['main', 'more'\]"),
    ],
)
def test_a_program_that_is_not_known(
    folder: Path, change: Callable[[Any], object], message: str
) -> None:
    with pytest.raises(ModelFileError, match=message):
        answer(folder / "model.mlpackage", change)


def test_weights_that_are_not_there(folder: Path, tmp_path: Path) -> None:
    spec = read_spec(folder / "model.mlpackage")
    with pytest.raises(ModelFileError, match=r"weight\.bin: cannot be read"):
        function_of(spec, tmp_path, where="model")


def set_file(spec: Any, name: str) -> None:
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    for one in block.operations:
        for value in one.attributes.values():
            if value.WhichOneof("value") == "blobFileValue":
                value.blobFileValue.fileName = name


@pytest.mark.parametrize("way", ["../secret.bin", "//etc/passwd", "link.bin", "folder/secret.bin"])
def test_weights_are_read_from_the_package_alone(folder: Path, tmp_path: Path, way: str) -> None:
    inside = tmp_path / "package"
    inside.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(1000))
    (inside / "link.bin").symlink_to("../secret.bin")
    (inside / "folder").symlink_to("..")
    spec = read_spec(folder / "model.mlpackage")
    set_file(spec, f"@model_path/{way}")
    with pytest.raises(ModelFileError, match=rf"m: .*{way}' lead out of the package"):
        function_of(spec, inside, where="m")
    with pytest.raises(ModelFileError, match="are not there"):
        function_of(spec, None, where="m")


def test_a_picture_cannot_become_an_array_of_any_size(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (spec,) = suppression([[0.5, 0.5, 0.2, 0.2]], [0.6]).pipeline.models[:1]
    one = spec.neuralNetwork.layers.add(name="large", input=["image"], output=["large"])
    one.upsample.scalingFactor.extend([10**6, 10**6])
    spec.description.output.add(name="large")
    with pytest.raises(ModelFileError, match=r"m: computes [\d,]+ numbers for an input of \(1, 3"):
        function_of(spec, tmp_path, where="m")
    more = spec.neuralNetwork.layers.add(name="sum", input=["large", "image"], output=["sum"])
    more.add.SetInParent()
    with pytest.raises(ModelFileError, match=r"m: layer 'sum' of type add: "):
        function_of(spec, tmp_path, where="m")
    assert "fake_tensor" not in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"itemInfoEntries": {"a": {"path": "../../x"}}}', r"names '\.\./\.\./x', which is not"),
        ('{"itemInfoEntries": {"a": {"path": "/etc"}}}', "names '/etc', which is not"),
        ('{"itemInfoEntries": {"a": {}}}', "damaged, or missing: it has no 'path'"),
        ("[" * 100_000, "damaged, or missing"),
    ],
)
def test_a_manifest_names_parts_of_its_package(
    folder: Path, tmp_path: Path, text: str, message: str
) -> None:
    copy = shutil.copytree(folder / "model.mlpackage", tmp_path / "m.mlpackage")
    (copy / "Manifest.json").write_text(text)
    seal(copy)
    with pytest.raises(ModelFileError, match=rf"m\.mlpackage: Manifest\.json: {message}"):
        pocketface.load(copy)


def suppression(boxes: list[list[float]], scores: list[float]) -> Any:
    """A pipeline of a network with constant outputs and a suppression."""
    from coremltools.proto import Model_pb2

    spec = Model_pb2.Model()
    network = spec.pipeline.models.add()
    image = network.description.input.add(name="image").type.imageType
    image.width, image.height, image.colorSpace = 96, 64, 30
    network.neuralNetwork.arrayInputShapeMapping = 1
    network.neuralNetwork.imageInputShapeMapping = 1
    for name, array in (("b", np.array(boxes)), ("s", np.array(scores)[:, None])):
        one = network.neuralNetwork.layers.add(name=name, output=[name])
        one.loadConstantND.shape.extend(array.shape)
        one.loadConstantND.data.floatValue.extend(array.ravel())
    nms = spec.pipeline.models.add().nonMaximumSuppression
    nms.coordinatesInputFeatureName, nms.confidenceInputFeatureName = "b", "s"
    nms.coordinatesOutputFeatureName, nms.confidenceOutputFeatureName = "out_b", "out_s"
    nms.iouThresholdInputFeatureName, nms.confidenceThresholdInputFeatureName = "iou", "least"
    nms.iouThreshold, nms.confidenceThreshold = 0.5, 0.3
    nms.stringClassLabels.vector.append("face")
    spec.description.input.extend(network.description.input)
    for name in ("out_b", "out_s"):
        spec.description.output.add(name=name)
    return spec


def test_suppression_by_hand(tmp_path: Path) -> None:
    # The second overlaps the first by 0.6, the third by 1/3, the fourth is too unsure.
    boxes = [
        [0.5, 0.5, 0.2, 0.2],
        [0.55, 0.5, 0.2, 0.2],
        [0.6, 0.5, 0.2, 0.2],
        [0.1, 0.1, 0.1, 0.1],
    ]
    spec = suppression(boxes, [0.6, 0.9, 0.8, 0.2])
    spec.pipeline.models[1].nonMaximumSuppression.pickTop.perClass = False
    function = function_of(spec, tmp_path, where="nms")
    found = function.run(PICTURE, {})
    # Best first: 0.9 keeps 0.8 away (0.6), and 0.6 (0.6).
    np.testing.assert_allclose(found["out_s"], [[0.9]])
    found = function.run(PICTURE, {"iou": 0.7})
    np.testing.assert_allclose(found["out_s"], [[0.9], [0.8], [0.6]])
    np.testing.assert_allclose(found["out_b"], [boxes[1], boxes[2], boxes[0]])
    found = function.run(PICTURE, {"iou": 0.7, "least": 0.1})
    assert len(found["out_s"]) == 4
    spec.pipeline.models[1].nonMaximumSuppression.pickTop.perClass = True
    with pytest.raises(ModelFileError, match=r"suppression: pickTop\.perClass is not known"):
        function_of(spec, tmp_path, where="nms")


def test_what_xcode_shows(folder: Path) -> None:
    for name in ("model_nms.mlmodel", "model_nms.mlpackage"):
        spec = read_spec(folder / name)
        about = spec.description
        assert [i.name for i in about.input] == ["image", "iouThreshold", "confidenceThreshold"]
        assert {o.name for o in about.output} == {"confidence", "coordinates"}
        assert all(f.shortDescription for f in (*about.input, *about.output))
        assert about.metadata.author == "pocketface"
        assert about.metadata.license == ""  # nobody but whose they are knows
        nms = spec.pipeline.models[1].nonMaximumSuppression
        assert list(nms.stringClassLabels.vector) == ["face"]
        assert (nms.iouThreshold, nms.confidenceThreshold) == (0.45, 0.3)
    contract = pocketface.load(folder / "model_nms.mlmodel").contract
    provenance = contract.provenance.model_copy(update={"licence": "Apache-2.0"})
    spec = read_spec(folder / "model_nms.mlmodel")
    describe(spec, contract.model_copy(update={"provenance": provenance}))
    assert spec.description.metadata.license == "Apache-2.0"
    spec = read_spec(folder / "model.mlmodel")
    assert spec.specificationVersion <= 4, "iOS 13"
    shapes = {o.name: list(o.type.multiArrayType.shape) for o in spec.description.output}
    assert shapes == {"boxes": [1, 126, 4], "scores": [1, 126], "landmarks": [1, 126, 5, 2]}
