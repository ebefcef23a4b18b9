"""Open model files as models; the contract says which kind of model a file is."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ModelFileError, UserError
from ..model_templates.contract import Contract
from ..model_templates.input_size import check_pair
from ..runtimes import RUNTIMES, open_session, opened
from ..runtimes.session import Session
from . import task_of
from .describe import contract_for
from .fit import check_fit
from .model import Model
from .named import model_path

Kind = TypeVar("Kind", bound=Model[Any])


def load(
    path: str | os.PathLike[str],
    *,
    runtime: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    input_size: tuple[int, int] | None = None,
) -> Model[Any]:
    """Open a model file, or the model of a template that ships one.

    Args:
        path: Name of a template that ships weights (see `named.model_path`); or `.xml` or `.bin`
            (either file of the pair), `.onnx`, `.mlmodel`, `.mlpackage`, `.tflite`, `.savedmodel`,
            `.keras`, `.pt`, `.safetensors` or `.pth`.
        runtime: A key of `runtimes.RUNTIMES`, optionally with a mode, such as "torch:compile";
            None for the suffix's default, or another that opens the file if that is not installed.
        device: The runtime's name of the device, such as "cpu", "cuda" or "gpu".
        threads: Threads for one inference; None for one per core.
        input_size: Height and width in pixels of the input, where the template or file leaves them
            free; None for its own.

    Raises:
        ModelFileError: The file or one of its parts is missing, damaged or of an unknown kind.
        ContractError: The file has no contract, or one that does not fit.
        MissingPackageError: The runtime is not installed.
        UserError: The runtime or device is unknown, `threads` is less than 1, `input_size` is no
            pair of whole numbers, or the file has another, fixed input size or does not allow this
            one.
    """
    if input_size is not None:
        check_pair(input_size)
    path = opened(model_path(path, runtime=runtime, device=device))
    session = open_session(
        path, runtime=runtime, device=device, threads=threads, input_size=input_size
    )
    contract = contract_of(session, source=str(path), input_size=input_size)
    size = contract.input.height, contract.input.width
    if input_size is not None and tuple(input_size) != size:
        raise UserError(
            f"--input-size {input_size[0]}x{input_size[1]}: the input of {path} is "
            f"{size[0]}x{size[1]} for good: its graph has constants of that size",
            hint="export it anew by `pocketface export --input-size`, or open its weights",
        )
    model = model_of(session, contract, path=path)
    model.again = partial(
        load,
        path.absolute(),  # another process may have another working directory
        runtime=runtime or (session.runtime if session.runtime in RUNTIMES else None),
        device=device,
        threads=threads,
        input_size=input_size,
    )
    return model


def load_as(
    kind: type[Kind],
    path: str | os.PathLike[str],
    *,
    runtime: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    input_size: tuple[int, int] | None = None,
) -> Kind:
    """Open a model file with `load`, and refuse models of another kind.

    Raises:
        ModelFileError: See `load`; or the model is of another kind.
    """
    model = load(path, runtime=runtime, device=device, threads=threads, input_size=input_size)
    if not isinstance(model, kind):
        raise ModelFileError(f"{path}: is for {model.contract.task}; expected a {kind.WHAT}")
    return model


def contract_of(
    session: Session, *, source: str, input_size: tuple[int, int] | None = None
) -> Contract:
    """The contract of an opened file, compared with its graph.

    Args:
        session: The file's session.
        source: Name of the file in error messages.
        input_size: See `load`.

    Raises:
        ContractError: The contract is missing, or does not fit.
    """
    if session.weights is not None:
        height, width = input_size or (None, None)
        weights = session.weights
        contract = contract_for(weights.template, weights=weights, height=height, width=width)
    else:
        contract = Contract.from_json(session.contract_json, source=source)
        own = contract.input.height, contract.input.width
        if contract.input.multiple_of and input_size is not None and tuple(input_size) != own:
            contract = contract.resized(*input_size, session.output_shapes)
    check_fit(contract, session, source=source)
    return contract


def model_of(session: Session, contract: Contract, *, path: Path) -> Model[Any]:
    """Make a model of the contract's task from an opened graph.

    Args:
        session: The runtime's session.
        contract: The contract, already checked against the session.
        path: The model file.
    """
    return task_of(contract.task).model.make(contract=contract, session=session, path=path)
