"""TorchScript: `.pt`, a traced and frozen graph, with the contract as an extra file."""

from __future__ import annotations

import io
import re
import warnings
import zipfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ..files import atomic_write
from ..model_templates.contract import Contract
from ..runtimes.torchscript_file import CONTRACT_MEMBER
from .archive import embed_in_archive
from .formats import Order
from .onnx import LARGE, example_for

_MANGLED = re.compile(rb"[./]___torch_mangle_\d+")
"""What the tracer puts into the name of a class that the process has traced before."""

_OF_THIS_PROCESS = (".debug_pkl", "/.data/serialization_id")
"""Members that nobody needs: lines of the sources on this machine, and a digest of all members."""


def convert(order: Order) -> list[Path]:
    """Write `<stem>.pt`: float32 input (B, 3, H, W), 0-255, BGR; a tuple of the outputs.

    Batch norms are in the convolutions. Arithmetic is FP32 for any precision of the stored
    weights. `torch.jit.load` and LibTorch open the file; NMS cannot be inside.
    """
    frozen = _frozen(order)
    if order.precision == "fp16":
        _store_as_fp16(frozen.graph)
    _follow_the_input(frozen.graph)
    path = order.folder / f"{order.stem}.pt"
    _save(frozen, path)
    embed(path, order.contract)
    return [path]


def embed(path: Path, contract: Contract) -> None:
    """Change the contract of a file that `convert` wrote."""
    with zipfile.ZipFile(path) as archive:
        root = archive.namelist()[0].partition("/")[0]
    embed_in_archive(path, contract, member=f"{root}/{CONTRACT_MEMBER}")


def _frozen(order: Order) -> Any:
    """The network as a `torch.jit.ScriptModule` of one function, its weights constants of it."""
    import torch
    from torch.jit._trace import TracerWarning

    from ..models.map_size import free_map_sizes
    from ..models.network import with_scale_folded

    network = with_scale_folded(order.network).eval()
    is_free = order.contract.input.multiple_of is not None
    sizes = free_map_sizes() if is_free else nullcontext()
    with sizes, torch.inference_mode(), warnings.catch_warnings():
        # Sizes become constants, which is right for a fixed input size.
        warnings.simplefilter("ignore", TracerWarning)
        warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript, which is asked for
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            network, example_for(order.contract), check_trace=False
        )
        return torch.jit.freeze(traced)


def _store_as_fp16(graph: Any) -> None:
    """Store the weights of convolutions and large dense layers as FP16.

    A cast widens them, which PyTorch folds away. They are nearly all of a file. Biases and
    coordinates stay exact.
    """
    import torch

    limit = torch.finfo(torch.float16).max
    layers = [*graph.findAllNodes("aten::_convolution"), *graph.findAllNodes("aten::linear")]
    for node in layers:
        _, kernel, *_ = node.inputs()
        if node.kind() == "aten::linear" and kernel.toIValue().numel() < LARGE:
            continue
        graph.setInsertPoint(node)
        half = graph.insertConstant(kernel.toIValue().clamp(-limit, limit).half())
        # aten::to.dtype: the type, whether to wait, to copy, and the memory's format.
        settings = [graph.insertConstant(one) for one in (torch.float32, False, False, None)]
        cast = graph.create("aten::to", [half, *settings], 1)
        cast.insertBefore(node)
        cast.output().setType(kernel.type())
        node.replaceInput(1, cast.output())


def _follow_the_input(graph: Any) -> None:
    """Make arrays that the graph fills on the device of its input, not on that of the trace."""
    _, images = graph.inputs()
    for node in graph.findAllNodes("prim::Constant"):
        if node.output().type().kind() != "DeviceObjType":
            continue
        place = graph.create("prim::device", [images], 1)
        place.insertBefore(node)
        place.output().setType(node.output().type())
        node.output().replaceAllUsesWith(place.output())


def _save(frozen: Any, path: Path) -> None:
    """Write a module, without what differs from process to process."""
    import torch

    torch._C._jit_pass_dce(frozen.graph)  # constants that have been replaced
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(frozen, buffer)
    with (
        zipfile.ZipFile(buffer) as source,
        atomic_write(path) as handle,
        zipfile.ZipFile(handle, "w") as target,
    ):
        for one in source.infolist():
            content = source.read(one)
            if one.filename.endswith(_OF_THIS_PROCESS):
                continue
            if one.filename.endswith((".py", "/data.pkl")):
                content = _MANGLED.sub(b"", content)
            one.filename = _MANGLED.sub(b"", one.filename.encode()).decode()
            target.writestr(one, content)
