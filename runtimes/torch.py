"""PyTorch: weights files (`.safetensors`, `.pth`), whose template builds the network."""

from __future__ import annotations

import functools
import os
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingPackageError, UserError
from ..model_templates.contract import IMAGE
from .session import Outputs, Session

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..models.network import Network
    from ..models.weights import Weights
    from .session import Shape


def open_session(
    path: Path,
    *,
    threads: int | None,
    device: str,
    mode: str = "",
    input_size: tuple[int, int] | None = None,
) -> Session:
    """Open a weights file.

    Args:
        path: The `.safetensors` or `.pth` file.
        threads: Number of threads, which PyTorch sets for the whole process; in a forked one it
            is always 1.
        device: Device for `torch.device`: "cpu", "cuda", "cuda:1", "mps".
        mode: See `accelerated`.
        input_size: Height and width in pixels; None for the template's.

    Returns:
        A session with `weights` and without a contract; the template describes it.

    Raises:
        MissingPackageError: PyTorch is not installed.
        ModelFileError: See `read_weights`.
        UserError: The device does not exist, or the template does not allow the size.
    """
    prepare_torch(threads)
    from ..models.weights import read_weights

    return session_of_weights(
        read_weights(path), threads=threads, device=device, mode=mode, input_size=input_size
    )


def session_of_weights(
    weights: Weights,
    *,
    threads: int | None,
    device: str,
    mode: str = "",
    input_size: tuple[int, int] | None = None,
) -> Session:
    """Open weights that were read; see `open_session`."""
    prepare_torch(threads)
    from ..model_templates.input_size import input_size as size_of
    from ..models.network import output_shapes
    from ..models.weights import build_network

    height, width = input_size or (None, None)
    size = size_of(weights.template, height=height, width=width)
    target = device_of(device)
    network = build_network(weights).to(target)
    run = accelerated(network.eval(), mode, size=size, device=target)
    shapes = output_shapes(weights.template.architecture, height=size[0], width=size[1])
    return replace(session_of(run, shapes, size=size, device=str(target)), weights=weights)


def prepare_torch(threads: int | None) -> None:
    """Set the number of threads; see `open_session`.

    Raises:
        MissingPackageError: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingPackageError("torch") from error
    _prepare_forks()
    if threads is not None and not _forked:
        torch.set_num_threads(threads)


def device_of(name: str) -> torch.device:
    """The device of this name.

    Raises:
        UserError: There is none.
    """
    import torch

    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # a CPU build raises AssertionError
        reason = str(error).splitlines()[0]
        raise UserError(f"device {name!r}: not usable by PyTorch: {reason}") from error
    if device.type == "meta":
        raise UserError(f"device {name!r}: computes nothing")
    return device


_forked = False
"""Whether this process was forked from one that had PyTorch loaded."""


@functools.cache
def _prepare_forks() -> None:
    """Let forked processes have one thread: OpenMP would wait there for those of the parent."""
    import torch

    def in_child() -> None:
        global _forked
        _forked = True
        torch.set_num_threads(1)

    if hasattr(os, "register_at_fork"):  # Windows does not fork
        os.register_at_fork(after_in_child=in_child)


def accelerated(network: Network, mode: str, *, size: tuple[int, int], device: Any) -> Any:
    """Make a version of the network that gives the same answers faster.

    Args:
        network: The network, in eval mode, on `device`.
        mode: "" for no change; "compile" (TorchInductor, which compiles at the first call and
            needs a C++ compiler), "script" (TorchScript, traced and frozen), "channels-last"
            (memory format), "bf16" (channels last, with autocast to bfloat16), "cuda-graph"
            (recorded at the first call for each batch size, then replayed).
        size: Height and width of the input, in pixels.
        device: The `torch.device`.

    Raises:
        UserError: The device does not have this mode.
    """
    import torch

    if mode in ("channels-last", "bf16"):
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if mode == "compile":
        return torch.compile(network, dynamic=False)
    if mode == "script":
        example = torch.zeros(1, 3, *size, device=device)
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer warns about constants, which are intended
            return torch.jit.freeze(torch.jit.trace(network, example))  # type: ignore[no-untyped-call]
    if mode == "bf16":

        def in_bfloat16(images: Tensor) -> tuple[Tensor, ...]:
            with torch.autocast(device.type, torch.bfloat16):
                answer: tuple[Tensor, ...] = network(
                    images.contiguous(memory_format=torch.channels_last)
                )
            return answer

        return in_bfloat16
    if mode == "channels-last":
        return lambda images: network(images.contiguous(memory_format=torch.channels_last))
    if mode == "cuda-graph":
        if device.type != "cuda":
            raise UserError(f"runtime 'torch:cuda-graph': device {str(device)!r}: expected cuda")
        return _graphed(network)
    return network


def _graphed(network: Network) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """One CUDA graph for each batch size; one caller at a time, as calls share its memory."""
    import torch

    lock = threading.Lock()
    graphs: dict[int, tuple[Any, Tensor, tuple[Tensor, ...]]] = {}

    def record(images: Tensor) -> tuple[Any, Tensor, tuple[Tensor, ...]]:
        held = images.clone()
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # a warm-up, as libraries allocate at their first calls
            for _ in range(3):
                network(held)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            answers = network(held)
        return graph, held, answers

    def replay(images: Tensor) -> tuple[Tensor, ...]:
        with lock:
            if len(images) not in graphs:
                graphs[len(images)] = record(images)
            graph, held, answers = graphs[len(images)]
            held.copy_(images)
            graph.replay()
            return tuple(answer.clone() for answer in answers)

    return replay


def session_of(
    network: Callable[[Tensor], Sequence[Tensor]],
    outputs: Mapping[str, Shape],
    *,
    size: tuple[int, int],
    device: str = "cpu",
) -> Session:
    """Make a session of a network in memory, as in training.

    Args:
        network: The network on `device`, or the result of `accelerated`. The caller sets its mode
            (training or eval).
        outputs: Names of its outputs, in order, and their shapes for one image.
        size: Height and width of its input, in pixels.
        device: Device for `torch.device`.
    """
    import torch

    def run(batch: NDArray[np.float32]) -> Outputs:
        with torch.inference_mode():
            found = network(torch.from_numpy(batch).to(device))
        return {
            name: tensor.float().cpu().numpy() for name, tensor in zip(outputs, found, strict=True)
        }

    def place(batch: NDArray[np.float32]) -> Callable[[], None]:
        images = torch.from_numpy(batch).to(device)

        def answer() -> None:
            with torch.inference_mode():
                network(images)
            torch.accelerator.synchronize(device)

        return answer

    return Session(
        runtime="torch",
        device=device,
        contract_json=None,
        input_shapes={IMAGE: (-1, 3, *size)},
        output_shapes={name: (-1, *shape[1:]) for name, shape in outputs.items()},
        run=run,
        place=None if device == "cpu" else place,
    )
