"""Export as a whole: what is written, where, and what a failure leaves."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

import pocketface
from pocketface import export
from pocketface.errors import ContractError, DataError, MissingPackageError, UserError
from pocketface.export import ExportReport, export_model
from pocketface.export import onnx as onnx_format
from pocketface.export.photos import check_photos
from pocketface.export.verify import verify_files
from pocketface.models.weights import build_network, read_weights, write_weights
from pocketface.runtimes.seal import check_seal

MakeWeights = Callable[..., Path]
FORMATS = ["openvino", "onnx"]
FILES = ["model.bin", "model.onnx", "model.onnx.parity.json", "model.xml", "model.xml.parity.json"]


def run(weights: Path | None, folder: Path, **options: Any) -> ExportReport:
    settings = {"template": None, "formats": FORMATS, **options}
    return export_model(weights=weights, folder=folder, **settings)


@pytest.fixture(scope="module")
def exported(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> ExportReport:
    """Both formats in both precisions."""
    return run(weights, tmp_path_factory.mktemp("export"), precisions=["fp32", "fp16"])


@pytest.fixture(scope="module")
def folder(exported: ExportReport) -> Path:
    return exported.files[0].parent


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
    assert [(row.format, row.precision, row.status) for row in exported.rows] == [
        ("openvino", "fp32", "passed"),
        ("onnx", "fp32", "passed"),
        ("openvino", "fp16", "passed"),
        ("onnx", "fp16", "passed"),
    ]
    for row in exported.rows:
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
    assert [(row.status, row.reason) for row in report.rows] == [("passed", None)] * 2
    pixels, score = (1e-3, 1e-6) if precision == "fp32" else (0.5, 5e-3)
    for file in report.files:
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
    assert (contract.precision, contract.score_threshold) == ("fp32", 0.3)
    assert [output.name for output in contract.outputs] == ["boxes", "scores", "landmarks"]
    assert contract.parity is not None
    certificate = exported.rows[1].certificate
    assert certificate is not None
    assert contract.parity == certificate.summary()
    assert (contract.parity.status, contract.parity.runtime) == ("passed", "onnxruntime")


def test_fp16_files_are_half_as_large(folder: Path) -> None:
    for name, kind in (("model", onnx.TensorProto.FLOAT), ("model_fp16", onnx.TensorProto.FLOAT16)):
        model = onnx.load(folder / f"{name}.onnx")
        kinds = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
        kinds |= {n.output[0]: kinds[n.input[0]] for n in model.graph.node if n.op_type == "Cast"}
        assert {kinds[n.input[1]] for n in model.graph.node if n.op_type == "Conv"} == {kind}
    sizes = [(folder / f"{name}.bin").stat().st_size for name in ("model", "model_fp16")]
    assert sizes[1] < 0.55 * sizes[0]


def test_the_graph_is_plain(folder: Path) -> None:
    model = onnx.load(folder / "model.onnx")
    kinds = {node.op_type for node in model.graph.node}
    assert not kinds & {"If", "Loop", "BatchNormalization", "Range", "Identity", "Constant"}
    assert [opset.version for opset in model.opset_import if opset.domain == ""] == [18]
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
    for file in run(weights, tmp_path, precisions=["fp16"]).files:
        assert file.read_bytes() == (folder / file.name).read_bytes()


def test_another_input_size(weights: Path, tmp_path: Path) -> None:
    report = run(weights, tmp_path, input_size=(96, 32))
    assert report.input_size == (96, 32)
    for file in report.files:
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
    assert (contract.score_threshold, contract.parity) == (0.7, None)
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
    with pytest.raises(UserError, match="nothing to export"):
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


@pytest.fixture
def written_before(tmp_path: Path) -> Iterator[Path]:
    """A folder whose files must survive the test."""
    for name in FILES:
        (tmp_path / name).write_text(f"old {name}")
    yield tmp_path
    for name in FILES:
        assert (tmp_path / name).read_text() == f"old {name}"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def fail(*_: object, **__: object) -> list[Path]:
    raise RuntimeError("disk on fire")


def test_what_works_is_kept_and_what_fails_is_named(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_format, "convert", fail)
    (tmp_path / "model.onnx").write_text("old")
    report = run(weights, tmp_path)
    assert [(row.format, row.status) for row in report.rows] == [
        ("openvino", "passed"),
        ("onnx", "failed"),
    ]
    assert [row.reason for row in report.failed] == ["RuntimeError: disk on fire"]
    assert pocketface.load(tmp_path / "model.xml").contract.name == "tiny"
    assert (tmp_path / "model.onnx").read_text() == "old"


def test_a_file_that_differs_is_marked_failed(
    weights: Path,
    make_weights: MakeWeights,
    written_before: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The exporters are given another network than the one that is compared."""
    other = build_network(read_weights(make_weights(tmp_path_factory.mktemp("other"), seed=1)))
    true = onnx_format.trace
    for module in (onnx_format, sys.modules["pocketface.export.openvino"]):
        monkeypatch.setattr(module, "trace", lambda _, contract: true(other, contract))
    report = run(weights, written_before)
    names = [row.file.name for row in report.failed if row.file is not None]
    assert names == ["model-failed.xml", "model-failed.onnx"]
    for row in report.failed:
        assert row.reason is not None
        assert "differ by" in row.reason
        assert row.file is not None
        assert check_seal(row.file)
        parity = pocketface.load(row.file).contract.parity
        assert parity is not None
        assert parity.status == "failed"
        assert (written_before / f"{row.file.name}.parity.json").is_file()


def test_a_file_that_our_own_loader_refuses_has_failed(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no format was asked for by name."""

    def refuse(path: Path, _: object) -> None:
        raise ContractError(f"{path}: contract does not fit")

    monkeypatch.setattr("pocketface.export.verify.check", refuse)
    report = run(weights, tmp_path, formats=None)
    (row,) = [row for row in report.rows if row.format == "onnx"]
    assert row.status == "failed"
    assert row.reason == f"{tmp_path}/model.onnx: contract does not fit"
    assert not list(tmp_path.iterdir())


def test_a_new_file_does_not_stand_beside_old_ones(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "model.onnx.parity.json").write_text("old")
    for name in ("model-failed.onnx", "model-failed.onnx.parity.json"):
        (tmp_path / name).write_text("old")
    run(weights, tmp_path, formats=["onnx"], verify=False)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"formats": ["tfjs"]}, "format 'tfjs': expected some of openvino, onnx, coreml, litert"),
        ({"formats": []}, "no format"),
        ({"precisions": ["int4"]}, "precision 'int4': expected one of fp32, fp16"),
        ({"precisions": []}, "no precision to export: expected some of fp32, fp16"),
        (
            {"precisions": ["fp16"], "formats": ["onnx", "tensorflow"]},
            "precision fp16: format tensorflow has only fp32",
        ),
        ({"photos": Path("nowhere")}, "--photos nowhere: no such folder"),
    ],
)
def test_arguments(weights: Path, tmp_path: Path, arguments: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        run(weights, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_files_of_different_templates_are_verified_together(
    weights: Path, texts: dict[str, str], tmp_path: Path
) -> None:
    """Each by its own resize rule and thresholds, in any order."""
    settings = {
        "plain": ("resize: letterbox", "resize: letterbox"),
        "stretch": ("resize: letterbox", "resize: stretch"),
        "sure": ("score_threshold: 0.3", "score_threshold: 0.4"),
    }
    files = []
    for name, (old, new) in settings.items():
        template = tmp_path / f"{name}.yaml"
        template.write_text(texts["dense"].replace(old, new))
        folder = tmp_path / name
        report = run(weights, folder, template=template, formats=["onnx"], with_nms=True)
        assert [row.status for row in report.rows] == ["passed", "passed"]
        files += report.files
    for order in (files, files[::-1]):
        found = verify_files(order, weights=weights)
        assert [(one.file.name, one.status, one.reason) for one in found] == [
            (file.name, "passed", None) for file in order
        ]


def test_a_file_of_an_edited_template_is_verified_by_its_checkpoint(
    make_weights: MakeWeights, texts: dict[str, str], tmp_path: Path
) -> None:
    """Inside the weights is a template of one fixed size."""
    template = tmp_path / "free.yaml"
    template.write_text(texts["dense"])
    fixed = tmp_path / "fixed.pth"
    read = read_weights(make_weights(tmp_path))
    text = texts["dense"].replace(", multiple_of: 32", "")
    assert text != texts["dense"]
    write_weights(fixed, template_text=text, state_dict=read.state_dict, epochs=1)
    options: dict[str, Any] = {"template": template, "input_size": (96, 32), "formats": ["onnx"]}
    report = run(fixed, tmp_path / "out", **options)
    (found,) = verify_files(report.files, weights=fixed)
    assert (found.status, found.reason) == ("passed", None)


def test_a_checkpoint_is_not_passed_over_without_pytorch(
    weights: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pocketface.export.verify.find_spec", lambda _: None)
    (found,) = verify_files([folder / "model.onnx"], weights=weights)
    assert found.status == "not verified"
    assert "torch" in str(found.reason)
    (found,) = verify_files([folder / "model.onnx"])
    assert (found.status, found.reason) == ("passed", None)
    # Noise alone, which is all that is left without these packages, is not enough.
    monkeypatch.setattr("pocketface.export.photos.find_spec", lambda _: None)
    (found,) = verify_files([folder / "model.onnx"])
    assert found.status == "not verified"
    assert "packages matplotlib and scikit-image" in str(found.reason)


def test_photos_of_a_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("a.png", "deep/b.ppm", "c.gif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (9, 7), "red").save(tmp_path / name)
    (tmp_path / "broken.jpg").write_text("no photo")
    assert [photo.name for photo in check_photos(tmp_path)] == ["a.png", "c.gif", "deep/b.ppm"]
    assert "left out: " in caplog.text
    assert "broken.jpg" in caplog.text
    for name in ("a.png", "deep/b.ppm", "c.gif"):
        (tmp_path / name).unlink()
    with pytest.raises(DataError, match=r"--photos .*: none of its 1 photos can be read"):
        check_photos(tmp_path)
    (tmp_path / "broken.jpg").unlink()
    with pytest.raises(DataError, match=r"--photos .*: holds no photo \(\.apng, \.avif"):
        check_photos(tmp_path)


def test_of_many_photos_some_are_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for index in range(99):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{index:02}.png")
    names = [photo.name for photo in check_photos(tmp_path)]
    assert (names[0], names[1], names[-1], len(names)) == ("00.png", "02.png", "98.png", 50)
    assert "50 of its 99 photos" in caplog.text


def test_what_is_in_the_way_stays(weights: Path, tmp_path: Path) -> None:
    """A user's own things that happen to have the name of a file to be written."""
    (tmp_path / "model.onnx").mkdir()
    (tmp_path / "model.onnx" / "thesis.txt").write_text("precious")
    (tmp_path / "model.bin").mkdir()
    report = run(weights, tmp_path, verify=False)
    assert [(row.format, row.status) for row in report.rows] == [
        ("openvino", "failed"),
        ("onnx", "failed"),
    ]
    reasons = [str(row.reason) for row in report.rows]
    assert "model.bin: is a folder, in the place of a file to be written" in reasons[0]
    assert "model.onnx: is a folder" in reasons[1]
    assert (tmp_path / "model.onnx" / "thesis.txt").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.bin", "model.onnx"]


def test_a_folder_gives_way_only_to_another_of_its_kind(weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("coremltools", reason="needs coremltools")
    place = tmp_path / "model.mlpackage"
    place.mkdir()
    (place / "thesis.txt").write_text("precious")
    options: dict[str, Any] = {"formats": ["coreml"], "verify": False}
    rows = {
        row.file.name if row.file else None: row for row in run(weights, tmp_path, **options).rows
    }
    assert "model.mlmodel" in rows
    assert "model.mlpackage: is a folder, but no model that this" in str(rows[None].reason)
    assert (place / "thesis.txt").read_text() == "precious"
    (place / "thesis.txt").unlink()
    assert not run(weights, tmp_path, **options).failed
    assert not run(weights, tmp_path, **options).failed  # and again, onto the first
    assert pocketface.load(place).contract.name == "tiny"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_a_converter_swallows_ends_the_export_all_the_same(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    true = onnx_format.convert

    def swallows(*arguments: Any, **options: Any) -> list[Path]:
        with suppress(BaseException):
            signal.raise_signal(number)
        return true(*arguments, **options)

    monkeypatch.setattr(onnx_format, "convert", swallows)
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else SystemExit):
        run(weights, tmp_path, formats=["onnx"])
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(number) is before


def test_a_folder_that_cannot_be_written(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file.*: cannot be written"):
        run(weights, tmp_path / "file")


@pytest.mark.parametrize(
    ("package", "format_", "extra"),
    [
        ("torch", "onnx", "train"),
        ("onnx", "onnx", "onnx"),
        ("onnxscript", "onnx", "onnx"),
        ("openvino", "openvino", "openvino"),
        ("coremltools", "coreml", "coreml"),
        ("litert_torch", "litert", "litert"),
    ],
)
def test_a_missing_package_names_its_extra(
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    format_: str,
    extra: str,
) -> None:
    installed = export.find_spec
    monkeypatch.setattr(export, "find_spec", lambda n: None if n == package else installed(n))
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"{package!r}.*pocketface\[{extra}\]"
    with pytest.raises(MissingPackageError, match=message):
        run(weights, tmp_path / "out", formats=[format_])
    assert not (tmp_path / "out").exists()
    if package in ("torch", "onnx", "onnxscript"):
        return  # nothing of the rest works without
    # Not asked for by name: the others are written, and the row says what is missing.
    monkeypatch.setattr(
        export,
        "EXPORTERS",
        {name: export.EXPORTERS[name] for name in ("onnx", format_)},
    )
    monkeypatch.setattr(export, "_formats", lambda *_: ["onnx", format_])
    report = run(weights, tmp_path / "out", formats=None, verify=False)
    assert [(row.format, row.status) for row in report.rows] == [
        ("onnx", "unchecked"),
        (format_, "skipped"),
    ]
    assert f"pocketface[{extra}]" in str(report.rows[1].reason)
