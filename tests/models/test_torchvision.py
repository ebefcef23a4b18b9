"""With the same weights, our networks find the boxes of torchvision's.

`torchvision_answers.json` is what torchvision 0.14 found: see tools/two_stage_oracle.py.
"""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import torch

from pocketface.errors import ModelFileError
from pocketface.models.weights import read_weights
from pocketface.tasks.templates import open_template

ORACLE = runpy.run_path(str(Path(__file__).parents[2] / "tools" / "two_stage_oracle.py"))
ANSWERS = json.loads(Path(__file__).with_name("torchvision_answers.json").read_text())


@pytest.mark.parametrize("name", list(ANSWERS))
def test_boxes_and_scores_are_torchvisions(name: str, tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    weights = tmp_path / "torchvision.pth"
    ORACLE["write_weights"](weights, ANSWERS[name]["shapes"])
    pictures = ORACLE["crops"]()[name]
    for expected, found in zip(
        ANSWERS[name]["found"], ORACLE["ours"](weights, name, pictures), strict=True
    ):
        assert len(expected["boxes"]) == ORACLE["LIMITS"][name]
        assert max(expected["scores"]) - min(expected["scores"]) > 0.03
        corners, scores, alone = ORACLE["distance"](expected, found)
        assert corners < 0.05
        assert scores < 1e-4
        assert alone == 0


def test_a_template_that_computes_otherwise_is_refused(tmp_path: Path) -> None:
    weights = tmp_path / "torchvision.pth"
    torch.save({"rpn.head.conv.0.0.bias": torch.zeros(256)}, weights)
    with pytest.raises(
        ModelFileError, match=r"of torchvision have architecture.colour RGB \(found"
    ):
        read_weights(weights, template=open_template("faster-rcnn-r50-fpn"))
