"""Read, check and write weights files, and build the network from them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelFileError, PocketfaceError, TemplateError
from ..files import reading, sha256_file, sha256_files
from ..model_templates.contract import Metric
from ..model_templates.schema import Template, TemplateFile, parse_template
from .file_checks import check_file, check_weights_name, printable, reason
from .foreign import Foreign, is_foreign, read_foreign
from .network import Network, blank_network, make_network
from .nncf_hooks import HOOKS, with_hooks
from .weights_formats import READERS, Section, write_checkpoint, write_safetensors

_log = logging.getLogger(__name__)

_LISTED = 3
"""How many names of tensors a message has, besides their number."""


@dataclass(frozen=True, eq=False)
class Weights:
    """The checked content of a weights file.

    Attributes:
        template: The template that describes the network: the one embedded in the file, or the
            one given to `described_by`.
        template_text: Its YAML text.
        state_dict: Tensors of the network, on the CPU, without prefix.
        epochs: Epochs trained so far.
        data: Training data in words; None if unknown.
        seed: Seed of the training run.
        sha256: SHA-256 of the file; of OpenVINO's that of `.xml` and `.bin`, one behind the other.
        path: The file.
        metrics: Figures measured on these weights.
        hooks: Result of `hooks_of`: NNCF's hooks from compression during training, or None.
        measured_with: The embedded template, by which `metrics` were measured; None if that is
            `template`.
        foreign: What they were read from, if others wrote it; None for a file of ours.
        anew: Names of tensors that it lacks, and that begin as in a new network.
    """

    template: Template
    template_text: str
    state_dict: dict[str, Tensor]
    epochs: int
    data: str | None
    seed: int | None
    sha256: str
    path: Path
    metrics: tuple[Metric, ...] = ()
    hooks: dict[str, Any] | None = None
    measured_with: Template | None = None
    foreign: Foreign | None = None
    anew: tuple[str, ...] = ()

    def described_by(self, template: TemplateFile, *, learns_anew: bool = False) -> Weights:
        """The same weights with another template, whose recipes and thresholds may differ.

        Args:
            template: A template of the same network.
            learns_anew: Whether a training starts from them; classes and alignment may then
                differ too.

        Raises:
            ModelFileError: The weights were made for another architecture, other classes or
                another position of the eyes.
        """
        then, now = self.template, template.spec
        hint = "give weights that were trained with this template.yaml, or undo the change in it"
        if not now.architecture.makes_same_network(then.architecture):
            raise ModelFileError(
                f"{self.path}: made for the architecture of {then.name}, which differs from "
                f"that in {template.path}",
                hint=hint,
            )
        for key, had, has in (
            ("dataset.classes", then.dataset.classes, now.dataset.classes),
            ("input.eyes", then.input.eyes, now.input.eyes),
        ):
            if had != has and not learns_anew:
                raise ModelFileError(
                    f"{self.path}: made for {key} {_listed(had)}; {template.path} has "
                    f"{_listed(has)}",
                    hint=hint,
                )
        return replace(
            self,
            template=now,
            template_text=template.text,
            measured_with=self.measured_with or then,
        )


def read_weights(
    path: Path, *, template: TemplateFile | None = None, learns_anew: bool = False
) -> Weights:
    """Read a weights file and check that its tensors fit its template.

    Args:
        path: A `.safetensors` or `.pth` file that pocketface wrote; or with `template`, a
            checkpoint of others whose names are known (see `name_map`).
        template: The template that describes files of others; not used for ours.
        learns_anew: Whether a training starts from them; a checkpoint of others may then have
            other classes, or be of a backbone alone, and the rest is `anew`.

    Raises:
        ModelFileError: The file is missing, of another kind, damaged, not written by pocketface,
            or its tensors do not fit its template.
    """
    path = Path(path)
    check_weights_name(path, template=template is not None)
    check_file(path)
    if template is not None and is_foreign(path):
        return _of_others(path, template, learns_anew=learns_anew)
    with reading(path, ModelFileError):
        sha256 = sha256_file(path)
    section, found = READERS[path.suffix](path)
    try:
        embedded = parse_template(section.template, source=f"{path}: template")
    except TemplateError as error:
        raise ModelFileError(str(error)) from error
    _check_fit(found, template=embedded, path=path, hooked=section.hooks is not None)
    state_dict = {name: _whole(tensor) for name, tensor in found.items()}
    return Weights(
        template=embedded,
        template_text=section.template,
        state_dict=state_dict,
        epochs=section.epochs,
        data=section.data,
        seed=section.seed,
        sha256=sha256,
        path=path,
        metrics=section.metrics,
        hooks=section.hooks,
    )


def _of_others(path: Path, template: TemplateFile, *, learns_anew: bool) -> Weights:
    spec = template.spec
    with torch.device("meta"):
        expected = blank_network(spec.architecture).state_dict()
    foreign = read_foreign(path, spec.architecture, expected)
    # The tensors of OpenVINO's files are in the `.bin`.
    parts = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
    with reading(path, ModelFileError):
        sha256 = sha256_files(parts)
    found = foreign.renamed
    hint = f"is it of another template than {spec.name}? name it by --template"
    if found.anew and not (found.missing or found.unknown or learns_anew):
        hint = (
            "of other classes, or of a part of the network: `train --load-weights` begins with it"
        )
    missing = found.missing + (() if learns_anew else found.anew)
    amiss = {"it lacks": missing, "not known:": found.unknown}
    problems = [f"{what} {_some(names)}" for what, names in amiss.items() if names]
    if any(len(names) > _LISTED for names in amiss.values()):
        hint += "; -v names them all"
        for what, names in amiss.items():
            _log.info("%s: %s %s", path, what, ", ".join(map(printable, names)) or "nothing")
    size = spec.input.height, spec.input.width
    if foreign.sizes and size not in foreign.sizes:
        others = ", ".join(sorted(f"{height}x{width}" for height, width in foreign.sizes))
        problems = [f"its input is {others}, that of the template {size[0]}x{size[1]}"]
    if problems:
        raise ModelFileError(
            f"{path}: of {foreign.kind}, does not fit {spec.name}: {'; '.join(problems)}", hint=hint
        )
    if spec.input.resize == "stretch" and not foreign.sizes:
        _log.warning("%s: names no input: taken for the %dx%d of %s", path, *size, spec.name)
    _check_fit(found.tensors, template=spec, path=path, hooked=False, anew=found.anew)
    for name, tensor in found.tensors.items():
        if not tensor.isfinite().all():
            raise ModelFileError(f"{path}: of its tensor for {name!r} not all values are finite")
    if found.anew:
        _log.warning(
            "%s: of other classes, or of a part of the network; as in a new network begin %s",
            path,
            _some(found.anew),
        )
    unused = f"; not used: {printable(', '.join(found.unused))}" if found.unused else ""
    _log.info("%s: %d tensors by the names of %s%s", path, len(found.tensors), foreign.kind, unused)
    return Weights(
        template=spec,
        template_text=template.text,
        state_dict={name: _whole(tensor).contiguous() for name, tensor in found.tensors.items()},
        epochs=foreign.epochs,
        data=f"as {foreign.kind} trained it",
        seed=None,
        sha256=sha256,
        path=path,
        foreign=foreign,
        anew=found.anew,
    )


def _some(names: Sequence[str]) -> str:
    """The first names, and how many they are."""
    more = ", …" if len(names) > _LISTED else ""
    return f"{', '.join(map(printable, names[:_LISTED]))}{more} ({len(names)})"


def _listed(values: Sequence[str | float] | None) -> str:
    return "none" if values is None else f"[{', '.join(map(str, values))}]"


def write_weights(
    path: Path,
    *,
    template_text: str,
    state_dict: Mapping[str, Tensor],
    epochs: int,
    data: str | None = None,
    seed: int | None = None,
    metrics: Sequence[Metric] = (),
    hooks: dict[str, Any] | None = None,
) -> None:
    """Write a weights file atomically.

    Args:
        path: The file to write; ends in `.safetensors` or `.pth`.
        template_text: YAML of the template the network was built from.
        state_dict: Tensors of the network, without prefix.
        epochs: Epochs trained so far.
        data: Training data in words; None if unknown.
        seed: Seed of the training run.
        metrics: Figures measured on these weights.
        hooks: Result of `hooks_of`; None for a network without hooks.

    Raises:
        ModelFileError: The suffix is another one, or the tensors do not fit the template.
        TemplateError: The text is not a template.
    """
    path = Path(path)
    check_weights_name(path)
    template = parse_template(template_text, source=f"{path}: template")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()}
    _check_fit(tensors, template=template, path=path, hooked=hooks is not None)
    section = Section(
        template=template_text,
        epochs=epochs,
        data=data,
        seed=seed,
        metrics=tuple(metrics),
        hooks=hooks,
    )
    write = write_checkpoint if path.suffix == ".pth" else write_safetensors
    write(path, tensors=tensors, section=section)


def halved(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors with kernels and matrices in 16 bits; reading a file makes them FP32 again.

    Vectors stay: a variance may exceed the range of FP16.
    """
    return {
        name: tensor.half() if tensor.ndim > 1 and tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }


def rewritten(
    path: Path,
    weights: Weights,
    state: Mapping[str, Tensor],
    *,
    hooks: dict[str, Any] | None = None,
    template_text: str | None = None,
) -> Weights:
    """Write changed weights to a new file, without the figures of the old ones.

    Args:
        path: See `write_weights`.
        weights: The weights that they were made from.
        state: The new tensors.
        hooks: Result of `hooks_of`; None for a network without hooks.
        template_text: The new template if the architecture changed; None for that of `weights`.

    Raises:
        ModelFileError: See `write_weights`.
    """
    write_weights(
        path,
        template_text=template_text or weights.template_text,
        state_dict=state,
        epochs=weights.epochs,
        data=weights.data,
        seed=weights.seed,
        hooks=hooks,
    )
    return read_weights(path)


def build_network(weights: Weights) -> Network:
    """The trained network, on the CPU and in eval mode.

    Raises:
        ModelFileError: Its hooks cannot be restored, or their tensors do not fit.
        MissingPackageError: The network has hooks, and NNCF is not installed.
    """
    architecture = weights.template.architecture
    try:
        if weights.hooks is None:
            network = blank_network(architecture)
        else:  # NNCF runs it
            network = with_hooks(make_network(architecture), weights.hooks)
        network.load_state_dict(weights.state_dict)
    except PocketfaceError:
        raise
    except Exception as error:  # NNCF raises anything on hooks that do not fit
        raise ModelFileError(f"{weights.path}: {reason(error)}") from error
    return network.eval()


def _whole(tensor: Tensor) -> Tensor:
    """The tensor as FP32 if it was stored as FP16."""
    return tensor.float() if _is_half(tensor) else tensor


def _is_half(tensor: Tensor) -> bool:
    return tensor.dtype == torch.float16 and tensor.ndim > 1


def _check_fit(
    tensors: Mapping[str, Tensor],
    *,
    template: Template,
    path: Path,
    hooked: bool,
    anew: Sequence[str] = (),
) -> None:
    with torch.device("meta"):
        expected = blank_network(template.architecture).state_dict()
    for name in anew:
        del expected[name]
    problem = None
    if missing := [name for name in expected if name not in tensors]:
        problem = f"tensor {missing[0]!r} is missing ({len(missing)} in all)"
    elif unexpected := [
        name for name in tensors if name not in expected and not (hooked and name.startswith(HOOKS))
    ]:
        problem = f"unexpected tensor {unexpected[0]!r} ({len(unexpected)} in all)"
    else:
        for name, wanted in expected.items():
            found = tensors[name]
            dtype = torch.float32 if _is_half(found) else found.dtype
            if (found.shape, dtype) != (wanted.shape, wanted.dtype):
                problem = (
                    f"tensor {name!r} is {found.dtype} {tuple(found.shape)}, "
                    f"expected {wanted.dtype} {tuple(wanted.shape)}"
                )
                break
    if problem:
        raise ModelFileError(f"{path}: does not fit its template {template.name}: {problem}")
