"""Find and open the weights or the model file that a command uses."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MissingPackageError, ModelFileError, UserError
from ..model_templates.catalogue import (
    READY_FILE,
    shipped_weights,
    template_names,
    template_path,
)
from ..model_templates.schema import TemplateFile
from ..models.file_checks import FOREIGN_SUFFIXES, WEIGHTS_SUFFIXES, check_weights_name
from ..runtimes import is_installed, opened
from .load import contract_of, load, model_of
from .model import Model
from .named import model_path, no_weights, weights_path
from .templates import open_template, shipped_template

if TYPE_CHECKING:
    from ..models.weights import Weights

CONTRACT_MARK = b"pocketface"
"""In each OpenVINO file of ours, around its contract."""

SNAPSHOT = "snapshot.pth"
"""Name of the weights file in a work directory, beside its template."""

Given = str | os.PathLike[str]
"""A template's name, or the path of a file."""


def open_weights(template: Given | None, weights: Given | None) -> Weights:
    """Read the weights that a command uses.

    Args:
        template: Name or path of the template that describes them (--template); None for the one
            inside the weights.
        weights: The weights file, or the name of a template that ships some (--load-weights); with
            a template, also a checkpoint of others (`models.foreign`). None for `snapshot.pth`
            beside the template's file, or else those that ship with it.

    Raises:
        UserError: No weights are given, and none ship.
        MissingPackageError: PyTorch is not installed.
        ModelFileError: The weights cannot be read, or belong to another architecture.
    """
    described = None if template is None else open_template(template)
    path = _weights_of(described) if weights is None else opened(weights_path(weights))
    check_weights_file(path, template=described is not None)
    _need_torch()
    from ..models.weights import read_weights

    read = read_weights(path, template=described)
    return read if described is None else read.described_by(described)


def check_weights_file(path: Path, *, template: bool = False) -> None:
    """Refuse what is no weights file by its name, or is not there, before PyTorch loads.

    Args:
        path: The file.
        template: Whether a template is given, which other people's checkpoints need.

    Raises:
        ModelFileError: It is such.
    """
    check_weights_name(path, template=template)
    if not path.exists():
        raise ModelFileError(f"{path}: no such file")


def open_model(
    template: Given | None,
    file: Given | None,
    *,
    runtime: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    input_size: tuple[int, int] | None = None,
) -> Model[Any]:
    """Open the model that a command uses: weights, or any model file.

    Args:
        template: See `open_weights`; weights given must fit it.
        file: A model file, weights, or the name of a template that ships some; with a template,
            also a checkpoint of others (`models.foreign`). None for `snapshot.pth` beside the
            template's file, or what its name stands for (`model_path`).
        runtime: See `load`.
        device: See `load`.
        threads: See `load`.
        input_size: See `load`.

    Raises:
        UserError: No model is given, and none ships; see also `load`.
        ModelFileError: See `load`; or the weights belong to another architecture.
    """
    described = None if template is None else open_template(template)
    path = opened(_model_of(described, file, runtime=runtime, device=device))
    how: dict[str, Any] = {"device": device, "threads": threads, "input_size": input_size}
    if described is not None and _is_of_others(path):
        name, _, mode = (runtime or "torch").partition(":")
        if name != "torch":
            raise UserError(
                f"--runtime {runtime}: with --template, {path} is read as weights; expected torch"
            )
        from ..models.weights import read_weights

        return model_of_weights(read_weights(path, template=described), mode=mode, **how)
    model = load(path, runtime=runtime, **how)
    weights = model.session.weights
    if described is not None and weights is not None:
        weights.described_by(described)
    return model


def _is_of_others(path: Path) -> bool:
    """Whether a file is a checkpoint that a template must describe; not a model file of ours."""
    if path.suffix not in FOREIGN_SUFFIXES or not path.is_file():
        return False
    if path.suffix == ".xml" and CONTRACT_MARK in path.read_bytes():
        return False
    _need_torch()
    from ..models.foreign import is_foreign

    return is_foreign(path)


def model_of_weights(
    weights: Weights,
    *,
    mode: str = "",
    device: str = "cpu",
    threads: int | None = None,
    input_size: tuple[int, int] | None = None,
) -> Model[Any]:
    """Open weights that were read, with PyTorch.

    Args:
        weights: The weights.
        mode: See `runtimes.torch.accelerated`.
        device: See `load`.
        threads: See `load`.
        input_size: See `load`.

    Raises:
        UserError: See `load`.
    """
    from ..runtimes.torch import session_of_weights

    how: dict[str, Any] = {
        "mode": mode, "device": device, "threads": threads, "input_size": input_size
    }  # fmt: skip
    session = session_of_weights(weights, **how)
    contract = contract_of(session, source=str(weights.path), input_size=input_size)
    model = model_of(session, contract, path=weights.path)
    model.again = partial(model_of_weights, weights, **how)
    return model


def model_file(template: Given | None, file: Given | None, *, device: str = "cpu") -> Path:
    """The file that `open_model` opens, to open it later or in other processes."""
    described = None if template is None else open_template(template)
    path = _model_of(described, file, device=device)
    if described is None or path.suffix not in WEIGHTS_SUFFIXES:
        return path
    own = described.spec.initial_weights
    # Weights that ship beside their template fit it, as its SHA-256 of them says.
    if own is None or path != described.path.with_name(own.file):
        _need_torch()
        from ..models.weights import read_weights

        read_weights(path).described_by(described)
    return path


def shipped_file(template: TemplateFile) -> Path | None:
    """The weights that ship with a template, also for its copy in a work directory."""
    spec = template.spec.initial_weights
    if spec is None:
        return None
    original = template
    if not template.path.with_name(spec.file).exists():
        original = shipped_template(template.spec.name) or template
    return shipped_weights(original)


def _need_torch() -> None:
    if not is_installed("torch"):
        raise MissingPackageError("torch")


def _model_of(
    template: TemplateFile | None,
    given: Given | None,
    *,
    runtime: str | None = None,
    device: str = "cpu",
) -> Path:
    shipped = template is not None and template.spec.name in template_names()
    if template is not None and shipped and template.path == template_path(template.spec.name):
        given = given or template.spec.name
    if given is None and template is not None and not is_installed("torch"):
        beside = template.path.with_name(READY_FILE)  # as `init` puts it there without PyTorch
        given = beside if beside.is_file() else None
    if given is None:
        return _weights_of(template)
    return model_path(given, runtime=runtime, device=device)


def _weights_of(template: TemplateFile | None) -> Path:
    if template is None:
        raise UserError("no weights to work with: expected --load-weights FILE or --template NAME")
    snapshot = template.path.with_name(SNAPSHOT)
    found = snapshot if snapshot.is_file() else shipped_file(template)
    if found is None:
        raise no_weights(template.spec.name, instead="give some by --load-weights FILE")
    return found
