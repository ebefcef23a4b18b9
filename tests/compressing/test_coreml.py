"""Core ML files with small weights, and what our interpreter makes of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage

import pocketface
from pocketface.errors import ModelFileError
from pocketface.tasks.measuring import Labels

pytest.importorskip("coremltools", reason="needs coremltools")
pytest.importorskip("sklearn", reason="needs scikit-learn")

from pocketface.compressing import coreml
from pocketface.compressing.formats import QUANTIZERS
from pocketface.runtimes.coreml import import_coremltools, read_spec
from pocketface.runtimes.coreml_reference import function_of
from pocketface.runtimes.seal import model_files

from .conftest import convolutions_of, export, post_training, shipped

# coremltools leaves folders behind that only the garbage collector clears away.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

PRECISIONS = list(QUANTIZERS["coreml"].precisions)
BATCH = np.random.default_rng(0).uniform(0, 255, (1, 3, 128, 128)).astype(np.float32)
FACE = Path(skimage.__file__).parent / "data" / "astronaut.png"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """face-detection-n at 128x128, FP32 and FP16."""
    folder = tmp_path_factory.mktemp("float")
    export(
        shipped("face-detection-n"),
        folder,
        "coreml",
        precisions=("fp32", "fp16"),
        input_size=(128, 128),
    )
    return folder


@pytest.fixture(scope="module")
def small(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Of a precision and a suffix, in which no layer is float; each is written once."""
    folder = tmp_path_factory.mktemp("small")

    @cache
    def made(precision: str, suffix: str) -> Path:
        return compressed(exported, folder / f"{precision}{suffix}", precision)

    return made


def compressed(exported: Path, target: Path, precision: str, keep_float: Any = ()) -> Path:
    path = exported / f"model{target.suffix}"
    source = path.with_stem("model_fp16") if path.suffix == ".mlpackage" else path
    contract = pocketface.load(path).contract.model_copy(update={"precision": precision})
    coreml.quantize(source, target, contract, [], keep_float)
    return target


def files_bytes(path: Path) -> int:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(file.stat().st_size for file in files)


@cache
def answer(path: Path) -> dict[str, np.ndarray]:
    return pocketface.load(path).raw(BATCH)


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], atol: float) -> None:
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=0, atol=atol)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_program_means_what_coremltools_makes_of_it(
    precision: str, small: Callable[[str, str], Path], tmp_path: Path
) -> None:
    path = small(precision, ".mlpackage")
    coremltools = import_coremltools()
    from coremltools.optimize.coreml import decompress_weights

    model = coremltools.models.MLModel(str(path), skip_model_load=True)
    decompress_weights(model).save(str(tmp_path / "dense.mlpackage"))
    dense = read_spec(tmp_path / "dense.mlpackage").mlProgram.functions["main"]
    kinds = {op.type for op in dense.block_specializations[dense.opset].operations}
    assert not any(kind.startswith("constexpr") for kind in kinds)
    function = function_of(
        read_spec(tmp_path / "dense.mlpackage"),
        model_files(tmp_path / "dense.mlpackage")[0].parent,
        where="dense",
    )
    same(answer(path), function.run(BATCH, {}), 1e-6)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_layers_mean_what_coremltools_makes_of_them(
    precision: str, small: Callable[[str, str], Path], tmp_path: Path
) -> None:
    path = small(precision, ".mlmodel")
    coremltools = import_coremltools()
    from coremltools.models.neural_network import quantization_utils

    model = coremltools.models.MLModel(read_spec(path), skip_model_load=True)
    dense = quantization_utils.quantize_weights(model, None, "dequantization").get_spec()
    for layer in dense.neuralNetwork.layers:
        if layer.WhichOneof("layer") == "convolution":
            layer.convolution.weights.ClearField("quantization")  # which it leaves behind
    assert dense.ByteSize() > 1.8 * path.stat().st_size
    same(answer(path), function_of(dense, tmp_path, where="dense").run(BATCH, {}), 1e-3)


@pytest.mark.parametrize("suffix", [".mlmodel", ".mlpackage"])
def test_fewer_bits_make_smaller_files_that_answer_less_exactly(
    suffix: str, exported: Path, small: Callable[[str, str], Path]
) -> None:
    expected = answer(exported / f"model{suffix}")["boxes"]
    sizes, errors = [], []
    for precision in PRECISIONS:
        path = small(precision, suffix)
        model = pocketface.load(path)
        assert model.contract.precision == precision
        sizes.append(files_bytes(path))
        errors.append(float(np.abs(answer(path)["boxes"] - expected).mean()))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] < 0.75 * sizes[0]
    assert errors == sorted(errors)
    assert errors[0] < 2


@pytest.mark.parametrize("suffix", [".mlmodel", ".mlpackage"])
def test_layers_given_back_are_float(
    suffix: str,
    exported: Path,
    small: Callable[[str, str], Path],
    tmp_path: Path,
) -> None:
    source = exported / ("model.mlmodel" if suffix == ".mlmodel" else "model_fp16.mlpackage")
    layers = coreml.layers(source)
    assert len(layers) == convolutions_of(shipped("face-detection-n"))
    whole = compressed(exported, tmp_path / f"whole{suffix}", "int8", layers)
    same(answer(whole), answer(source), 1e-6)
    one = compressed(exported, tmp_path / f"one{suffix}", "int8", layers[1:2])
    none = small("int8", suffix)
    assert (answer(one)["boxes"] != answer(none)["boxes"]).any()


@pytest.mark.parametrize("suffix", [".mlmodel", ".mlpackage"])
def test_the_network_of_a_pipeline(suffix: str, exported: Path, tmp_path: Path) -> None:
    path = exported / f"model_fp16_nms{suffix}"
    contract = pocketface.load(path).contract.model_copy(update={"precision": "int8"})
    source = path if suffix == ".mlpackage" else exported / "model_nms.mlmodel"
    target = tmp_path / f"small{suffix}"
    coreml.quantize(source, target, contract, [])
    assert read_spec(target).WhichOneof("Type") == "pipeline"
    files = [files_bytes(one) for one in (path, target)]
    assert files[1] < 0.7 * files[0]
    found, expected = (pocketface.load(one).predict(FACE) for one in (target, path))
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=2)
    assert len(found.boxes) == 1


def test_files_are_judged_by_their_size_off_a_mac(lists: Labels, tmp_path: Path) -> None:
    found = post_training(
        lists, tmp_path, goal="speed", formats=["coreml"], precisions=PRECISIONS, photos=2
    )
    assert found.failed == []
    names = [
        f"model_{precision}{suffix}"
        for suffix in (".mlmodel", ".mlpackage")
        for precision in PRECISIONS
    ]
    assert [row.file for row in found.rows] == names
    assert {row.goal for row in found.rows} == {"size"}
    text = (tmp_path / "compression.md").read_text()
    for name in names:
        assert f"- {name}: judged by size, as it cannot be timed here" in text
        assert (tmp_path / name).exists()
    assert not (tmp_path / "model.mlmodel").exists()


def _convolution(spec: Any) -> Any:
    layers = [one for one in spec.neuralNetwork.layers if one.WhichOneof("layer") == "convolution"]
    return layers[1].convolution


def _too_short(spec: Any) -> None:
    weights = _convolution(spec).weights
    weights.rawValue = weights.rawValue[:-1]


def _no_scales(spec: Any) -> None:
    del _convolution(spec).weights.quantization.linearQuantization.scale[:]


def _too_many(spec: Any) -> None:
    _convolution(spec).outputChannels *= 2


@pytest.mark.parametrize("change", [_too_short, _no_scales, _too_many])
def test_quantized_weights_that_do_not_fit(
    change: Callable[[Any], None], small: Callable[[str, str], Path], tmp_path: Path
) -> None:
    spec = read_spec(small("int8", ".mlmodel"))
    change(spec)
    with pytest.raises(ModelFileError, match=r"small.*convolution: quantized weights: "):
        function_of(spec, tmp_path, where="small")


@pytest.mark.parametrize("key", ["scale", "quantized_data"])
def test_a_program_that_lacks_what_it_dequantizes(
    key: str, small: Callable[[str, str], Path]
) -> None:
    path = small("int8", ".mlpackage")
    spec = read_spec(path)
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    operation = next(one for one in block.operations if one.type.startswith("constexpr"))
    del operation.attributes[key]
    with pytest.raises(ModelFileError, match=f"constexpr_affine_dequantize: it has no '{key}'"):
        function_of(spec, model_files(path)[0].parent, where="small")
