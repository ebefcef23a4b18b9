"""The contract of a network, from its template."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from .. import __version__
from ..errors import UserError
from ..model_templates.contract import (
    Contract,
    InputSpec,
    Metric,
    OutputSpec,
    Precision,
    Provenance,
    Task,
)
from ..model_templates.schema import Template
from .network import make_network

if TYPE_CHECKING:
    from .weights import Weights

MAX_PIXELS = 64_000_000
"""Of an input: no photo that is read is larger."""

OUTPUTS: dict[Task, dict[str, tuple[str, str]]] = {
    "face-detection": {
        "boxes": ("x1, y1, x2, y2 of a face", "network-input pixels"),
        "scores": ("how surely it is a face", "0 to 1"),
        "landmarks": (
            "x, y of left eye (as seen), right eye, nose, left and right mouth corner",
            "network-input pixels",
        ),
    },
    "glasses-classification": {"probabilities": ("of each label", "0 to 1, 1 in all")},
}
"""Meaning and unit of what a network's `forward` returns, in its order."""

_FRONT = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)
"""Landmarks of a face seen from the front, as ArcFace aligns it to 112 x 112 (Deng et al. 2019)."""


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
    """What a file made from this template says about itself.

    Args:
        template: Describes network and input.
        weights: Where the tensors come from; None for a network never trained. They fill
            provenance, and metrics if those were measured on this input with this NMS (of a
            classifier: at this threshold).
        height: Input height in pixels instead of the template's, a multiple of its `multiple_of`.
        width: Input width, likewise.
        precision: Of the file's weights.
        data: Training data in words; taken from `weights` where given.
        seed: Of the training run; taken from `weights` where given.
        metrics: Measured figures; taken from `weights` where given.

    Raises:
        UserError: See `input_size`.
    """
    height, width = input_size(template, height=height, width=width)
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
        if _protocol(template, height, width) != _protocol(weights.template):
            metrics = ()
    return Contract(
        name=template.name,
        task=template.problem,
        input=InputSpec(
            shape=(-1, 3, height, width),
            resize=template.input.resize,
            points=_points(template, height=height, width=width),
        ),
        outputs=_outputs(template, height=height, width=width),
        labels=tuple(template.dataset.classes),
        score_threshold=template.inference.score_threshold,
        nms_iou=template.inference.nms_iou or 1.0,
        precision=precision,
        provenance=Provenance(
            template=template.name,
            package_version=__version__,
            checkpoint_sha256=checkpoint,
            data=data,
            seed=seed,
        ),
        metrics=metrics,
    )


def input_size(
    template: Template, *, height: int | None = None, width: int | None = None
) -> tuple[int, int]:
    """Height and width of the network input, the template's unless overridden.

    Raises:
        UserError: The template does not allow this size, or it has more than `MAX_PIXELS`.
    """
    default = template.input
    size = (default.height if height is None else height, default.width if width is None else width)
    if size == (default.height, default.width):
        return size
    asked = f"--input-size {size[0]}x{size[1]} (height x width)"
    step = default.multiple_of
    if step is None:
        raise UserError(
            f"{asked}: template {template.name} has a fixed input of "
            f"{default.height}x{default.width}"
        )
    if any(side < step or side % step for side in size):
        raise UserError(f"{asked}: template {template.name} takes positive multiples of {step}")
    if size[0] * size[1] > MAX_PIXELS:
        raise UserError(f"{asked}: above the limit of {MAX_PIXELS:,} pixels")
    try:
        template.architecture.check_room(*size)
    except ValueError as error:
        raise UserError(f"{asked}: {error}") from error
    return size


def _protocol(
    template: Template, height: int | None = None, width: int | None = None
) -> tuple[object, ...]:
    """What figures depend on beside the weights."""
    spec, inference = template.input, template.inference
    return (
        height or spec.height,
        width or spec.width,
        spec.resize,
        inference.nms_iou,
        # AP counts boxes below the threshold too.
        None if template.problem == "face-detection" else inference.score_threshold,
    )


def _outputs(template: Template, *, height: int, width: int) -> tuple[OutputSpec, ...]:
    with torch.device("meta"), torch.no_grad():
        # eval(): batch statistics of a single image may be undefined.
        tensors = make_network(template.architecture).eval()(torch.empty(1, 3, height, width))
    return tuple(
        OutputSpec(name=name, shape=(-1, *tensor.shape[1:]), meaning=meaning, unit=unit)
        for (name, (meaning, unit)), tensor in zip(
            OUTPUTS[template.problem].items(), tensors, strict=False
        )
    )


def _points(
    template: Template, *, height: int, width: int
) -> tuple[tuple[float, float], ...] | None:
    """Where a classifier wants the five landmarks, from where it wants the eyes."""
    if template.input.eyes is None:
        return None
    left, right, level = template.input.eyes
    (first_x, first_y), (second_x, second_y) = _FRONT[:2]
    scale = (right - left) * width / (second_x - first_x)
    return tuple(
        (
            round(left * width + (x - first_x) * scale, 3),
            round(level * height + (y - (first_y + second_y) / 2) * scale, 3),
        )
        for x, y in _FRONT
    )
