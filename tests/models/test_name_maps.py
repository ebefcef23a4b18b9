"""Nothing of a network that no tensor tells is taken from a template unchecked."""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from pocketface.model_templates.architecture import ArchitectureSpec
from pocketface.models.anchors import cell_corners
from pocketface.models.name_map import map_of, unmet
from pocketface.models.network import blank_network
from pocketface.tasks.templates import open_template

ORACLE = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "two_stage_oracle.py"))

SIGNS = {
    "fasterrcnn_resnet50_fpn": "rpn.head.x",
    "retinanet_resnet50_fpn": "head.classification_head.x",
    "faster-rcnn-r50-fpn": "proposal_generator.rpn_head.x",
    "retinanet-r101-fpn": "head.cls_subnet.x",
}

FREE = {
    "backbone.norm",  # they differ in training alone
    "backbone.frozen_stages",
    "head.rpn.pre_nms_topk",  # for speed, as thresholds are
    "head.rpn.post_nms_topk",
    "head.rpn.nms_threshold",
}
NOT_IN_DETECTRON2S_FILES = {
    "colour",
    "mean",
    "std",
    "backbone.stride_in",
    "head.anchors.sizes",
    "head.anchors.aspect_ratios",
    "head.rpn.anchors.sizes",
    "head.rpn.anchors.aspect_ratios",
}
"""docs/guide/migrate.md names them."""

CHOICES = {
    "colour": ["BGR", "RGB"],
    "stride_in": ["1x1", "3x3"],
    "norm": ["frozen", "batch"],
    "extra": ["p5_relu", "p5", "c5", "max_pool"],
}


def architecture_of(name: str) -> ArchitectureSpec:
    of = open_template if name in ("faster-rcnn-r50-fpn", "retinanet-r101-fpn") else None
    template = of(name) if of else ORACLE["template_of"](name)
    architecture: ArchitectureSpec = template.spec.architecture
    return architecture


def leaves(part: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in part.items():
        if key == "loss":
            continue
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        elif key != "type":
            yield prefix + key, value


def others(key: str, value: Any) -> list[Any]:
    """Other values that a key may have."""
    last = key.rpartition(".")[2]
    if last in CHOICES:
        return [one for one in CHOICES[last] if one != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, (int, float)):
        return [value + 1, value / 2 if isinstance(value, float) else max(value - 1, 0)]
    if isinstance(value, (list, tuple)) and value:
        return [[*others(key, value[0])[:1], *value[1:]], [*reversed(value)], [*value[:-1]]]
    return []


def changed(architecture: ArchitectureSpec, key: str, value: Any) -> ArchitectureSpec | None:
    content = architecture.model_dump(mode="json")
    part = content
    *steps, last = key.split(".")
    for step in steps:
        part = part[step]
    part[last] = value
    try:
        return ArchitectureSpec.model_validate_json(json.dumps(content))
    except ValidationError:
        return None


def shapes(architecture: ArchitectureSpec) -> dict[str, Any]:
    with torch.device("meta"):
        return {n: one.shape for n, one in blank_network(architecture).state_dict().items()}


@pytest.mark.parametrize("name", SIGNS)
def test_each_key_is_told_by_tensors_or_checked(name: str) -> None:
    architecture = architecture_of(name)
    name_map = map_of([SIGNS[name]])
    assert name_map is not None
    assert unmet(name_map, architecture, {}) == []
    free = FREE | (NOT_IN_DETECTRON2S_FILES if name_map.kind == "Detectron2" else set())
    own, tried = shapes(architecture), set()
    for key, value in leaves(architecture.model_dump(mode="json")):
        for other in others(key, value):
            spec = changed(architecture, key, other)
            if spec is None or spec == architecture or key in free:
                continue
            tried.add(key)
            problems = unmet(name_map, spec, {})
            told = any(problem.startswith(f"architecture.{key} ") for problem in problems)
            assert told or shapes(spec) != own, (key, other)
    assert {f"{key}.offset" for key in ("head.anchors", "head.rpn.anchors")} & tried
    assert {"head.variances", "head.roi.variances"} & tried


def cells(architecture: ArchitectureSpec) -> dict[str, Tensor]:
    return {
        f"proposal_generator.anchor_generator.cell_anchors.{level}": cell_corners(
            architecture.head.rpn.anchors, level
        )
        for level in range(5)
    }


def test_anchors_in_a_file_of_detectron2_are_compared() -> None:
    architecture = architecture_of("faster-rcnn-r50-fpn")
    name_map = map_of(["proposal_generator.rpn_head.x"])
    assert name_map is not None
    found = cells(architecture)
    # Of detectron2.modeling.anchor_generator.DefaultAnchorGenerator for a size of 32.
    expected = [[-22.627, -11.314, 22.627, 11.314], [-16, -16, 16, 16]]
    first = found["proposal_generator.anchor_generator.cell_anchors.0"]
    torch.testing.assert_close(first[:2], torch.tensor(expected), rtol=0, atol=1e-3)
    assert unmet(name_map, architecture, found) == []
    halves = [[size / 2 for size in sizes] for sizes in architecture.head.rpn.anchors.sizes]
    for key, other in (("sizes", halves), ("aspect_ratios", [2.0, 1.0, 0.5])):
        spec = changed(architecture, f"head.rpn.anchors.{key}", other)
        assert spec is not None
        problems = unmet(name_map, spec, found)
        assert len(problems) == 5
        assert problems[0].startswith(
            "architecture.head.rpn.anchors of 45.3 x 22.6, 32.0 x 32.0, 22.6 x 45.3 (3) on level 0"
        )
    odd = {name.replace(".4", ".7"): one for name, one in found.items()}
    assert "(found " in unmet(name_map, architecture, odd)[0]
    short = {name: one[0] for name, one in found.items()}
    assert "of shape (4,) on level 0" in unmet(name_map, architecture, short)[0]
