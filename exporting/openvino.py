"""OpenVINO: `.xml` and `.bin`, with the contract in `rt_info`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from ..errors import MissingPackageError
from ..model_templates.contract import Contract, Precision
from ..runtimes.openvino import CONTRACT_PATH
from ..runtimes.seal import BLANK_SEAL, seal
from .formats import Order
from .nms import append_nms
from .onnx import example_for, folded_trace, trace
from .openvino_resize import use_matrices

SEAL_PATH = ["pocketface", "seal"]
"""Path in `rt_info` of the seal of both files."""


def convert(order: Order) -> list[Path]:
    """Write `<stem>.xml` and `.bin`, and `<stem>_nms.xml` and `.bin` for batch 1 with NMS inside.

    The conversion goes through ONNX, as a direct one from PyTorch loses names. Arithmetic on the
    CPU is FP32, except for "int8", the precision of a network quantized during training.

    Returns:
        The `.xml` files.

    Raises:
        MissingPackageError: openvino, onnx or onnxscript is not installed.
    """
    network, contract, precision = order.network, order.contract, order.precision
    if precision == "int8":
        from ..models.nncf_hooks import stripped

        traced = trace(stripped(network, example_for(contract)), contract)
    else:
        traced = folded_trace(network, contract)
    path = order.folder / f"{order.stem}.xml"
    written = [_convert(traced, contract, path, precision=precision)]
    if order.with_nms:
        traced, contract = append_nms(traced, contract)
        path = order.folder / f"{order.stem}_nms.xml"
        written.append(_convert(traced, contract, path, precision=precision))
    return written


def embed(path: Path, contract: Contract) -> None:
    """Change the contract of two files that `convert` wrote; the `.bin` stays unchanged."""
    # Replaced in the text, so that the rest of the file is unchanged.
    text = path.read_text(encoding="utf-8")
    entry = re.compile(r"""<contract value=("[^"]*"|'[^']*')""")
    if len(entry.findall(text)) != 1:
        raise ValueError(f"{path}: no single contract")
    # Single quotes, as the many double quotes of JSON then need no escape.
    quoted = escape(contract.to_json(), {"'": "&apos;"})
    path.write_text(entry.sub(lambda _: f"<contract value='{quoted}'", text), encoding="utf-8")
    seal(path)


def _convert(traced: Any, contract: Contract, path: Path, *, precision: Precision) -> Path:
    try:
        import openvino  # type: ignore[import-untyped]
        from openvino._offline_transformations import (  # type: ignore[import-untyped]
            apply_moc_transformations,
            compress_quantize_weights_transformation,
        )
    except ImportError as error:
        raise MissingPackageError("openvino") from error

    # The steps of `convert_model`, which would also report each conversion to its makers.
    model = openvino.Core().read_model(traced.SerializeToString())
    shape = model.input(0).partial_shape
    if contract.input.multiple_of is not None:
        # Or the transformations would make constants of the size.
        model.reshape([shape[0], shape[1], -1, -1])
    apply_moc_transformations(model, False)
    if precision == "int8":
        compress_quantize_weights_transformation(model)
    model.reshape(shape)
    if contract.input.multiple_of is None:
        use_matrices(model)
    return write_openvino(model, contract, path, precision=precision)


def write_openvino(model: Any, contract: Contract, path: Path, *, precision: Precision) -> Path:
    """Write an `openvino.Model` with its contract and seal.

    Args:
        model: The graph, with the contract's names.
        contract: The contract that describes it.
        path: The `.xml` to write; its `.bin` goes beside it.
        precision: Precision of the stored weights; in an int8 file, float weights are FP16.

    Returns:
        The path of the `.xml`.
    """
    import openvino

    _name_by_place(model)
    model.set_rt_info("-", CONTRACT_PATH)  # a placeholder until `embed`
    model.set_rt_info(BLANK_SEAL, SEAL_PATH)
    openvino.save_model(model, path, compress_to_fp16=precision != "fp32")
    # Indentation is a tenth of a small network's file.
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r">\s+<", "><", text), encoding="utf-8")
    embed(path, contract)
    return path


def _name_by_place(model: Any) -> None:
    """Number all nodes except convolutions, inputs and outputs; only these keep tensor names.

    OpenVINO's own numbers go on rising within a process, so that files of equal exports would
    differ. Names are a tenth of a small network's file.
    """
    last = {result.input_value(0).get_node().get_friendly_name() for result in model.get_results()}
    for index, node in enumerate(model.get_ordered_ops()):
        kind = node.get_type_name()
        if kind in ("Parameter", "Result") or node.get_friendly_name() in last:
            continue
        for output in node.outputs():
            output.get_tensor().set_names(set())
        if kind not in ("Convolution", "GroupConvolution"):
            node.set_friendly_name(f"{kind}_{index}")
