"""OpenVINO: `.xml` with its `.bin`, with the contract in `rt_info`; also `.onnx`."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..cores import cores
from ..errors import MissingPackageError, ModelFileError, UserError
from ..interrupts import signal_stack_kept
from ..model_templates.contract import CONTRACT_KEY
from ..models.file_checks import reason
from ..quiet import quiet
from .free_size import size_to_open
from .onnx_graph import check_whole
from .session import Outputs, Session, Shape
from .sizes import check_values, values_in

CONTRACT_PATH = ["pocketface", "contract"]
"""Path of the contract in `rt_info`."""

_first_run = threading.Lock()
_has_run = threading.Event()

_WITH_BODIES = ("If", "Loop", "TensorIterator")
"""Operations with graphs inside, which cannot be looked at from Python; two may never end."""


@signal_stack_kept()
def open_session(
    path: Path,
    *,
    threads: int | None,
    device: str,
    mode: str = "",
    input_size: tuple[int, int] | None = None,
) -> Session:
    """Open an OpenVINO model or an ONNX file.

    Args:
        path: The `.xml`, with its `.bin` beside it, or an `.onnx` file.
        threads: Threads for one inference on the CPU, also where "auto" chooses it; None for one
            per core.
        device: OpenVINO's name of the device, in upper or lower case: "cpu", "gpu", "npu", "auto".
        mode: "throughput" for most inferences per second with several callers; "" for lowest
            latency.
        input_size: Height and width in pixels, where the file leaves them free; None for its own.

    Raises:
        MissingPackageError: OpenVINO is not installed.
        ModelFileError: The `.bin` is missing or does not fit, an `.onnx` has weights elsewhere, or
            OpenVINO cannot load the file.
        UserError: The device does not exist, or the file does not allow the input size.
    """
    try:
        import openvino  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingPackageError("openvino") from error

    weights = path.with_suffix(".bin")
    if path.suffix == ".xml" and not weights.is_file():
        raise ModelFileError(f"{path}: its weights {weights.name} are not beside it")
    if path.suffix == ".onnx":
        check_whole(path.read_bytes(), source=str(path))
    core = openvino.Core()
    target = device.upper()
    # Two GPUs are called GPU.0 and GPU.1, and "GPU" means the first.
    known = {part for name in core.available_devices for part in (name, name.split(".")[0])}
    if target not in known | {"AUTO"}:
        choices = ", ".join(sorted(name.lower() for name in known | {"AUTO"}))
        raise UserError(f"device {device!r}: not usable by OpenVINO; expected one of {choices}")
    config: dict[str, Any] = {"PERFORMANCE_HINT": mode.upper() or "LATENCY"}
    if target == "CPU":
        config |= _on_cpu(threads, mode)
    elif target == "AUTO":
        config["DEVICE_PROPERTIES"] = {"CPU": _on_cpu(threads, mode)}
    try:
        with quiet():  # one of its readers has a log of its own
            model = core.read_model(path)
        _resize(model, input_size, path)
        if _contract(model) is not None:
            _check_graph(model, path)
        compiled = core.compile_model(model, target, config)
    except (RuntimeError, UnicodeDecodeError) as error:
        raise ModelFileError(
            f"{path}: OpenVINO cannot load it, is it whole? {_reason(error)}"
        ) from error
    return session_of(
        compiled,
        model,
        device=target,
        at_once=compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") if mode else 1,
    )


def _on_cpu(threads: int | None, mode: str) -> dict[str, Any]:
    """Settings of the CPU, which "auto" may choose too."""
    # By default some CPUs compute an FP32 file in bfloat16.
    config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads is not None and mode == "throughput":
        config["INFERENCE_NUM_THREADS"] = threads  # of all streams together
    elif threads is not None:
        # Several streams, so that inferences of several callers do not wait for each other.
        streams = max(1, cores() // threads)
        config |= {"INFERENCE_NUM_THREADS": threads * streams, "NUM_STREAMS": streams}
    return config


def session_of(compiled: Any, model: Any, *, device: str, at_once: int = 1) -> Session:
    """Make a session of a compiled model.

    Args:
        compiled: The `openvino.CompiledModel`.
        model: The `openvino.Model` that it was compiled from, or one with the same inputs and
            outputs.
        device: OpenVINO's name of the device.
        at_once: See `Session`.
    """
    # Outputs are read by position, because compiling adds names.
    names = list(_shapes(model.outputs))
    local = threading.local()

    def answers(batch: NDArray[np.float32]) -> Outputs:
        # A request is not thread-safe, so each thread has its own.
        if not hasattr(local, "request"):
            local.request = compiled.create_infer_request()
        results = local.request.infer({0: batch}, share_inputs=True)
        return {name: results[index] for index, name in enumerate(names)}

    def run(batch: NDArray[np.float32]) -> Outputs:
        if _has_run.is_set():
            return answers(batch)
        # Two threads in a process's first run can wait for each other for ever: one holds Python's
        # lock and waits for a static variable, whose maker waits for Python's lock.
        with _first_run:
            found = answers(batch)
            _has_run.set()
        return found

    return Session(
        runtime="openvino",
        device=device,
        contract_json=_contract(model),
        input_shapes=_shapes(model.inputs),
        output_shapes=_shapes(model.outputs),
        run=run,
        at_once=at_once,
    )


def _resize(model: Any, input_size: tuple[int, int] | None, path: Path) -> None:
    """Give a model another input size, if that is asked for and free."""
    found = size_to_open(_contract(model), input_size, source=str(path))
    if found is None:
        return
    contract, size = found
    own, shapes = tuple(contract.input.shape), list(_shapes(model.inputs).values())
    if shapes != [own]:
        raise ModelFileError(f"{path}: has inputs of {shapes}; its contract says {own}")
    model.reshape([*own[:2], *size])


def _check_graph(model: Any, path: Path) -> None:
    """Check that no graphs are inside a graph, and that its arrays go with its input's size."""
    values = 0
    for operation in model.get_ops():
        kind = operation.get_type_name()
        if kind in _WITH_BODIES:
            raise ModelFileError(f"{path}: has an operation {kind}: expected no graphs inside")
        if kind != "Constant":
            values += values_in(map(_shape, operation.outputs()))
    (image, *_) = [*_shapes(model.inputs).values(), ()]
    check_values(values, image, where=str(path))


def _contract(model: Any) -> str | None:
    # OpenVINO keeps the metadata of an ONNX file under `framework`.
    for path in (CONTRACT_PATH, ["framework", CONTRACT_KEY]):
        if model.has_rt_info(path):
            return str(model.get_rt_info(path).astype(str))
    return None


def _shapes(ports: list[Any]) -> dict[str, Shape]:
    return {next(iter(sorted(port.names)), ""): _shape(port) for port in ports}


def _shape(port: Any) -> Shape:
    if port.partial_shape.rank.is_dynamic:
        return ()
    return tuple(
        dimension.get_length() if dimension.is_static else -1 for dimension in port.partial_shape
    )


def _reason(error: Exception) -> str:
    """The last non-empty line: the first ones name OpenVINO's own source files."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return reason(RuntimeError(lines[-1])) if lines else ""
