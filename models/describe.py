"""The contract of a network, from its template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

from .. import __version__
from ..errors import UserError
from ..model_templates.contract import (
    Contract,
    InputSpec,
    Metric,
    OutputSpec,
    Provenance,
)
from ..model_templates.schema import Template
from .network import Detector

if TYPE_CHECKING:
    from .weights import Weights

OUTPUTS = {
    "boxes": ("x1, y1, x2, y2 of a face", "network-input pixels"),
    "scores": ("how surely it is a face", "0 to 1"),
    "landmarks": (
        "x, y of left eye (as seen), right eye, nose, left and right mouth corner",
        "network-input pixels",
    ),
}
"""Meaning and unit of what `Detector.forward` returns, in its order."""


def contract_for(
    template: Template,
    *,
    weights: Weights | None = None,
    height: int | None = None,
    width: int | None = None,
    precision: Literal["fp32", "fp16", "int8"] = "fp32",
    data: str | None = None,
    seed: int | None = None,
    metrics: tuple[Metric, ...] = (),
) -> Contract:
    """What a file made from this template says about itself.

    Args:
        template: Describes network and input.
        weights: Where the tensors come from; None for a network never trained. They fill
            provenance and metrics.
        height: Input height in pixels instead of the template's, a multiple of its `multiple_of`.
        width: Input width, likewise.
        precision: Of the file's weights.
        data: Training data in words; taken from `weights` where given.
        seed: Of the training run; taken from `weights` where given.
        metrics: Measured figures; taken from `weights` where given.

    Raises:
        UserError: The template does not allow this input size.
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
    return Contract(
        name=template.name,
        task=template.problem,
        input=InputSpec(shape=(-1, 3, height, width), resize=template.input.resize),
        outputs=_outputs(template, height=height, width=width),
        labels=tuple(template.dataset.classes),
        score_threshold=template.inference.score_threshold,
        nms_iou=template.inference.nms_iou,
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
        UserError: The template does not allow this size.
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
    return size


def _outputs(template: Template, *, height: int, width: int) -> tuple[OutputSpec, ...]:
    with torch.device("meta"), torch.no_grad():
        # eval(): batch statistics of a single image may be undefined.
        tensors = Detector(template.architecture).eval()(torch.empty(1, 3, height, width))
    return tuple(
        OutputSpec(name=name, shape=(-1, *tensor.shape[1:]), meaning=meaning, unit=unit)
        for (name, (meaning, unit)), tensor in zip(OUTPUTS.items(), tensors, strict=False)
    )
