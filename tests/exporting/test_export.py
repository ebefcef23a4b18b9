"""Export as a whole: what is written, and where."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest

import pocketface
from pocketface.errors import MissingPackageError, UserError
from pocketface.exporting import EXPORTERS, ExportedFile, ExportReport
from pocketface.exporting.formats import ALL
from pocketface.model_templates import template_names
from pocketface.models.weights import read_weights
from pocketface.tasks.templates import open_template

from .conftest import FILES, FORMATS, MakeWeights, run


@pytest.fixture(scope="module")
def exported(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    """Both formats in both precisions."""
    return run(weights, tmp_path_factory.mktemp("export"), precisions=["fp32", "fp16"])


@pytest.fixture(scope="module")
def folder(exported: ExportReport) -> Path:
    return exported.paths[0].parent


def assert_answers(model: Path, weights: Path, *, pixels: float, score: float) -> None:
    """Not by way of the certificate: other pictures, alone and in a batch."""
    images = np.random.default_rng(5).uniform(0, 255, (3, 3, 64, 96)).astype(np.float32)
    expected = pocketface.load(weights).raw(images)
    assert np.ptp(expected["scores"]) > 0.05
    runtimes = [None, "openvino"] if model.suffix == ".onnx" else [None]
    for runtime in runtimes:
        opened = pocketface.load(model, runtime=runtime)
        for part in (slice(0, 3), slice(1, 2)):
            found = opened.raw(images[part])
            assert found.keys() == expected.keys()
            for name, array in found.items():
                assert array.dtype == np.float32
                limit = score if name == "scores" else pixels
                np.testing.assert_allclose(array, expected[name][part], atol=limit, rtol=0)


def test_files_answer_as_the_network(exported: ExportReport, weights: Path) -> None:
    assert [(row.format, row.precision, row.status) for row in exported.files] == [
        ("openvino", "fp32", "passed"),
        ("onnx", "fp32", "passed"),
        ("openvino", "fp16", "passed"),
        ("onnx", "fp16", "passed"),
    ]
    for row in exported.files:
        assert row.file is not None
        precise = row.precision == "fp32"
        assert_answers(
            row.file,
            weights,
            pixels=1e-3 if precise else 0.5,
            score=1e-6 if precise else 5e-3,
        )


@pytest.mark.parametrize(("head", "precision"), [("ssd", "fp32"), ("fcos", "fp16")])
def test_so_do_other_heads(
    make_weights: MakeWeights, texts: dict[str, str], tmp_path: Path, head: str, precision: str
) -> None:
    weights = make_weights(tmp_path, texts[head])
    report = run(weights, tmp_path / "out", precisions=[precision])
    assert [(row.status, row.reason) for row in report.files] == [("passed", None)] * 2
    pixels, score = (1e-3, 1e-6) if precision == "fp32" else (0.5, 5e-3)
    for file in report.paths:
        assert_answers(file, weights, pixels=pixels, score=score)


def test_names_tell_the_precision(folder: Path) -> None:
    half = [name.replace("model", "model_fp16") for name in FILES]
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES + half)


def test_what_the_contract_says(exported: ExportReport, folder: Path, weights: Path) -> None:
    read = read_weights(weights)
    contract = pocketface.load(folder / "model.onnx").contract
    assert pocketface.load(folder / "model_fp16.xml").contract.precision == "fp16"
    assert contract.provenance.checkpoint_sha256 == read.sha256
    assert (contract.provenance.data, contract.provenance.seed) == ("nothing", 0)
    assert contract.provenance.package_version == pocketface.__version__
    assert (contract.precision, contract.rules["score_threshold"]) == ("fp32", 0.3)
    assert [output.name for output in contract.outputs] == ["boxes", "scores", "landmarks"]
    assert contract.parity is not None
    certificate = exported.files[1].certificate
    assert certificate is not None
    assert contract.parity == certificate.summary()
    assert (contract.parity.status, contract.parity.runtime) == ("passed", "onnxruntime")


def test_fp16_files_are_half_as_large(folder: Path) -> None:
    for name, kind in (("model", onnx.TensorProto.FLOAT), ("model_fp16", onnx.TensorProto.FLOAT16)):
        model = onnx.load(folder / f"{name}.onnx")
        kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
        casts = [node for node in model.graph.node if node.op_type == "Cast"]
        kinds |= {n.output[0]: kinds[n.input[0]] for n in casts if n.input[0] in kinds}
        assert {kinds[n.input[1]] for n in model.graph.node if n.op_type == "Conv"} == {kind}
    sizes = [(folder / f"{name}.bin").stat().st_size for name in ("model", "model_fp16")]
    assert sizes[1] < 0.55 * sizes[0]


def test_the_graph_is_plain(folder: Path) -> None:
    model = onnx.load(folder / "model.onnx")
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {"If", "Loop", "BatchNormalization", "Identity", "Constant"}
    assert [opset.version for opset in model.opset_import if opset.domain == ""] == [18]
    assert not model.graph.value_info
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "image": ["batch", 3, 64, 96],
        "boxes": ["batch", 126, 4],
        "scores": ["batch", 126],
        "landmarks": ["batch", 126, 5, 2],
    }


def test_export_is_reproducible(weights: Path, folder: Path, tmp_path: Path) -> None:
    # FP16, because there OpenVINO adds nodes of its own.
    for file in run(weights, tmp_path, precisions=["fp16"]).paths:
        assert file.read_bytes() == (folder / file.name).read_bytes()


def test_another_input_size(weights: Path, tmp_path: Path) -> None:
    report = run(weights, tmp_path, input_size=(96, 32))
    assert report.input_size == (96, 32)
    for file in report.paths:
        model = pocketface.load(file)
        assert model.contract.input.shape == (-1, 3, 96, 32)
        found = model.raw(np.zeros((1, 3, 96, 32), np.float32))
        assert found["scores"].shape == (1, 12 * 4 + 6 * 2 + 3)
    with pytest.raises(UserError, match="--input-size 100x100"):
        run(weights, tmp_path, input_size=(100, 100))


def test_a_template_says_what_weights_do_not(
    weights: Path, texts: dict[str, str], tmp_path: Path
) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(texts["dense"].replace("score_threshold: 0.3", "score_threshold: 0.7"))
    run(weights, tmp_path, template=template, formats=["onnx"], verify=False)
    contract = pocketface.load(tmp_path / "model.onnx").contract
    assert (contract.rules["score_threshold"], contract.parity) == (0.7, None)
    template.write_text(texts["fcos"])
    with pytest.raises(UserError, match="made for the architecture of tiny, which differs"):
        run(weights, tmp_path, template=template)


def test_shipped_weights_are_the_default(
    weights: Path, texts: dict[str, str], tmp_path: Path
) -> None:
    template = tmp_path / "template.yaml"
    template.write_text(texts["dense"])
    with pytest.raises(UserError, match="ships no weights") as caught:
        run(None, tmp_path / "out", template=template)
    assert "--load-weights" in str(caught.value.hint)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="no weights to work with: expected --load-weights"):
        run(None, tmp_path / "out")
    read = read_weights(weights)
    shipped = tmp_path / weights.name
    shipped.write_bytes(weights.read_bytes())
    spec = f"{{file: {shipped.name}, sha256: '{read.sha256}', size: {shipped.stat().st_size}}}"
    metric = "{key: ap, display_name: AP, value: 0.5, unit: '%'}"
    template.write_text(
        texts["dense"]
        .replace("weights: null", f"weights: {spec}")
        .replace("metrics: []", f"metrics: [{metric}]")
    )
    run(None, tmp_path / "out", template=template, formats=["onnx"], verify=False)
    contract = pocketface.load(tmp_path / "out" / "model.onnx").contract
    assert contract.provenance.checkpoint_sha256 == read.sha256
    assert [metric.value for metric in contract.metrics] == [0.5]


def test_a_template_that_wants_no_format(
    weights: Path, texts: dict[str, str], tmp_path: Path
) -> None:
    template = tmp_path / "none.yaml"
    wanted = "output_format: {openvino: true, onnx: true}"
    assert wanted in texts["dense"]
    template.write_text(texts["dense"].replace(wanted, "output_format: {onnx: false}"))
    with pytest.raises(UserError, match="no format to export: output_format of template tiny has"):
        run(weights, tmp_path / "out", template=template, formats=None)
    assert not (tmp_path / "out").exists()


def test_templates_name_few_formats() -> None:
    """The classic document expects model.xml and model.bin of its templates, and no more."""
    for name in template_names():
        wanted = [key for key, is_wanted in open_template(name).spec.output_format if is_wanted]
        classic = name.startswith("face-detection-02") or name.endswith("-int8")
        assert wanted == (["openvino"] if classic else ["openvino", "onnx"]), name


def test_all_formats_are_those_that_can_be_written(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the template names; what is missing is told of, and no failure."""

    def missing_of(packages: Sequence[str]) -> MissingPackageError | None:
        return None if "onnx" in packages else MissingPackageError(packages[0])

    monkeypatch.setattr("pocketface.exporting.run.missing_of", missing_of)
    report = run(weights, tmp_path, formats=[ALL], verify=False)
    assert {one.format: one.status for one in report.files} == {
        **dict.fromkeys(EXPORTERS, "skipped"),
        **dict.fromkeys(FORMATS, "unchecked"),
    }
    assert [one.format for one in report.files] == list(EXPORTERS)
    assert all(one.reason for one in report.files if one.status == "skipped")
    assert not report.failed


def test_each_file_is_told_of_when_it_is_there(weights: Path, tmp_path: Path) -> None:
    told: list[tuple[str, bool, bool]] = []

    def tell(one: ExportedFile) -> None:
        assert one.file is not None
        assert one.seconds is not None
        told.append((one.file.name, one.file.exists(), (tmp_path / "model.onnx").exists()))

    report = run(weights, tmp_path, on_file=tell, with_nms=True)
    assert told == [
        ("model.xml", True, False),
        ("model_nms.xml", True, False),
        ("model.onnx", True, True),
        ("model_nms.onnx", True, True),
    ]
    assert [one.file.name for one in report.files if one.file] == [name for name, *_ in told]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"formats": ["all", "onnx"]}, "formats all, onnx: expected all alone, or names"),
        ({"formats": ["tfjs"]}, "format 'tfjs': expected some of openvino, onnx, coreml, litert"),
        ({"formats": []}, "no format"),
        ({"precisions": ["int4"]}, "precision 'int4': expected some of fp32, fp16"),
        ({"precisions": []}, "no precision to export: expected some of fp32, fp16"),
        (
            {"precisions": ["fp16"], "formats": ["onnx", "tensorflow"]},
            "precision fp16: format tensorflow has only fp32",
        ),
        ({"photos": Path("nowhere")}, "--photos nowhere: no such folder"),
        ({"input_size": 640}, r"input_size is 640: expected \(height, width\)"),
    ],
)
def test_arguments(weights: Path, tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(weights, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("package", "format_", "extra"),
    [
        ("torch", "onnx", "train"),
        ("onnx", "onnx", "train"),
        ("onnxscript", "onnx", "train"),
        ("openvino", "openvino", "openvino"),
        ("coremltools", "coreml", "coreml"),
        ("litert_torch", "litert", "litert"),
    ],
)
def test_a_missing_package_names_its_extra(
    weights: Path,
    texts: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    format_: str,
    extra: str,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"{package!r}.*pocketface\[{extra}\]"
    with pytest.raises(MissingPackageError, match=message):
        run(weights, tmp_path / "out", formats=[format_])
    assert not (tmp_path / "out").exists()
    if package in ("torch", "onnx", "onnxscript"):
        return  # nothing of the rest works without
    # Not asked for by name: the others are written, and the report says what is missing.
    template = tmp_path / "template.yaml"
    wanted = {name: name in ("onnx", format_) for name in EXPORTERS}
    listed = ", ".join(f"{name}: {str(one).lower()}" for name, one in wanted.items())
    template.write_text(
        texts["dense"].replace("{openvino: true, onnx: true}", f"{{{listed}}}"),
    )
    report = run(weights, tmp_path / "out", template=template, formats=None, verify=False)
    assert {(one.format, one.status) for one in report.files} == {
        ("onnx", "unchecked"),
        (format_, "skipped"),
    }
    assert not report.failed
    (skipped,) = [one for one in report.files if one.format == format_]
    assert f"pocketface[{extra}]" in str(skipped.reason)


def test_a_format_that_the_network_cannot_have(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told of where the template wants it; a failure where the user does."""
    reason = "its boxes are found by what ONNX has no word for"
    head = read_weights(weights).template.architecture.head
    monkeypatch.setattr(type(head), "impossible_formats", {"onnx": reason})
    report = run(weights, tmp_path, formats=None, verify=False)
    assert [(one.format, one.status, one.reason) for one in report.files] == [
        ("openvino", "unchecked", None),
        ("onnx", "skipped", reason),
    ]
    assert not report.failed
    report = run(weights, tmp_path, formats=["onnx"], verify=False)
    assert [(one.format, one.status, one.reason) for one in report.failed] == [
        ("onnx", "failed", reason)
    ]
    assert not report.paths
