"""Segmenters in every format: the same masks, and what formats have of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import pocketface
from pocketface.errors import ModelFileError
from pocketface.exporting import ExportReport, ExportRequest, export_model
from pocketface.models.weights import read_weights

from ..tasks.segmentation.tiny_segmenter import FOUR, TINY, UNET, write_weights_of

FIXED = TINY.replace(", multiple_of: 8", "")
ASPP = TINY.replace(UNET, "{type: aspp, classes: 1, stride: 8, channels: 8, rates: [1, 2]}")
CONCAT = TINY.replace("skips: add, convolutions: 1", "skips: concat, convolutions: 2")
KINDS = {"one": TINY, "four": FOUR, "fixed": FIXED, "aspp": ASPP, "concat": CONCAT}

Exported = Callable[[str, str], ExportReport]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Exports of one kind in one format, each made once."""
    known: dict[tuple[str, str], ExportReport] = {}

    def export(kind: str, to: str) -> ExportReport:
        if (kind, to) not in known:
            folder = tmp_path_factory.mktemp(f"{kind}-{to}")
            weights = read_weights(write_weights_of(folder, KINDS[kind]))
            precisions = ("fp32",) if to == "tensorflow" else ("fp32", "fp16")
            known[kind, to] = export_model(
                ExportRequest(weights=weights, folder=folder, formats=[to], precisions=precisions)
            )
        return known[kind, to]

    return export


def opened(report: ExportReport, name: str) -> Any:
    return pocketface.load(next(path for path in report.paths if path.name == name))


def cases() -> list[Any]:
    """Every kind in every format; those that are slow and alike are `full`."""
    found = []
    for to in ("openvino", "onnx", "coreml", "tensorflow", "litert", "torchscript"):
        for kind in KINDS:
            # OpenVINO alone is converted otherwise for a fixed size; `aspp` concatenates, too.
            alike = to in ("coreml", "tensorflow") and kind in ("fixed", "concat")
            # Classes are one operation; Core ML alone makes a picture of them.
            alike |= (to, kind) == ("tensorflow", "four")
            marks = [pytest.mark.full] if alike or to == "litert" else []
            found.append(pytest.param(kind, to, marks=marks, id=f"{to}-{kind}"))
    return found


@pytest.mark.parametrize(("kind", "to"), cases())
def test_files_give_the_networks_masks(made: Exported, kind: str, to: str) -> None:
    report = made(kind, to)
    assert report.files
    assert [(str(one), one.status) for one in report.files if one.status != "passed"] == []


@pytest.mark.parametrize("name", ["model.mlmodel", "model.mlpackage", "model_fp16.mlpackage"])
@pytest.mark.parametrize("kind", ["one", "four"])
def test_core_ml_has_a_grey_picture_beside_the_probabilities(
    made: Exported, kind: str, name: str
) -> None:
    """Vision makes a `VNPixelBufferObservation` of it."""
    from pocketface.runtimes.coreml import read_spec

    report = made(kind, "coreml")
    model = opened(report, name)
    assert [(one.name, one.shape) for one in model.contract.outputs] == [
        ("mask", (1, 1 if kind == "one" else 4, 64, 64)),
        ("mask_image", (1, 1, 64, 64)),
    ]
    generator = np.random.default_rng(0)
    outputs = model.raw(generator.uniform(0, 255, (1, 3, 64, 64)).astype(np.float32))
    (shares,), (picture,) = outputs["mask"], outputs["mask_image"][0]
    assert len(np.unique(picture)) > 2
    if kind == "one":
        np.testing.assert_allclose(picture, (shares[0] * 255).round(), atol=1)
    else:
        np.testing.assert_array_equal(picture, shares.argmax(0))
    described = {one.name: one.type for one in read_spec(model.path).description.output}
    image = described["mask_image"].imageType
    assert (image.width, image.height, image.colorSpace) == (64, 64, image.GRAYSCALE)
    assert described["mask"].multiArrayType.dataType == described["mask"].multiArrayType.FLOAT32


def test_programs_give_what_their_descriptions_say(made: Exported) -> None:
    """Core ML refuses a program that gives FP16 where its description says FP32."""
    from pocketface.runtimes.coreml import read_spec

    spec = read_spec(opened(made("one", "coreml"), "model_fp16.mlpackage").path)
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    types = {one.name: one.type.tensorType for step in block.operations for one in step.outputs}
    for output in spec.description.output:
        tensor = types[output.name]
        assert (
            tensor.dataType
            == tensor.DESCRIPTOR.file.pool.FindEnumTypeByName(
                "CoreML.Specification.MILSpec.DataType"
            )
            .values_by_name["FLOAT32"]
            .number
        )


def test_the_interpreter_refuses_what_is_enlarged_from_corner_to_corner(made: Exported) -> None:
    from pocketface.runtimes.coreml import read_spec
    from pocketface.runtimes.coreml_reference import function_of
    from pocketface.runtimes.seal import model_files

    path = opened(made("one", "coreml"), "model.mlpackage").path
    spec = read_spec(path)
    (block,) = spec.mlProgram.functions["main"].block_specializations.values()
    (corners,) = (one for one in block.operations if "align_corners" in one.outputs[0].name)
    corners.attributes["val"].immediateValue.tensor.bools.values[:] = [True]
    with pytest.raises(ModelFileError, match="upsample_bilinear: any but half-pixel centres"):
        function_of(spec, model_files(path)[0].parent, where="m")


def kinds_of_nodes(model: Any) -> set[str]:
    import openvino

    graph = openvino.Core().read_model(model.path)
    return {op.get_type_name() for op in graph.get_ordered_ops()}


def test_openvino_enlarges_masks_by_matrices_where_the_size_is_fixed(made: Exported) -> None:
    fixed, free = (opened(made(kind, "openvino"), "model.xml") for kind in ("fixed", "one"))
    assert "MatMul" in kinds_of_nodes(fixed)
    assert "MatMul" not in kinds_of_nodes(free)
    generator = np.random.default_rng(0)
    batch = generator.uniform(0, 255, (2, 3, 64, 64)).astype(np.float32)
    answers = [model.raw(batch)["mask"] for model in (fixed, free)]
    assert np.ptp(answers[0]) > 0.5
    np.testing.assert_allclose(*answers, atol=1e-5)


@pytest.mark.parametrize(("before", "after"), [(2, 8), (5, 20), (16, 64), (7, 21), (4, 4)])
def test_matrix_of_an_enlargement(before: int, after: int) -> None:
    from pocketface.exporting.openvino_resize import resizing_matrix

    line = torch.randn(1, 1, before)
    wanted = functional.interpolate(line, size=after, mode="linear", align_corners=False)
    found = resizing_matrix(before, after) @ line[0, 0].numpy()
    np.testing.assert_allclose(found, wanted[0, 0], atol=1e-6)


@pytest.mark.parametrize("size", [(96, 96), (96, 64), (32, 64)])
@pytest.mark.parametrize("name", ["model.onnx", "model.xml"])
def test_another_size_at_run_time(made: Exported, name: str, size: tuple[int, int]) -> None:
    report = made("one", "onnx" if name == "model.onnx" else "openvino")
    path = next(path for path in report.paths if path.name == name)
    weights = path.parent / "weights.safetensors"
    expected = pocketface.load(weights, input_size=size)
    model = pocketface.load(path, input_size=size)
    points = [np.array(one.contract.input.points) for one in (model, expected)]
    np.testing.assert_allclose(*points, atol=2e-3)
    assert [one.shape for one in model.contract.outputs] == [(-1, 1, *size)]
    generator = np.random.default_rng(0)
    batch = generator.uniform(0, 255, (2, 3, *size)).astype(np.float32)
    np.testing.assert_allclose(model.raw(batch)["mask"], expected.raw(batch)["mask"], atol=1e-4)
