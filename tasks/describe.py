"""Make the contract of a network from its template."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import __version__
from ..data.landmark_geometry import ARCFACE_POINTS
from ..errors import UserError
from ..model_templates.catalogue import LICENCE, is_shipped
from ..model_templates.contract import (
    Contract,
    InputSpec,
    Metric,
    OutputSpec,
    Precision,
    Provenance,
)
from ..model_templates.input_size import input_size
from ..model_templates.schema import Template
from . import TASKS, task_of
from .templates import with_settled, without_settled

if TYPE_CHECKING:
    from ..models.weights import Weights


def contract_for(
    template: Template,
    *,
    weights: Weights | None = None,
    height: int | None = None,
    width: int | None = None,
    precision: Precision = "fp32",
    data: str | None = None,
    seed: int | None = None,
    metrics: tuple[Metric, ...] = (),
) -> Contract:
    """Make the contract of a file made from this template.

    Args:
        template: The template of network and input.
        weights: The trained weights; None for a network never trained. They fill provenance, and
            metrics if these were measured on this input by these rules. What cosines mean is
            theirs too, as far as it was measured on this input.
        height: Input height in pixels, a multiple of `multiple_of`; None for the template's.
        width: Input width in pixels, a multiple of `multiple_of`; None for the template's.
        precision: Precision of the file's weights.
        data: Training data in words; taken from `weights` if given.
        seed: Seed of the training run; taken from `weights` if given.
        metrics: Measured figures; taken from `weights` if given.

    Raises:
        UserError: See `input_size`; or there is no such task, as in a checkpoint of long ago.
    """
    if template.problem not in TASKS:
        raise UserError(
            f"{weights.path if weights else template.name}: its problem is {template.problem!r}: "
            f"expected one of {', '.join(TASKS)}",
            hint="`pocketface export --template`, with one of today for the same network, takes it",
        )
    source = template.name if weights is None else f"{weights.path}: template"
    task_of(template.problem).rules.check_template(template, source=source)
    if weights is not None:
        template = with_settled(template, weights.measured_with)
    height, width = input_size(template, height=height, width=width)
    then = template if weights is None else weights.measured_with or weights.template
    if (height, width) != (then.input.height, then.input.width):
        template = without_settled(template)
    checkpoint = None
    if weights is not None:
        checkpoint, data, seed, metrics = (
            weights.sha256,
            weights.data,
            weights.seed,
            weights.metrics,
        )
        shipped = template.initial_weights
        if not metrics and shipped is not None and shipped.sha256 == checkpoint:
            metrics = tuple(template.metrics)
        same_task = then.problem == template.problem
        if not same_task or _protocol(template, height, width) != _protocol(then):
            metrics = ()
    return Contract(
        name=template.name,
        task=template.problem,
        input=InputSpec(
            shape=(-1, 3, height, width),
            resize=template.input.resize,
            points=_points(template, height=height, width=width),
            multiple_of=template.input.multiple_of,
        ),
        outputs=_outputs(template, height=height, width=width),
        rules=task_of(template.problem).rules.rules_of(template),
        precision=precision,
        provenance=Provenance(
            template=template.name,
            package_version=__version__,
            licence=LICENCE if checkpoint is not None and is_shipped(checkpoint) else None,
            checkpoint_sha256=checkpoint,
            data=data,
            seed=seed,
        ),
        metrics=metrics,
    )


def _protocol(
    template: Template, height: int | None = None, width: int | None = None
) -> tuple[object, ...]:
    """The settings, beside the weights, that figures depend on."""
    spec = template.input
    rules = task_of(template.problem).rules
    size = (height or spec.height, width or spec.width)
    return (*size, spec.resize, rules.decides(template))


def _outputs(template: Template, *, height: int, width: int) -> tuple[OutputSpec, ...]:
    from ..models.network import output_shapes

    meanings = task_of(template.problem).rules.OUTPUTS
    shapes = output_shapes(template.architecture, height=height, width=width)
    unknown = [name for name in shapes if name not in meanings]
    if unknown:
        raise UserError(
            f"template {template.name}: its network gives {', '.join(unknown)}; {template.problem} "
            f"knows {', '.join(meanings)}"
        )
    return tuple(
        OutputSpec(name=name, shape=(-1, *shape[1:]), meaning=meaning, unit=unit)
        for name, shape in shapes.items()
        for meaning, unit in [meanings[name]]
    )


def _points(
    template: Template, *, height: int, width: int
) -> tuple[tuple[float, float], ...] | None:
    """Positions of the five landmarks in aligned faces, from the template's eye positions."""
    if template.input.eyes is None:
        return None
    left, right, level = template.input.eyes
    (first_x, first_y), (second_x, second_y) = ARCFACE_POINTS[:2]
    scale = (right - left) * width / (second_x - first_x)
    return tuple(
        (
            round(left * width + (x - first_x) * scale, 3),
            round(level * height + (y - (first_y + second_y) / 2) * scale, 3),
        )
        for x, y in ARCFACE_POINTS
    )
