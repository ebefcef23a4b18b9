"""TorchScript files as others read them, and those that are not ours."""

from __future__ import annotations

import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pocketface
from pocketface.errors import ContractError, ModelFileError
from pocketface.tools.hostile.forgeries import forge

from .conftest import MakeWeights, run

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(converted: Callable[[str], Path]) -> Path:
    return converted("torchscript")


def pictures(count: int) -> Any:
    return np.random.default_rng(2).uniform(0, 255, (count, 3, 64, 96)).astype(np.float32)


def test_what_an_app_sees(folder: Path, weights: Path) -> None:
    """With `torch.jit.load` alone: the outputs in the contract's order, and the contract."""
    extra: dict[str, Any] = {"pocketface.json": ""}
    program = torch.jit.load(folder / "model.pt", _extra_files=extra)
    contract = pocketface.load(folder / "model.pt").contract
    assert extra["pocketface.json"].decode() == contract.to_json()
    for count in (1, 3):
        expected = pocketface.load(weights).raw(pictures(count))
        with torch.inference_mode():
            answers = program(torch.from_numpy(pictures(count)))
        for output, answer in zip(contract.outputs, answers, strict=True):
            np.testing.assert_allclose(answer.numpy(), expected[output.name], atol=1e-3)
    (sides,) = {program(torch.zeros(1, 3, 32, 32))[0].shape[1]}
    assert sides != 126  # the size is free, as the contract says
    assert contract.input.multiple_of == 32


def kernel_types(path: Path) -> set[torch.dtype]:
    graph = torch.jit.load(path).graph
    constants = [node.output().toIValue() for node in graph.findAllNodes("prim::Constant")]
    return {one.dtype for one in constants if isinstance(one, torch.Tensor) and one.ndim == 4}


def test_kernels_are_stored_as_the_precision_says(folder: Path) -> None:
    assert torch.float32 in kernel_types(folder / "model.pt")
    assert torch.float16 not in kernel_types(folder / "model.pt")
    assert torch.float16 in kernel_types(folder / "model_fp16.pt")


def test_arrays_are_made_where_the_input_is(folder: Path) -> None:
    """Else a graph that was traced on the CPU runs on no GPU."""
    graph = torch.jit.load(folder / "model.pt").graph
    kinds = {node.output().type().kind() for node in graph.findAllNodes("prim::Constant")}
    assert "DeviceObjType" not in kinds
    assert graph.findAllNodes("aten::arange")


def test_equal_exports_are_equal_files(weights: Path, tmp_path: Path) -> None:
    """And tell nothing of this machine."""
    for name in ("one", "other"):
        run(weights, tmp_path / name, formats=["torchscript"], verify=False)
    one, other = (tmp_path / name / "model.pt" for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()
    with zipfile.ZipFile(one) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    assert str(Path(pocketface.__file__).parent).encode() not in content


@pytest.mark.parametrize("head", ["ssd", "fcos"])
def test_other_heads(
    make_weights: MakeWeights, texts: dict[str, str], tmp_path: Path, head: str
) -> None:
    weights = make_weights(tmp_path, texts[head])
    report = run(weights, tmp_path / "out", formats=["torchscript"], precisions=["fp32", "fp16"])
    assert [(row.status, row.reason) for row in report.files] == [("passed", None)] * 2


def test_nobody_is_told_that_it_is_deprecated(folder: Path, weights: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pocketface.load(folder / "model.pt").raw(pictures(1))
        run(weights, tmp_path, formats=["torchscript"], verify=False)


def checkpoint(path: Path) -> None:
    torch.save({"state_dict": {}}, path)


def somebody_elses(path: Path) -> None:
    torch.jit.save(torch.jit.trace(torch.nn.ReLU(), torch.zeros(1)), path)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (checkpoint, r"other\.pt: no TorchScript program: it has no code"),
        (somebody_elses, r"other\.pt: carries no pocketface contract"),
        (lambda path: path.write_text("x"), r"other\.pt: damaged, or not a \.pt file"),
    ],
)
def test_files_of_others(tmp_path: Path, write: Callable[[Path], None], message: str) -> None:
    path = tmp_path / "other.pt"
    write(path)
    with pytest.raises((ModelFileError, ContractError), match=message) as caught:
        pocketface.load(path)
    assert "\n" not in str(caught.value)


def test_weights_by_another_name(exported: Path, tmp_path: Path) -> None:
    shutil.copy(exported / "weights.pth", tmp_path / "weights.pt")
    with pytest.raises(ModelFileError, match="no TorchScript program") as caught:
        pocketface.load(tmp_path / "weights.pt")
    assert caught.value.hint == (
        "weights files, which have tensors alone, are called .pth or .safetensors"
    )


@pytest.mark.parametrize(
    ("forgery", "message"),
    [
        ("a step that writes a file, its answer kept", "calls 'ops.aten.save'"),
        ("a step that never ends", "its code has While"),
        ("code that runs as it is loaded", "its code has Expr"),
        ("a text doubled 40 times", "its code has 'ab': expected numbers"),
        ("a list of 10^10 numbers", "computes lists by aten::mul"),
        ("an array of 10^10 values", "computes 5,000,000,000 numbers for an input of"),
        ("constants of 10^9 values in fewer", "an array of 1000000000 values in 864 bytes"),
        ("constants of 10^9 rows", r"an array of \[1000000000, 3, 3, 3\] in 216 values"),
        ("constants remembered at 2^32", "its pickle remembers 4,294,967,295 objects"),
        ("a member more", "has a member 'archive/bytecode.pkl'"),
    ],
)
def test_programs_that_do_more_than_compute(
    folder: Path, tmp_path: Path, forgery: str, message: str
) -> None:
    """Each for its own reason; all forgeries together are in tests/tools."""
    path = tmp_path / "model.pt"
    forge(folder / "model.pt", path, forgery)
    with pytest.raises(ModelFileError, match=message):
        pocketface.load(path)
