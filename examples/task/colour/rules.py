"""What the template and the contract of a colour model may say."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Literal

from ...model_templates.contract import Contract
from ...model_templates.schema import Template
from ...model_templates.spec import Fraction, Spec
from ..parts import Choice, Suppression
from ..rules import augmentation_in, check_classes, inference_in, refuse_unless, why_no_rules

OUTPUTS = {"probabilities": ("share of each colour", "0 to 1, 1 in all")}

SETTLED = ()

TRAINED = ("colours",)

COLOURS = ("blue", "green", "red")


class AugmentationSpec(Spec):
    """How a training sample is made of a photo.

    Args:
        crop: `face`: one aligned face.
        flip: The probability of a horizontal flip.
    """

    crop: Literal["face"]
    flip: Fraction = 0.5


class InferenceSpec(Spec):
    """Defaults of inference: there are none."""


class ColourRules(Spec):
    """The contract's own part of the task.

    Attributes:
        colours: The names of the shares, in the order of the output.
    """

    colours: tuple[str, str, str]


def augmentation_of(template: Template) -> AugmentationSpec:
    """The augmentation of a template that was checked."""
    return augmentation_in(AugmentationSpec, template)


def check_template(template: Template, *, source: str) -> None:
    """See `tasks.parts.Rules`."""
    check_classes(template, len(COLOURS), source=source)
    refuse_unless(template.input.resize == "align", "input.resize", template, source=source)
    head = template.architecture.head
    fits = head.type == "classes" and head.classes == len(COLOURS)
    refuse_unless(fits, "architecture.head", template, source=source)
    inference_in(InferenceSpec, template, source=source)
    augmentation_in(AugmentationSpec, template, source=source)


def rules_of(template: Template) -> dict[str, Any]:
    """See `tasks.parts.Rules`."""
    blue, green, red = template.dataset.classes
    return ColourRules(colours=(blue, green, red)).model_dump(mode="json")


def decides(_: Template) -> Hashable:
    """See `tasks.parts.Rules`: nothing."""
    return None


def check_contract(contract: Contract) -> str | None:
    """See `tasks.parts.Rules`."""
    if why := why_no_rules(ColourRules, contract):
        return why
    shapes = {output.name: output.shape for output in contract.outputs}
    if shapes != {"probabilities": (contract.input.batch, len(COLOURS))}:
        return f"outputs {shapes}: expected probabilities ({contract.input.batch}, {len(COLOURS)})"
    return None


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
    """See `tasks.parts.Rules`: a share is no label."""
    return None
