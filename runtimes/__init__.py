"""Model files to faces: one file per runtime, and `load`."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelFileError, UserError

if TYPE_CHECKING:
    from ..model_templates.contract import Contract
    from .detector import FaceDetector
    from .model import Model
    from .session import Session


@dataclass(frozen=True)
class Runtime:
    """A module of this room with an `open_session`, and the files that it opens.

    Attributes:
        module: Its name.
        suffixes: Of the files.
        modes: Other ways to run them than the usual one: "openvino:throughput".
    """

    module: str
    suffixes: tuple[str, ...]
    modes: tuple[str, ...] = ()


RUNTIMES: dict[str, Runtime] = {
    "openvino": Runtime("openvino", (".xml", ".onnx"), ("throughput",)),
    "onnxruntime": Runtime("onnxruntime", (".onnx",)),
    "coreml": Runtime("coreml", (".mlmodel", ".mlpackage")),
    "litert": Runtime("litert", (".tflite",)),
    "tensorflow": Runtime("tensorflow", (".savedmodel", ".keras")),
    "torch": Runtime(
        "torch",
        (".safetensors", ".pth"),
        ("compile", "script", "channels-last", "bf16", "cuda-graph"),
    ),
}
"""By name; their modules are imported when they are used."""

DEFAULT_RUNTIMES: dict[str, str] = {
    ".xml": "openvino",
    ".onnx": "onnxruntime",
    ".mlmodel": "coreml",
    ".mlpackage": "coreml",
    ".tflite": "litert",
    ".savedmodel": "tensorflow",
    ".keras": "tensorflow",
    ".safetensors": "torch",
    ".pth": "torch",
}
"""Which runtime opens a file unless told otherwise."""

FOLDERS = (".mlpackage", ".savedmodel")
"""Suffixes of models that are folders."""


_MAX_THREADS = 64
"""Runtimes start all that they are told to, and some crash of too many."""


def load(
    path: str | os.PathLike[str],
    *,
    runtime: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> Model:
    """Open a model file.

    Args:
        path: `.xml` or `.bin` (one pair, either name), `.onnx`, `.mlmodel`, `.mlpackage`,
            `.tflite`, `.savedmodel`, `.keras`, `.safetensors` or `.pth`.
        runtime: A key of `RUNTIMES`, perhaps with one of its modes: "torch", "torch:compile";
            None for the one that the suffix stands for.
        device: As the runtime names it: "cpu", "cuda", "gpu".
        threads: Of one inference; None for one per core.

    Raises:
        ModelFileError: The file, or another part of it, is missing, damaged, or of an unknown
            kind.
        ContractError: It carries no contract, or one that does not fit.
        MissingPackageError: Its runtime is not installed.
        UserError: There is no such runtime or device, or `threads` is less than 1.
    """
    from ..model_templates.contract import Contract
    from .fit import check_fit

    path = _named(path)
    session = open_session(path, runtime=runtime, device=device, threads=threads)
    contract = Contract.from_json(session.contract_json, source=str(path))
    check_fit(contract, session, source=str(path))
    return model_of(session, contract, path=path)


def model_of(session: Session, contract: Contract, *, path: Path) -> Model:
    """An opened file as what its contract says that it is.

    Args:
        session: The runtime's side of it.
        contract: Which fits it.
        path: The file.
    """
    from .classifier import FaceClassifier
    from .detector import FaceDetector

    kind = FaceDetector if contract.task == "face-detection" else FaceClassifier
    return kind(contract=contract, session=session, path=path)


def load_detector(
    path: str | os.PathLike[str],
    *,
    runtime: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> FaceDetector:
    """As `load`, for who can use nothing but a detector.

    Raises:
        ModelFileError: As `load`; or it is of another task.
    """
    from .detector import FaceDetector

    model = load(path, runtime=runtime, device=device, threads=threads)
    if not isinstance(model, FaceDetector):
        raise ModelFileError(f"{path}: is for {model.contract.task}; expected a face detector")
    return model


def open_session(
    path: str | os.PathLike[str],
    *,
    runtime: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> Session:
    """Open the graph of a model file, which may be somebody else's.

    Args:
        path: As for `load`.
        runtime: As for `load`.
        device: As for `load`.
        threads: As for `load`.

    Returns:
        It, with the contract unread, if it has one.

    Raises:
        ModelFileError: As `load`.
        MissingPackageError: As `load`.
        UserError: As `load`.
    """
    from .seal import check_seal

    path = _named(path)
    name, mode = _runtime_for(path, runtime=runtime, threads=threads)
    sealed = check_seal(path)
    module = importlib.import_module(f".{RUNTIMES[name].module}", __name__)
    modes = {"mode": mode} if RUNTIMES[name].modes else {}
    session: Session = module.open_session(path, threads=threads, device=device, **modes)
    # Weights files have a digest of their own, which their reader compares.
    if session.contract_json is not None and not sealed and name != "torch":
        raise ModelFileError(f"{path}: damaged: it has a contract, but its SHA-256 is gone")
    return session


def _named(path: str | os.PathLike[str]) -> Path:
    """The file that stands for a model of several."""
    path = Path(path)
    return path.with_suffix(".xml") if path.suffix == ".bin" else path


def _runtime_for(path: Path, *, runtime: str | None, threads: int | None) -> tuple[str, str]:
    """Which runtime is to open a file that is there, and in which mode ("" for the usual one)."""
    if path.suffix not in DEFAULT_RUNTIMES:
        known = ", ".join([*DEFAULT_RUNTIMES, ".bin"])
        raise ModelFileError(f"{path}: unknown kind of model file; expected one of {known}")
    name, _, mode = (runtime or DEFAULT_RUNTIMES[path.suffix]).partition(":")
    able = ways_to_open(path)
    if (f"{name}:{mode}" if mode else name) not in able:
        raise UserError(
            f"runtime {runtime!r}: cannot open {path.name}; expected one of {', '.join(able)}"
        )
    most = max(_MAX_THREADS, os.cpu_count() or 1)
    if threads is not None and not 1 <= threads <= most:
        raise UserError(f"threads {threads}: expected 1 to {most}")
    if path.suffix in FOLDERS and path.is_file():
        raise ModelFileError(f"{path}: is a file; expected a folder")
    if path.suffix not in FOLDERS and path.is_dir():
        raise ModelFileError(f"{path}: is a folder")
    if not path.exists():
        raise ModelFileError(f"{path}: no such {'folder' if path.suffix in FOLDERS else 'file'}")
    return name, mode


def ways_to_open(path: Path) -> list[str]:
    """Runtimes that open files of this suffix, each followed by its modes."""
    return [
        way
        for name, runtime in RUNTIMES.items()
        if path.suffix in runtime.suffixes
        for way in (name, *(f"{name}:{mode}" for mode in runtime.modes))
    ]


__all__ = [
    "DEFAULT_RUNTIMES",
    "FOLDERS",
    "RUNTIMES",
    "Runtime",
    "load",
    "load_detector",
    "model_of",
    "open_session",
    "ways_to_open",
]
