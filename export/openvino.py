"""OpenVINO: `model.xml` and `model.bin`, any batch size, the contract in `rt_info`."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import MissingPackageError
from ..files import sha256_file
from ..model_templates.contract import Contract
from ..runtimes.openvino import CONTRACT_PATH, SEAL_PATH, WEIGHTS_SHA256_PATH
from ..runtimes.seal import BLANK, seal
from .onnx import trace

if TYPE_CHECKING:
    from ..models.network import Detector


def export_openvino(
    network: Detector,
    contract: Contract,
    *,
    folder: Path,
    precision: Literal["fp32", "fp16"],
) -> list[Path]:
    """Write `model.xml` and `model.bin`, by way of ONNX: straight from PyTorch names are lost.

    Args:
        network: On the CPU.
        contract: Its input size is the graph's.
        folder: Where to.
        precision: Of the stored weights; arithmetic on the CPU is FP32 either way.

    Returns:
        The two files written, the `.bin` first: the `.xml` names its SHA-256.

    Raises:
        MissingPackageError: openvino, onnx or onnxscript is not installed.
    """
    try:
        import openvino  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingPackageError("openvino", extra="openvino") from error

    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "model.onnx"
        source.write_bytes(trace(network, contract).SerializeToString())
        model = openvino.convert_model(source)
    return write_openvino(model, contract, folder=folder, precision=precision)


def write_openvino(
    model: Any,
    contract: Contract,
    *,
    folder: Path,
    precision: Literal["fp32", "fp16"],
) -> list[Path]:
    """Write an `openvino.Model` with its contract and digests: see `export_openvino`."""
    import openvino

    _name_by_place(model)
    model.set_rt_info(contract.to_json(), CONTRACT_PATH)
    model.set_rt_info(BLANK, SEAL_PATH)
    xml, weights = folder / "model.xml", folder / "model.bin"
    # Twice: the first time for the `.bin`, whose SHA-256 the `.xml` holds.
    for _ in range(2):
        openvino.save_model(model, xml, compress_to_fp16=precision == "fp16")
        model.set_rt_info(sha256_file(weights), WEIGHTS_SHA256_PATH)
    xml.write_bytes(seal(xml.read_bytes()))
    return [weights, xml]


def _name_by_place(model: Any) -> None:
    """Number the nodes that OpenVINO numbers itself, so that equal exports are equal files.

    Its own count goes on through the life of the process.
    """
    for index, node in enumerate(model.get_ordered_ops()):
        if re.fullmatch(r"[A-Za-z]+_\d+", node.get_friendly_name()):
            node.set_friendly_name(f"{node.get_type_name()}_{index}")
