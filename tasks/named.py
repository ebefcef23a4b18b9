"""What a name or path that a user gives stands for: a template's name is taken for a file."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import MissingPackageError, ModelFileError, TemplateError, UserError
from ..model_templates.catalogue import (
    ready_file,
    shipped_weights,
    template_names,
    template_path,
)
from ..runtimes import RUNTIMES, WAYS, is_installed, ways_to_open
from .templates import open_template


def model_path(
    name_or_path: str | os.PathLike[str],
    *,
    runtime: str | None = None,
    device: str = "cpu",
) -> Path:
    """The model file, or weights file, that a name or path stands for.

    A template's name stands for its ready file if a runtime that opens it is installed, else for
    its weights, which PyTorch runs. Where it is installed, the weights come first for what PyTorch
    does and a ready file may not: its devices other than the CPU.
    A name takes precedence over a file; write `./name` for the file.

    Args:
        name_or_path: Name of a template, or path of a file.
        runtime: The runtime that is to open it, as `runtimes.open_session` takes it; None for any.
        device: The device that it is to run on.

    Raises:
        UserError: The template ships no weights, or the runtime is unknown.
        MissingPackageError: No runtime that opens a file of the template is installed.
        ModelFileError: The weights are damaged; or there is no such file, and the text looks like
            a template's name.
    """
    name = _text(name_or_path)
    if not isinstance(device, str):
        raise UserError(f"device {device!r}: expected a name, as 'cpu'")
    if name not in template_names():
        return _path(name)
    if runtime is not None and runtime not in WAYS:
        raise UserError(f"runtime {runtime!r}: expected one of {', '.join(WAYS)}")
    ready = ready_file(name)
    special = device.partition(":")[0] in RUNTIMES["torch"].devices[1:]
    if runtime is None and special and is_installed("torch"):
        runtime = "torch"
    if ready is not None and _can_run(ready, runtime):
        return ready
    weights = weights_path(name)
    if not is_installed("torch"):
        if ready is not None and runtime is None:
            raise MissingPackageError("onnxruntime")
        others = ", ".join(filter(ready_file, template_names()))
        raise MissingPackageError("torch", hint=f"without PyTorch there are: {others}")
    return weights


def weights_path(name_or_path: str | os.PathLike[str]) -> Path:
    """The weights file that a name or path stands for, as those that ship with a template.

    Raises:
        UserError: The template ships no weights.
        ModelFileError: See `model_path`.
    """
    name = _text(name_or_path)
    if name not in template_names():
        return _path(name)
    found = shipped_weights(open_template(name))
    if found is None:
        raise no_weights(name, instead="name a file of weights")
    return found


def no_weights(template: str, *, instead: str) -> UserError:
    """The error for a template without weights.

    Args:
        template: Its name.
        instead: How weights can be given where it was named.
    """
    return UserError(
        f"template {template} ships no weights",
        hint=f"{instead}, or train them: `pocketface train`",
    )


def _text(name_or_path: object) -> str:
    text = os.fspath(name_or_path) if isinstance(name_or_path, os.PathLike) else name_or_path
    if not isinstance(text, str):
        raise UserError(f"a model is named by {text!r:.80}: expected a text or a path")
    return text


def _path(text: str) -> Path:
    path = Path(text)
    if len(path.parts) == 1 and not path.suffix and not path.exists():
        try:
            template_path(text)
        except TemplateError as error:
            raise ModelFileError(
                f"{text}: no such file, and no template of this name", hint=error.hint
            ) from None
    return path


def _can_run(file: Path, runtime: str | None) -> bool:
    able = ways_to_open(file)
    if runtime is not None:
        return runtime in able
    return any(is_installed(way) for way in able if way in RUNTIMES)
