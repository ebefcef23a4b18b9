"""The templates with their sizes, as counted from the built network and as published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from ..model_templates.architecture import ArchitectureSpec
from ..model_templates.catalogue import COUNTS_FILE, ready_file, template_names
from ..model_templates.schema import PublishedSpec, Template
from ..tasks.templates import open_template


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
        ready_bytes: Size in bytes of its model file that runs without PyTorch; None if it has none.
        sizes: Counts at the template's own input, then at 480x640 if its input size is free; empty
            if `tools/counts.py` was not run since the template was added.
    """

    template: Template
    network: str
    weights_bytes: int | None
    ready_bytes: int | None
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
    stored = json.loads(COUNTS_FILE.read_text(encoding="utf-8"))
    return [_row(name, stored) for name in template_names()]


def _row(name: str, stored: Mapping[str, list[dict[str, float]]]) -> TemplateRow:
    template = open_template(name).spec
    weights, ready = template.initial_weights, ready_file(name)
    return TemplateRow(
        template=template,
        network=_network(template.architecture),
        weights_bytes=None if weights is None else weights.size,
        ready_bytes=None if ready is None else ready.stat().st_size,
        sizes=tuple(
            Size(int(one["height"]), int(one["width"]), one["mparams"], one["gflops"])
            for one in stored.get(name, ())
        ),
    )


def _network(architecture: ArchitectureSpec) -> str:
    backbone = architecture.backbone
    parts = [f"resnet-{backbone.depth}" if backbone.type == "resnet" else backbone.type]
    if architecture.neck is not None:
        parts.append(f"{architecture.neck.type} {architecture.neck.channels}")
    head = architecture.head
    parts.append(f"dense {head.loss.assigner}" if head.type == "dense" else head.type)
    return " + ".join(parts)
