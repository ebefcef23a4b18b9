"""The task's part of a classifier's template and contract."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Any, Literal

from pydantic import Field

from ...model_templates.contract import Contract
from ...model_templates.heads import ClassesHeadSpec
from ...model_templates.schema import Template
from ...model_templates.spec import Fraction, Spec
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

OUTPUTS = {"probabilities": ("of each label", "0 to 1, 1 in all")}

SETTLED = ()

TRAINED = ("labels",)

LABELS = 2

Endpoint = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


class AugmentationSpec(Spec):
    """How a training sample is made from a photo.

    Args:
        crop: `face`: one aligned face with rotation, zoom and shift, degraded in many ways, more
            strongly as training goes on.
        flip: Probability of a horizontal flip.
        photometric: Whether the picture is degraded.
    """

    crop: Literal["face"]
    flip: Fraction = 0.5
    photometric: bool = True


class InferenceSpec(Spec):
    """Defaults of inference.

    Args:
        score_threshold: Lowest score, 0 to 1, at which the last label is given; can be changed at
            run time.
        endpoint: Name of the HTTP service's endpoint; by default the template's name.
    """

    score_threshold: Fraction
    endpoint: Endpoint | None = None


class ClassificationRules(Spec):
    """The contract's rules for a classifier: how probabilities become a label.

    Attributes:
        labels: Names of the labels, in the order of the probabilities; the positive one last.
        score_threshold: Lowest score, 0 to 1, at which the last label is given.
        endpoint: Name of the HTTP service's endpoint.
    """

    labels: Annotated[tuple[str, ...], Field(min_length=LABELS)]
    score_threshold: Fraction
    endpoint: Endpoint


def classification_rules(contract: Contract) -> ClassificationRules:
    """The rules of a classifier's contract."""
    return rules_in(ClassificationRules, contract.rules)


def augmentation_of(template: Template) -> AugmentationSpec:
    """The augmentation of a checked template."""
    return augmentation_in(AugmentationSpec, template)


def check_template(template: Template, *, source: str) -> None:
    """See `tasks.parts.Rules`."""
    check_classes(template, LABELS, source=source)
    refuse_unless(template.input.resize == "align", "input.resize", template, source=source)
    inference_in(InferenceSpec, template, source=source)
    augmentation_in(AugmentationSpec, template, source=source)
    check_head(template, ClassesHeadSpec, source=source)


def rules_of(template: Template) -> dict[str, Any]:
    """See `tasks.parts.Rules`."""
    inference = inference_in(InferenceSpec, template)
    rules = ClassificationRules(
        labels=tuple(template.dataset.classes),
        score_threshold=inference.score_threshold,
        endpoint=inference.endpoint or template.name,
    )
    return rules.model_dump(mode="json")


def decides(template: Template) -> Hashable:
    """See `tasks.parts.Rules`."""
    return inference_in(InferenceSpec, template).score_threshold


def check_contract(contract: Contract) -> str | None:
    """See `tasks.parts.Rules`."""
    if why := why_no_rules(ClassificationRules, contract):
        return why
    spec, labels = contract.input, classification_rules(contract).labels
    shapes = {output.name: output.shape for output in contract.outputs}
    if shapes != {"probabilities": (spec.batch, len(labels))}:
        return f"outputs {shapes}: expected probabilities ({spec.batch}, {len(labels)})"
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


def choice(contract: Contract) -> Choice | None:
    """See `tasks.parts.Rules`."""
    return Choice("probabilities", classification_rules(contract).labels)


def grey(_: Contract) -> Grey | None:
    """See `tasks.parts.Rules`."""
    return None
