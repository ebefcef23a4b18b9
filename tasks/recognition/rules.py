"""The task's part of a recogniser's template and contract."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ...errors import TemplateError
from ...model_templates.contract import Contract
from ...model_templates.embedding_head import EmbeddingHeadSpec
from ...model_templates.schema import Template
from ...model_templates.spec import Fraction, PositiveFloat, Spec
from ..jitter_spec import JitterSpec
from ..parts import Choice, Grey, Suppression
from ..rules import (
    augmentation_in,
    check_classes,
    inference_in,
    refuse_unless,
    rules_in,
    why_no_rules,
    why_not_aligned,
)

OUTPUTS = {"embedding": ("of the face, to compare by cosine", "unit length")}

Cosine = Annotated[float, Field(ge=-1, le=1)]


class AugmentationSpec(Spec):
    """How a training sample is made from a photo.

    Args:
        crop: `face`: one aligned face.
        flip: Probability of a horizontal flip.
        rotate: Greatest rotation either way, in degrees.
        scale: Greatest change of size either way, as a share.
        shift: Greatest shift along each axis, as a share of the input.
        jitter: Light and colour; none by default.
        grey: How often the picture loses its colours.
        quality: How often, and how strongly, blur, noise, low resolution and JPEG degrade it.
        glasses: How often glasses are drawn before the eyes.
        mask: How often a medical mask is drawn over nose, mouth and chin.
        ends: How often the photo ends inside the sample, which is black beyond as in `align_face`.
    """

    crop: Literal["face"]
    flip: Fraction = 0.5
    rotate: Annotated[float, Field(ge=0, le=180)] = 0.0
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.0
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    jitter: JitterSpec | None = None
    grey: Fraction = 0.0
    quality: Fraction = 0.0
    glasses: Fraction = 0.0
    mask: Fraction = 0.0
    ends: Fraction = 0.0


class OperatingPoint(Spec):
    """From which cosine on two faces count as one person's, and how often that is wrong.

    Attributes:
        fmr: Share of pairs of two people that reach the cosine (false match rate, ISO 19795-1).
        cosine: The cosine.
    """

    fmr: Annotated[float, Field(gt=0, lt=1)]
    cosine: Cosine


class Calibration(Spec):
    """A logistic curve from cosine to probability, if both answers are as likely beforehand.

    Attributes:
        slope: Factor of the cosine.
        offset: What is added to the product.
    """

    slope: PositiveFloat
    offset: float


class RecognitionRules(Spec):
    """The contract's rules for a recogniser: what cosines mean.

    Attributes:
        thresholds: Cosines, and the share of pairs of two people that reach them; the most
            frequent first. Empty if they were never measured.
        calibration: From cosine to probability; None likewise.
        measured_on: The photos that both were measured on, in words.
    """

    thresholds: tuple[OperatingPoint, ...] = ()
    calibration: Calibration | None = None
    measured_on: str | None = None

    @model_validator(mode="after")
    def _rises(self) -> RecognitionRules:
        rates = [point.fmr for point in self.thresholds]
        cosines = [point.cosine for point in self.thresholds]
        if rates != sorted(set(rates), reverse=True) or cosines != sorted(cosines):
            raise ValueError("thresholds: expected falling fmr and rising cosine")
        return self


class InferenceSpec(RecognitionRules):
    """Defaults of inference: what was measured of the weights; see `RecognitionRules`."""


SETTLED = tuple(RecognitionRules.model_fields)
"""Keys of `inference` that hold for the weights they were measured with alone."""

TRAINED = SETTLED


def recognition_rules(contract: Contract) -> RecognitionRules:
    """The rules of a recogniser's contract."""
    return rules_in(RecognitionRules, contract.rules)


def augmentation_of(template: Template) -> AugmentationSpec:
    """The augmentation of a checked template."""
    return augmentation_in(AugmentationSpec, template)


def head_of(template: Template) -> EmbeddingHeadSpec:
    """The head of a checked template."""
    head = template.architecture.head
    assert isinstance(head, EmbeddingHeadSpec)
    return head


def check_template(template: Template, *, source: str) -> None:
    """See `tasks.parts.Rules`."""
    check_classes(template, 1, source=source)
    refuse_unless(template.input.resize == "align", "input.resize", template, source=source)
    inference_in(InferenceSpec, template, source=source)
    augmentation_in(AugmentationSpec, template, source=source)
    head, spec = template.architecture.head, template.input
    if not isinstance(head, EmbeddingHeadSpec):
        refuse_unless(False, "architecture.head.type", template, source=source)
        return
    if head.kernel is None:
        return
    if spec.multiple_of is not None:
        raise TemplateError(
            f"{source}: input.multiple_of does not go with architecture.head.kernel, which is for "
            "one size"
        )
    stride = list(template.architecture.backbone.strides)[-1]
    for name, side in (("height", spec.height), ("width", spec.width)):
        if side != head.kernel * stride:
            raise TemplateError(
                f"{source}: architecture.head.kernel is {head.kernel}, but input.{name} {side} "
                f"makes a map of {side / stride:g} cells: expected as many"
            )


def rules_of(template: Template) -> dict[str, Any]:
    """See `tasks.parts.Rules`."""
    found = inference_in(InferenceSpec, template)
    return RecognitionRules(**dict(found)).model_dump(mode="json")


def decides(_: Template) -> Hashable:
    """See `tasks.parts.Rules`; figures are of all thresholds."""
    return None


def check_contract(contract: Contract) -> str | None:
    """See `tasks.parts.Rules`."""
    if why := why_no_rules(RecognitionRules, contract):
        return why
    shapes = {output.name: output.shape for output in contract.outputs}
    (shape, *_) = [*shapes.values(), ()]
    if shapes.keys() != {"embedding"} or len(shape) != 2 or shape[0] != contract.input.batch:
        return f"outputs {shapes}: expected embedding ({contract.input.batch}, components)"
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
    """See `tasks.parts.Rules`."""
    return None


def grey(_: Contract) -> Grey | None:
    """See `tasks.parts.Rules`."""
    return None
