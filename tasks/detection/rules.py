"""The task's part of a detector's template and contract."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Any, Literal

from pydantic import Field

from ...errors import TemplateError
from ...model_templates.contract import Contract
from ...model_templates.schema import Template
from ...model_templates.spec import Fraction, Spec
from ..parts import Choice, Grey, Suppression
from ..rules import (
    augmentation_in,
    check_classes,
    inference_in,
    refuse_unless,
    rules_in,
    why_no_rules,
)
from .augmentation import AugmentationSpec

PIXELS = "network-input pixels"

OUTPUTS = {
    "boxes": ("x1, y1, x2, y2 of a face", PIXELS),
    "scores": ("how surely it is a face", "0 to 1"),
    "landmarks": (
        "x, y of left eye (as seen), right eye, nose, left and right mouth corner",
        PIXELS,
    ),
}

SETTLED = ()

TRAINED = ("labels", "ranked")

MAX_DETECTIONS = 750
"""Most faces in one photo; the usual limit of the WIDER protocol."""

Overlap = Annotated[float, Field(gt=0, le=1)]


class InferenceSpec(Spec):
    """Defaults of post-processing, which can be changed at run time."""

    score_threshold: Fraction
    nms_iou: Overlap


class DetectionRules(Spec):
    """The contract's rules for a detector: how boxes become faces.

    Attributes:
        labels: The name of the only class.
        score_threshold: Lowest score of a face, 0 to 1.
        nms_iou: IoU above which NMS keeps only the better of two boxes, 0 to 1.
        nms: Where score threshold and NMS are applied: by the "runtime", or in the "graph".
        ranked: Whether the network gives its boxes in the order of scores of its own, those of
            proposals; then rounding may swap their places.
    """

    labels: tuple[str, ...]
    score_threshold: Fraction
    nms_iou: Overlap
    nms: Literal["runtime", "graph"] = "runtime"
    ranked: bool = False

    @property
    def least_score(self) -> float:
        """The lowest score of a face that the graph gives, 0 to 1."""
        return self.score_threshold if self.nms == "graph" else 0.0


def detection_rules(contract: Contract) -> DetectionRules:
    """The rules of a detector's contract."""
    return rules_in(DetectionRules, contract.rules)


def augmentation_of(template: Template) -> AugmentationSpec:
    """The augmentation of a checked template."""
    return augmentation_in(AugmentationSpec, template)


def check_template(template: Template, *, source: str) -> None:
    """See `tasks.parts.Rules`."""
    head, side = template.architecture.head, template.input
    check_classes(template, 1, source=source)
    refuse_unless(head.type != "classes", "architecture.head.type", template, source=source)
    refuse_unless(side.resize != "align", "input.resize", template, source=source)
    inference_in(InferenceSpec, template, source=source)
    augmentation = augmentation_in(AugmentationSpec, template, source=source)
    if template.hyper_parameters.distillation is not None:
        if head.type != "dense":
            raise TemplateError(
                f"{source}: hyper_parameters.distillation wants architecture.head.type 'dense' "
                f"(found {head.type!r})"
            )
        if head.centerness:
            raise TemplateError(
                f"{source}: hyper_parameters.distillation wants architecture.head.centerness "
                "false: a score of its own is what is learnt"
            )
    if augmentation.crop == "zoom" and not augmentation.size and side.height != side.width:
        raise TemplateError(
            f"{source}: hyper_parameters.augmentation.size is missing: crop 'zoom' cuts squares, "
            f"and the input is {side.height} high and {side.width} wide"
        )
    smallest = augmentation.size or min(side.height, side.width)
    if augmentation.min_face >= smallest:
        raise TemplateError(
            f"{source}: hyper_parameters.augmentation.min_face is {augmentation.min_face:g}: "
            f"expected less than the sample's side, {smallest}; else every face is ignored"
        )


def rules_of(template: Template) -> dict[str, Any]:
    """See `tasks.parts.Rules`."""
    inference = inference_in(InferenceSpec, template)
    rules = DetectionRules(
        labels=tuple(template.dataset.classes),
        score_threshold=inference.score_threshold,
        nms_iou=inference.nms_iou,
        ranked=template.architecture.head.ranked,
    )
    return rules.model_dump(mode="json", exclude=None if rules.ranked else {"ranked"})


def decides(template: Template) -> Hashable:
    """See `tasks.parts.Rules`; not the score threshold, as AP counts boxes below it too."""
    return inference_in(InferenceSpec, template).nms_iou


_VISION = ("coordinates", "confidence")
_EXPECTED = (
    "expected boxes (B, N, 4), scores (B, N) and, where the model has them, landmarks "
    "(B, N, 5, 2); or, with NMS in the graph, coordinates (N, 4) and confidence (N, 1)"
)


def check_contract(contract: Contract) -> str | None:
    """See `tasks.parts.Rules`."""
    if why := why_no_rules(DetectionRules, contract):
        return why
    batch = contract.input.batch
    shapes = {output.name: output.shape for output in contract.outputs}
    names = ", ".join(sorted(shapes)) or "none"
    count = shapes.get("scores", shapes.get("confidence", ()))[-1:]
    if shapes.keys() == set(_VISION):
        count = shapes["confidence"][:1]
        wanted = {"coordinates": (*count, 4), "confidence": (*count, 1)}
        if not is_final(contract) or batch != 1:
            return f"outputs {names} are of one image with NMS in the graph"
    else:
        wanted = {"boxes": (batch, *count, 4), "scores": (batch, *count)}
        if "landmarks" in shapes:
            wanted["landmarks"] = (batch, *count, 5, 2)
    if shapes.keys() != wanted.keys() or any(
        len(shapes[name]) != len(shape) for name, shape in wanted.items()
    ):
        return f"outputs {names}: {_EXPECTED}"
    for name, shape in shapes.items():
        if shape != wanted[name]:
            return f"output {name} {shape}: expected {wanted[name]}"
    return None


def of_network(contract: Contract) -> dict[str, Any]:
    """See `tasks.parts.Rules`."""
    return {**contract.rules, "nms": "runtime"}


def is_final(contract: Contract) -> bool:
    """See `tasks.parts.Rules`; NMS in the graph gives no box below its threshold."""
    return detection_rules(contract).nms == "graph"


def suppression(contract: Contract) -> Suppression | None:
    """See `tasks.parts.Rules`."""
    rules = detection_rules(contract)
    return Suppression(
        boxes="boxes",
        scores="scores",
        labels=rules.labels,
        iou=rules.nms_iou,
        score=rules.score_threshold,
        most=MAX_DETECTIONS,
        rules={**contract.rules, "nms": "graph"},
    )


def choice(_: Contract) -> Choice | None:
    """See `tasks.parts.Rules`."""
    return None


def grey(_: Contract) -> Grey | None:
    """See `tasks.parts.Rules`."""
    return None
