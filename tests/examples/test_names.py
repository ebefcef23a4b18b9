"""The phone examples call models by the names that an export gives them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pocketface
from pocketface.exporting import ExportRequest, export_model
from pocketface.model_templates.contract import CONTRACT_KEY, Contract, InputSpec, OutputSpec
from pocketface.models.weights import Weights, read_weights
from pocketface.runtimes.coreml import read_spec
from pocketface.tasks.recognition.rules import RecognitionRules
from pocketface.tasks.segmentation.rules import SegmentationRules
from pocketface.tasks.weights import open_weights

from ..tasks.segmentation.tiny_segmenter import write_weights_of
from .answers import Driver

SWIFT = "ios/FaceFinder/ModelNames.swift"
KOTLIN = "android/app/src/main/kotlin/pocketface/example/ModelNames.kt"


@pytest.fixture(scope="module")
def swift_names(examples: Path) -> dict[str, str]:
    text = (examples / SWIFT).read_text()
    return dict(re.findall(r'static let (\w+) = "([^"]*)"', text))


@pytest.fixture(scope="module")
def kotlin_names(examples: Path) -> dict[str, str]:
    text = (examples / KOTLIN).read_text()
    return dict(re.findall(r'const val (\w+) = "([^"]*)"', text))


@pytest.fixture(scope="module")
def coreml_files(converted: Callable[[str], Path]) -> dict[str, Any]:
    """Core ML specifications by file name."""
    paths = converted("coreml").glob("model*.ml*")
    return {path.name: read_spec(path) for path in paths}


@pytest.fixture(scope="module")
def tflite_file(converted: Callable[[str], Path]) -> Path:
    return converted("litert") / "model.tflite"


def export(weights: Weights, folder: Path, form: str) -> tuple[Path, ...]:
    report = export_model(
        ExportRequest(weights=weights, folder=folder, formats=[form], verify=False)
    )
    assert not report.failed, report.failed
    return report.paths


def snake_case(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name)


def test_contract_keys_of_the_page(examples: Path) -> None:
    text = "".join(path.read_text() for path in sorted((examples / "web").glob("*.js")))
    keys = set(re.findall(r"\bcontract\.(\w+)", text))
    for some in re.findall(r"\{ ([\w, ]+) \} = contract;", text):
        keys.update(some.split(", "))
    assert {"contract_version", "task", "input", "rules"} < keys <= set(Contract.model_fields)
    rules = set(re.findall(r"\brules\.(\w+)", text))
    for some in re.findall(r"\{ ([\w, ]+) \} = rules;", text):
        rules.update(some.split(", "))
    assert rules == {
        *("score_threshold", "nms_iou", "nms"),
        *SegmentationRules.model_fields,
        *RecognitionRules.model_fields,
    }


def test_contract_keys_in_swift(examples: Path) -> None:
    text = (examples / "ios/FaceFinder/Contract.swift").read_text()
    # By indentation; with a brace they are computed.
    keys = set(re.findall(r"^    var (\w+): [^{\n]+$", text, re.MULTILINE))
    assert {"input", "outputs", "rules"} < keys
    assert set(map(snake_case, keys)) <= set(Contract.model_fields)
    structs = re.findall(
        r"^    (?:private )?struct (\w+): Decodable \{(.*?)^    \}", text, re.MULTILINE | re.DOTALL
    )
    inner = {name: set(map(snake_case, re.findall(r"var (\w+):", body))) for name, body in structs}
    # Under `rules`, of one task or another.
    masks = set(SegmentationRules.model_fields)
    people = {"thresholds", "calibration"}
    assert inner["Rules"] == {"labels", "score_threshold", "nms_iou"} | masks | people
    assert people <= set(RecognitionRules.model_fields)
    assert inner["Header"] == {"contract_version", "task"}
    assert inner["Header"] <= set(Contract.model_fields)
    assert inner["Input"] <= set(InputSpec.model_fields)
    assert inner["Output"] <= set(OutputSpec.model_fields)


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("FaceDetector.kt", {"score_threshold", "nms_iou"}),
        ("FaceSegmenter.kt", set(SegmentationRules.model_fields)),
        ("FaceRecognizer.kt", {"thresholds", "calibration"}),
    ],
)
def test_contract_keys_in_kotlin(name: str, rules: set[str], examples: Path) -> None:
    files = [(examples / KOTLIN).with_name(one) for one in (name, "ContractFile.kt")]
    text = "".join(file.read_text() for file in files)
    keys = set(re.findall(r'\bcontract\.get\w+\("(\w+)"\)', text))
    assert {"contract_version", "task", "rules"} < keys <= set(Contract.model_fields)
    keys = set(re.findall(r'\binput\.get\w+\("(\w+)"\)', text))
    assert {"layout", "colour", "shape"} < keys <= set(InputSpec.model_fields)
    assert set(re.findall(r'\brules\.get\w+\("(\w+)"\)', text)) == rules


def names(features: Any) -> set[str]:
    return {feature.name for feature in features}


def test_core_ml_names(swift_names: dict[str, str], coreml_files: dict[str, Any]) -> None:
    use = swift_names
    suffixes = {Path(name).suffix for name in coreml_files}
    assert suffixes == {".mlmodel", ".mlpackage"}
    for suffix in suffixes:
        network = coreml_files[use["networkFile"] + suffix].description
        assert names(network.input) == {use["image"]}
        assert names(network.output) == {use["boxes"], use["scores"], use["landmarks"]}

        pipeline = coreml_files[use["pipelineFile"] + suffix]
        thresholds = {use["iouThreshold"], use["confidenceThreshold"]}
        assert names(pipeline.description.input) == {use["image"], *thresholds}
        outputs = {use["confidence"], use["coordinates"]}
        assert names(pipeline.description.output) == outputs
        last = pipeline.pipeline.models[-1].nonMaximumSuppression
        assert list(last.stringClassLabels.vector) == [use["label"]]
        for spec in (coreml_files[use["networkFile"] + suffix], pipeline):
            image = next(one for one in spec.description.input if one.name == use["image"])
            assert image.type.WhichOneof("Type") == "imageType"
            stored = spec.description.metadata.userDefined[use["contract"]]
            contract = Contract.from_json(stored, source="file")
            assert contract.input.colour == "BGR"
            assert contract.input.width == image.type.imageType.width


def test_core_ml_names_of_the_classifier(
    swift_names: dict[str, str], tmp_path: Path, swift: Driver
) -> None:
    pytest.importorskip("coremltools", reason="needs coremltools")
    use = swift_names
    for path in export(open_weights("glasses-n", None), tmp_path, "coreml"):
        spec = read_spec(path).description
        (image,) = spec.input
        assert image.name == use["image"]
        stored = spec.metadata.userDefined[use["contract"]]
        contract = Contract.from_json(stored, source="file")
        labels = json.loads(stored)["rules"]["labels"]
        assert (contract.task, labels[-1]) == (use["glassesTask"], use["glasses"])
        (tmp_path / "contract.json").write_text(contract.to_json())
        said = swift("glasses", tmp_path / "contract.json").decode().split(maxsplit=2)
        assert said[:2] == [str(image.type.imageType.width), str(image.type.imageType.height)]
        assert json.loads(said[2]) == [list(point) for point in contract.input.points or ()]


def test_core_ml_names_of_the_segmenter(swift_names: dict[str, str], tmp_path: Path) -> None:
    pytest.importorskip("coremltools", reason="needs coremltools")
    use = swift_names
    for path in export(read_weights(write_weights_of(tmp_path)), tmp_path, "coreml"):
        spec = read_spec(path).description
        assert names(spec.input) == {use["image"]}
        (picture,) = (one for one in spec.output if one.name == use["maskPicture"])
        kind = picture.type.imageType
        assert (kind.width, kind.height, kind.colorSpace) == (64, 64, kind.GRAYSCALE)
        stored = spec.metadata.userDefined[use["contract"]]
        assert Contract.from_json(stored, source="file").task == use["segmenterTask"]


def test_tflite_names_of_the_segmenter(kotlin_names: dict[str, str], tmp_path: Path) -> None:
    for package in ("litert_torch", "ai_edge_litert"):
        pytest.importorskip(package, reason=f"needs {package}")
    from ai_edge_litert.interpreter import Interpreter

    use = kotlin_names
    (path,) = export(read_weights(write_weights_of(tmp_path)), tmp_path, "litert")
    interpreter = Interpreter(model_path=str(path))
    (signature,) = interpreter.get_signature_list().values()
    assert (signature["inputs"], signature["outputs"]) == ([use["INPUT"]], [use["MASK"]])
    (mask,) = interpreter.get_output_details()
    assert mask["shape"].tolist() == [1, 1, 64, 64]  # classes first, as the app takes them
    contract = pocketface.load(path).contract
    assert (contract.task, contract.input.layout) == (use["SEGMENTER_TASK"], "NHWC")


def test_names_of_the_recogniser(
    swift_names: dict[str, str],
    kotlin_names: dict[str, str],
    recognizer_weights: Path,
    tmp_path: Path,
    swift: Driver,
) -> None:
    for package in ("coremltools", "litert_torch", "ai_edge_litert"):
        pytest.importorskip(package, reason=f"needs {package}")
    from ai_edge_litert.interpreter import Interpreter

    use, weights = swift_names, read_weights(recognizer_weights)
    for path in export(weights, tmp_path / "coreml", "coreml"):
        spec = read_spec(path).description
        assert names(spec.input) == {use["image"]}
        assert names(spec.output) == {use["embedding"]}
        stored = spec.metadata.userDefined[use["contract"]]
        assert Contract.from_json(stored, source="file").task == use["recognizerTask"]
        (tmp_path / "contract.json").write_text(stored)
        assert swift("recognizer", tmp_path / "contract.json").decode() == "32 32 [] 0.0"
    use = kotlin_names
    (path,) = export(weights, tmp_path / "litert", "litert")
    (signature,) = Interpreter(model_path=str(path)).get_signature_list().values()
    assert (signature["inputs"], signature["outputs"]) == ([use["INPUT"]], [use["EMBEDDING"]])
    contract = pocketface.load(path).contract
    assert (contract.task, contract.input.layout) == (use["RECOGNIZER_TASK"], "NHWC")


def test_tflite_names(kotlin_names: dict[str, str], tflite_file: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    use = kotlin_names
    assert tflite_file.name == use["FILE"]
    interpreter = Interpreter(model_path=str(tflite_file))
    (signature,) = interpreter.get_signature_list().values()
    assert signature["inputs"] == [use["INPUT"]]
    assert set(signature["outputs"]) == {use["BOXES"], use["SCORES"], use["LANDMARKS"]}
    assert use["CONTRACT"] == CONTRACT_KEY


def test_kotlin_reads_the_contract(tflite_file: Path, kotlin: Driver) -> None:
    said = kotlin("contract", tflite_file)
    contract = Contract.from_json(said.decode(), source=tflite_file.name)
    assert contract.name == "tiny"
    assert contract.input.layout == "NHWC"
    assert contract.input.shape == (1, 64, 96, 3)


def test_swift_reads_the_contract(swift: Driver, onnx_file: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    metadata = {one.key: one.value for one in onnx.load(onnx_file).metadata_props}
    path = tmp_path / "contract.json"
    path.write_text(metadata[CONTRACT_KEY])
    contract = json.loads(metadata[CONTRACT_KEY])
    *numbers, outputs = swift("contract", path).decode().split(maxsplit=6)
    assert numbers == [
        str(contract["input"]["shape"][3]),
        str(contract["input"]["shape"][2]),
        "true",
        str(contract["input"]["pad_value"]),
        str(contract["rules"]["score_threshold"]),
        str(contract["rules"]["nms_iou"]),
    ]
    assert json.loads(outputs) == ["boxes", "scores", "landmarks"]
