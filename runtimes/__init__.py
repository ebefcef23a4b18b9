"""Model files to sessions: one file per runtime. `tasks.load` says what they are."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelFileError, UserError

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True)
class Runtime:
    """A module of this room with an `open_session`, and the files that it opens.

    Attributes:
        module: Its name.
        suffixes: Of the files.
        modes: Other ways to run them than the usual one: "openvino:throughput".
        sizes: Its files' input may have another size than theirs.
    """

    module: str
    suffixes: tuple[str, ...]
    modes: tuple[str, ...] = ()
    sizes: bool = False


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
        sizes=True,
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


def open_session(
    path: str | os.PathLike[str],
    *,
    runtime: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    input_size: tuple[int, int] | None = None,
) -> Session:
    """Open the graph of a model file, which may be somebody else's.

    Args:
        path: As `tasks.load.load` takes it.
        runtime: A key of `RUNTIMES`, perhaps with one of its modes: "torch", "torch:compile"; None
            for the one that the suffix stands for.
        device: As the runtime names it: "cpu", "cuda", "gpu".
        threads: Of one inference; None for one per core.
        input_size: Height and width in pixels of a weights file's input, instead of the
            template's; other files have theirs for good.

    Returns:
        It, with the contract unread, if it has one.

    Raises:
        ModelFileError: The file, or another part of it, is missing, damaged, or of an unknown
            kind.
        MissingPackageError: Its runtime is not installed.
        UserError: There is no such runtime or device, or `threads` is less than 1.
    """
    from .seal import check_seal

    path = Path(path)
    path = path.with_suffix(".xml") if path.suffix == ".bin" else path
    name, mode = _runtime_for(path, runtime=runtime, threads=threads)
    sealed = check_seal(path)
    module = importlib.import_module(f".{RUNTIMES[name].module}", __name__)
    options: dict[str, Any] = {"mode": mode} if RUNTIMES[name].modes else {}
    if RUNTIMES[name].sizes:
        options["input_size"] = input_size
    session: Session = module.open_session(path, threads=threads, device=device, **options)
    if session.contract_json is not None and not sealed:
        raise ModelFileError(f"{path}: damaged: it has a contract, but its SHA-256 is gone")
    return session


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
    "open_session",
    "ways_to_open",
]
