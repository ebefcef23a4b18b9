"""Which boxes of a first stage the second one looks at, by hand."""

from __future__ import annotations

import pytest
import torch

from pocketface.model_templates.anchor_heads import ProposalsSpec
from pocketface.models.proposals import at, best_proposals, best_scores, unhidden

BOXES = torch.tensor(
    [[
        [0.0, 0.0, 10.0, 10.0],
        [0.0, 0.0, 10.0, 9.0],  # hidden by the first
        [20.0, 0.0, 20.0, 10.0],  # without width
        [20.0, 0.0, 30.0, 10.0],
    ]]
)  # fmt: skip
SCORES = torch.tensor([[4.0, 3.0, 2.0, -5.0]])


def test_boxes_that_are_hidden_or_have_a_side_of_none_are_dropped() -> None:
    boxes, kept = unhidden(BOXES, SCORES, ProposalsSpec(), training=False)
    assert kept.tolist() == [[True, False, False, True]]
    assert boxes[0, 2].tolist() == [0.0] * 4
    assert torch.equal(boxes[0, [0, 1, 3]], BOXES[0, [0, 1, 3]])


@pytest.mark.parametrize(("min_score", "kept"), [(0.006, True), (0.007, False)])
def test_boxes_of_low_scores_are_dropped(min_score: float, kept: bool) -> None:
    """The last one's is 1 / (1 + e^5), 0.0067."""
    spec = ProposalsSpec(min_score=min_score)
    _, found = unhidden(BOXES, SCORES, spec, training=False)
    assert found.tolist() == [[True, False, False, kept]]
    assert unhidden(BOXES, SCORES, spec, training=True)[1][0, 3]


def test_the_best_of_those_kept_come_first_and_the_rest_has_no_area() -> None:
    kept = torch.tensor([[True, False, False, True]])
    proposals, places = best_proposals(BOXES, SCORES, kept, 3)
    assert proposals.valid.tolist() == [[True, True, False]]
    assert proposals.boxes[0].tolist() == [BOXES[0, 0].tolist(), BOXES[0, 3].tolist(), [0.0] * 4]
    assert places[0, :2].tolist() == [0, 3]


def test_of_fewer_boxes_than_asked_for_those_of_low_scores_come_before_what_fills_up() -> None:
    scores, places = best_scores(SCORES, 6)
    assert scores[0, :4].tolist() == [4.0, 3.0, 2.0, -5.0]
    assert places[0, :4].tolist() == [0, 1, 2, 3]
    assert (scores[0, 4:] < -100).all()
    found = at(BOXES, places)
    assert torch.equal(found[0, :4], BOXES[0])
    assert not found[0, 4:].any()
