"""Model files to faces: one file per runtime, and `load`."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ModelFileError, UserError

if TYPE_CHECKING:
    from .model import Model
    from .session import Session


@dataclass(frozen=True)
class Runtime:
    """A module of this room with an `open_session`, and the files that it opens."""

    module: str
    suffixes: tuple[str, ...]


RUNTIMES: dict[str, Runtime] = {
    "openvino": Runtime("openvino", (".xml", ".onnx")),
    "onnxruntime": Runtime("onnxruntime", (".onnx",)),
    "torch": Runtime("torch", (".safetensors", ".pth")),
}
"""By name; their modules are imported when they are used."""

DEFAULT_RUNTIMES: dict[str, str] = {
    ".xml": "openvino",
    ".onnx": "onnxruntime",
    ".safetensors": "torch",
    ".pth": "torch",
}
"""Which runtime opens a file unless told otherwise."""


def load(
    path: str | os.PathLike[str],
    *,
    runtime: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> Model:
    """Open a model file.

    Args:
        path: `.xml` or `.bin` (one pair, either name), `.onnx`, `.safetensors` or `.pth`.
        runtime: A key of `RUNTIMES`; None for the one that the suffix stands for.
        device: As the runtime names it: "cpu", "cuda", "gpu".
        threads: Of one inference; None for one per core.

    Raises:
        ModelFileError: The file, or the other one of its pair, is missing, damaged, or of an
            unknown kind.
        ContractError: It carries no contract, or one that does not fit.
        MissingPackageError: Its runtime is not installed.
        UserError: There is no such runtime or device, or `threads` is less than 1.
    """
    path = Path(path)
    if path.suffix == ".bin":
        path = path.with_suffix(".xml")
    session = _open(path, runtime=runtime, device=device, threads=threads)

    from ..model_templates.contract import Contract
    from .fit import check_fit
    from .model import Model

    contract = Contract.from_json(session.contract_json, source=str(path))
    check_fit(contract, session, source=str(path))
    return Model(contract=contract, session=session, path=path)


def _open(path: Path, *, runtime: str | None, device: str, threads: int | None) -> Session:
    if path.suffix not in DEFAULT_RUNTIMES:
        known = ", ".join([*DEFAULT_RUNTIMES, ".bin"])
        raise ModelFileError(f"{path}: unknown kind of model file; expected one of {known}")
    name = DEFAULT_RUNTIMES[path.suffix] if runtime is None else runtime
    if name not in RUNTIMES or path.suffix not in RUNTIMES[name].suffixes:
        able = [key for key, value in RUNTIMES.items() if path.suffix in value.suffixes]
        raise UserError(
            f"runtime {name!r}: cannot open {path.name}; expected one of {', '.join(able)}"
        )
    if threads is not None and threads < 1:
        raise UserError(f"threads {threads}: expected 1 or more")
    if not path.is_file():
        raise ModelFileError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}")
    module = importlib.import_module(f".{RUNTIMES[name].module}", __name__)
    session: Session = module.open_session(path, threads=threads, device=device)
    return session


__all__ = ["RUNTIMES", "Runtime", "load"]
