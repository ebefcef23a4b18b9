"""The templates with their sizes, counted from the built network and as published."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..model_templates.architecture import ArchitectureSpec
from ..model_templates.catalogue import template_names, template_path
from ..model_templates.schema import PublishedSpec, Template
from ..tasks.templates import open_template

VGA = (480, 640)
"""Height and width at which operations are also counted where the input size is free."""


@dataclass(frozen=True)
class Size:
    """Counts at one input size; `gflops` is 2 x MAC of convolutions, `gmac` half of it."""

    height: int
    width: int
    mparams: float
    gflops: float

    @property
    def gmac(self) -> float:
        """Multiply-accumulates, in billions."""
        return self.gflops / 2


@dataclass(frozen=True)
class TemplateRow:
    """One template.

    Attributes:
        template: The template.
        network: Short names of backbone, neck and head.
        weights_bytes: Size of the shipped weights in bytes; None if none ship.
        sizes: Counts at the template's own input, then at VGA if its input size is free; empty
            if torch is not installed.
    """

    template: Template
    network: str
    weights_bytes: int | None
    sizes: tuple[Size, ...]

    def difference(self) -> tuple[float, float] | None:
        """Difference of counted and published parameters and GFLOPs, as shares of the published."""
        published: PublishedSpec | None = self.template.published
        if published is None or not self.sizes:
            return None
        own = self.sizes[0]
        return own.mparams / published.mparams - 1, own.gflops / published.gflops - 1


def template_rows() -> list[TemplateRow]:
    """All templates of the catalogue, by name."""
    return [_row(template_path(name)) for name in template_names()]


def _row(path: Path) -> TemplateRow:
    template = open_template(path).spec
    weights = template.initial_weights
    return TemplateRow(
        template=template,
        network=_network(template.architecture),
        weights_bytes=None if weights is None else weights.size,
        sizes=_sizes(template),
    )


def _sizes(template: Template) -> tuple[Size, ...]:
    try:
        from ..models.count import count
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        return ()
    at = [(template.input.height, template.input.width)]
    if template.input.multiple_of is not None and VGA not in at:
        at.append(VGA)
    sizes = []
    for height, width in at:
        counted = count(template.architecture, height=height, width=width)
        sizes.append(Size(height, width, counted.mparams, counted.gflops))
    return tuple(sizes)


def _network(architecture: ArchitectureSpec) -> str:
    backbone = architecture.backbone
    parts = [f"resnet-{backbone.depth}" if backbone.type == "resnet" else backbone.type]
    if architecture.neck is not None:
        parts.append(f"{architecture.neck.type} {architecture.neck.channels}")
    head = architecture.head
    parts.append(f"dense {head.loss.assigner}" if head.type == "dense" else head.type)
    return " + ".join(parts)
