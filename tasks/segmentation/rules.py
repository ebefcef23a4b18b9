"""The task's part of a segmenter's template and contract."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from ...errors import TemplateError
from ...model_templates.contract import Contract
from ...model_templates.heads import MaskHeadSpec
from ...model_templates.schema import BACKGROUND, Template
from ...model_templates.spec import Fraction, PositiveFloat, PositiveInt, Spec
from ..jitter_spec import JitterSpec
from ..parts import Choice, Grey, Suppression
from ..rules import (
    augmentation_in,
    check_classes,
    check_head,
    inference_in,
    refuse_unless,
    rules_in,
    why_no_rules,
    why_not_aligned,
)

OUTPUTS = {"mask": ("of each class, for each pixel of the input", "0 to 1; several add up to 1")}

SETTLED = ()

TRAINED = ("classes",)

PICTURE = "mask_image"
"""Name of the grey picture that some files give too; see `tasks.parts.Grey`."""


def _rises(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError(f"found [{ends[0]:g}, {ends[1]:g}]: expected the smaller first")
    return ends


_RISES = AfterValidator(_rises)


class DropoutSpec(Spec):
    """Rectangles of one colour or of noise (CoarseDropout; DeVries & Taylor 2017).

    What they cover is of no class.

    Args:
        chance: How often.
        holes: Most rectangles in one picture.
        height: Least and greatest height, as a share of the picture's.
        width: The same for the width.
    """

    chance: Fraction
    holes: PositiveInt = 1
    height: Annotated[tuple[Fraction, Fraction], _RISES]
    width: Annotated[tuple[Fraction, Fraction], _RISES]


class AugmentationSpec(Spec):
    """How a training sample is made from a head.

    Args:
        crop: `head`: one aligned head.
        flip: Probability of a horizontal flip.
        rotate: Greatest rotation either way, in degrees.
        scale: Least and greatest zoom.
        shift: Greatest shift along each axis, as a share of the input.
        jitter: Light and colour; none by default.
        dropout: Rectangles; none by default.
        objects: How often a blob cut from another training picture covers a part, as a hand or a
            thing does. What it covers is of no class.
        cloth: How often a medical mask is drawn over nose, mouth and chin; it is of no class.
        quality: Whether blur, noise, low resolution and JPEG degrade the picture.
        tagged: How often a head with tags comes in one pass; those are rare kinds.
    """

    crop: Literal["head"]
    flip: Fraction = 0.5
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    scale: Annotated[tuple[PositiveFloat, PositiveFloat], _RISES] = (1.0, 1.0)
    shift: Fraction = 0.0
    jitter: JitterSpec | None = None
    dropout: DropoutSpec | None = None
    objects: Fraction = 0.0
    cloth: Fraction = 0.0
    quality: bool = False
    tagged: PositiveInt = 1


class InferenceSpec(Spec):
    """Defaults of inference.

    Args:
        threshold: Lowest probability at which a pixel is of the only class. With several classes
            the most probable one counts.
    """

    threshold: Fraction = 0.5


class SegmentationRules(Spec):
    """The contract's rules for a segmenter: how probabilities become a mask.

    Attributes:
        classes: Names of the planes of `mask`, in order; the first of several is `BACKGROUND`.
        threshold: Lowest probability at which a pixel is of the only class.
    """

    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    threshold: Fraction


def segmentation_rules(contract: Contract) -> SegmentationRules:
    """The rules of a segmenter's contract."""
    return rules_in(SegmentationRules, contract.rules)


def augmentation_of(template: Template) -> AugmentationSpec:
    """The augmentation of a checked template."""
    return augmentation_in(AugmentationSpec, template)


def check_template(template: Template, *, source: str) -> None:
    """See `tasks.parts.Rules`."""
    classes = template.dataset.classes
    check_classes(template, len(classes), source=source)
    if (len(classes) > 1) != (classes[0] == BACKGROUND):
        raise TemplateError(
            f"{source}: dataset.classes is {classes}: expected one class, or several of which the "
            f"first is {BACKGROUND!r}"
        )
    refuse_unless(template.input.resize == "align", "input.resize", template, source=source)
    inference_in(InferenceSpec, template, source=source)
    augmentation_in(AugmentationSpec, template, source=source)
    check_head(template, MaskHeadSpec, source=source)


def rules_of(template: Template) -> dict[str, Any]:
    """See `tasks.parts.Rules`."""
    rules = SegmentationRules(
        classes=tuple(template.dataset.classes),
        threshold=inference_in(InferenceSpec, template).threshold,
    )
    return rules.model_dump(mode="json")


def decides(template: Template) -> Hashable:
    """See `tasks.parts.Rules`."""
    return inference_in(InferenceSpec, template).threshold


def check_contract(contract: Contract) -> str | None:
    """See `tasks.parts.Rules`."""
    if why := why_no_rules(SegmentationRules, contract):
        return why
    spec, classes = contract.input, segmentation_rules(contract).classes
    expected = (spec.batch, len(classes), spec.height, spec.width)
    shapes = {output.name: output.shape for output in contract.outputs}
    picture = {PICTURE: (spec.batch, 1, spec.height, spec.width)}
    if shapes not in ({"mask": expected}, {"mask": expected, **picture}):
        return f"outputs {shapes}: expected mask {expected}"
    return why_not_aligned(contract)


def of_network(contract: Contract) -> dict[str, Any]:
    """See `tasks.parts.Rules`."""
    return dict(contract.rules)


def is_final(_: Contract) -> bool:
    """See `tasks.parts.Rules`."""
    return False


def suppression(_: Contract) -> Suppression | None:
    """See `tasks.parts.Rules`."""
    return None


def choice(_: Contract) -> Choice | None:
    """See `tasks.parts.Rules`: a class of each pixel is no label of the picture."""
    return None


def grey(contract: Contract) -> Grey | None:
    """See `tasks.parts.Rules`."""
    classes = segmentation_rules(contract).classes
    if len(classes) == 1:
        return Grey("mask", PICTURE, "the probability of each pixel as grey", "0 to 255")
    return Grey("mask", PICTURE, "the most probable class of each pixel", "index")
