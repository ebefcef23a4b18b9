"""What a dense head's raw predictions mean, worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import torch

from pocketface.model_templates.dense_heads import DenseHeadSpec
from pocketface.models.dense_head import DenseHead, DensePredictions, grid_points


def two_cells() -> DensePredictions:
    """Side by side, of stride 8."""
    return DensePredictions(
        class_logits=torch.logit(torch.tensor([[0.81, 0.25]])),
        distances=torch.tensor([[[0.5, 0.25, 1.0, 2.0], [1.0, 1.0, 1.0, 1.0]]]),
        centerness_logits=None,
        landmarks=torch.arange(20.0).reshape(1, 2, 10) / 10,
        points=grid_points(1, 2, 8, device=torch.device("cpu")),
        strides=torch.full((2,), 8.0),
        level_sizes=(2,),
    )


def test_a_score_is_the_probability_of_a_face() -> None:
    torch.testing.assert_close(two_cells().scores(), torch.tensor([[0.81, 0.25]]))


def test_with_centre_ness_a_score_is_the_geometric_mean() -> None:
    centred = torch.logit(torch.tensor([[0.49, 0.64]]))
    scores = replace(two_cells(), centerness_logits=centred).scores()
    torch.testing.assert_close(scores, torch.tensor([[0.9 * 0.7, 0.5 * 0.8]]))


def test_boxes_reach_from_the_middle_of_their_cell() -> None:
    boxes = two_cells().boxes()
    torch.testing.assert_close(
        boxes, torch.tensor([[[0.0, 2.0, 12.0, 20.0], [4.0, -4.0, 20.0, 12.0]]])
    )


def test_landmarks_are_offsets_in_strides() -> None:
    points = two_cells().landmark_points()
    assert points is not None
    torch.testing.assert_close(points[0, 0, 0], torch.tensor([4.0, 4.8]))
    torch.testing.assert_close(points[0, 1, 4], torch.tensor([12 + 1.8 * 8, 4 + 1.9 * 8]))
    assert replace(two_cells(), landmarks=None).landmark_points() is None


def test_a_shared_head_has_a_factor_for_each_level() -> None:
    """FCOS, section 3.2: one set of weights finds boxes of other sizes on each level."""
    spec = DenseHeadSpec.model_validate(
        {
            **{"type": "dense", "strides": [8, 16], "channels": 8, "tower": 1, "shared": True},
            "norm": "none",
            "loss": {"assigner": "center_sampling", "classification": "focal", "box": "iou"},
        }
    )
    head = DenseHead(spec, [4, 4])
    assert head.scales is not None
    with torch.no_grad():
        head.scales.copy_(torch.tensor([1.0, 3.0]))
        alike = torch.rand(1, 4, 2, 2)
        fine, coarse = head([alike, alike]).distances.split(4, dim=1)
    torch.testing.assert_close(coarse, 3 * fine)
