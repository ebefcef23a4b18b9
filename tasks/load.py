"""Model files to models: what an opened graph is, its contract says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ModelFileError, UserError
from ..model_templates.contract import Contract
from ..runtimes import open_session
from ..runtimes.session import Session
from . import task_of
from .describe import contract_for
from .fit import check_fit
from .model import Model

Kind = TypeVar("Kind", bound=Model[Any])


def load(
    path: str | os.PathLike[str],
    *,
    runtime: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    input_size: tuple[int, int] | None = None,
) -> Model[Any]:
    """Open a model file.

    Args:
        path: `.xml` or `.bin` (one pair, either name), `.onnx`, `.mlmodel`, `.mlpackage`,
            `.tflite`, `.savedmodel`, `.keras`, `.safetensors` or `.pth`.
        runtime: A key of `runtimes.RUNTIMES`, perhaps with one of its modes: "torch",
            "torch:compile"; None for the one that the suffix stands for.
        device: As the runtime names it: "cpu", "cuda", "gpu".
        threads: Of one inference; None for one per core.
        input_size: Height and width in pixels instead of the template's, of a weights file.

    Raises:
        ModelFileError: The file, or another part of it, is missing, damaged, or of an unknown
            kind.
        ContractError: It carries no contract, or one that does not fit.
        MissingPackageError: Its runtime is not installed.
        UserError: There is no such runtime or device, `threads` is less than 1, or the input has
            another size for good.
    """
    session = open_session(
        path, runtime=runtime, device=device, threads=threads, input_size=input_size
    )
    path = Path(path)
    path = path.with_suffix(".xml") if path.suffix == ".bin" else path
    contract = contract_of(session, source=str(path), input_size=input_size)
    size = contract.input.height, contract.input.width
    if input_size not in (None, size):
        raise UserError(
            f"--input-size: the input of {path} is {size[0]}x{size[1]} for good",
            hint="export it anew by `pocketface export --input-size`, or measure its checkpoint",
        )
    return model_of(session, contract, path=path)


def load_as(
    kind: type[Kind],
    path: str | os.PathLike[str],
    *,
    runtime: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
) -> Kind:
    """As `load`, for who can use one kind of model alone.

    Raises:
        ModelFileError: As `load`; or it is a model of another kind.
    """
    model = load(path, runtime=runtime, device=device, threads=threads)
    if not isinstance(model, kind):
        raise ModelFileError(f"{path}: is for {model.contract.task}; expected a {kind.WHAT}")
    return model


def contract_of(
    session: Session, *, source: str, input_size: tuple[int, int] | None = None
) -> Contract:
    """The contract of an opened file, compared with its graph.

    Args:
        session: The file's.
        source: What error messages call it.
        input_size: As `load` takes it.

    Raises:
        ContractError: There is none, or it does not fit.
    """
    if session.weights is not None:
        height, width = input_size or (None, None)
        weights = session.weights
        contract = contract_for(weights.template, weights=weights, height=height, width=width)
    else:
        contract = Contract.from_json(session.contract_json, source=source)
    check_fit(contract, session, source=source)
    return contract


def model_of(session: Session, contract: Contract, *, path: Path) -> Model[Any]:
    """An opened graph as a model of the contract's task.

    Args:
        session: The runtime's side of it.
        contract: Which fits it.
        path: The file.
    """
    return task_of(contract.task).model.make(contract=contract, session=session, path=path)
