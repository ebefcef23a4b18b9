"""Matching, encoding and mining of the SSD loss, worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from pocketface.model_templates.heads import AnchorLevelSpec, SSDHeadSpec
from pocketface.models.ssd_head import SSDPredictions, decode, encode, level_anchors
from pocketface.tasks.detection.ssd_loss import hard_negatives, match, ssd_loss
from pocketface.tasks.detection.targets import Targets

from .some_targets import targets

VARIANCES = (0.1, 0.2)
LEVEL = AnchorLevelSpec(stride=16, widths=[16.0, 32.0], heights=[16.0, 32.0])
SPEC = SSDHeadSpec(type="ssd", anchors=[LEVEL])
ANCHORS = level_anchors(LEVEL, 4, 4, device=torch.device("cpu"))  # 64 x 64 px, 32 anchors


def predictions(batch_size: int = 1, *, face_logit: float = -5.0) -> SSDPredictions:
    """Sure that everything is background, boxes as the anchors."""
    logits = torch.zeros(batch_size, len(ANCHORS), 2)
    logits[..., 1] = face_logit
    return SSDPredictions(
        class_logits=logits.requires_grad_(),
        deltas=torch.zeros(batch_size, len(ANCHORS), 4, requires_grad=True),
        anchors=ANCHORS,
        variances=VARIANCES,
    )


def matched(faces: Targets, batch_size: int = 1) -> dict[int, int]:
    got = match(faces, anchors=ANCHORS, batch_size=batch_size, positive_iou=0.4)
    return dict(zip(got.positive.tolist(), got.target.tolist(), strict=True))


def test_encode_by_hand_and_back() -> None:
    anchors = torch.tensor([[10.0, 10.0, 20.0, 20.0]])
    boxes = torch.tensor([[5.0, 0.0, 25.0, 40.0]])
    # Centre (15, 20): 5 / (.1 x 20), 10 / (.1 x 20); size 20 x 40: log 1, log 2 / .2
    got = encode(boxes, anchors, variances=VARIANCES)
    assert got[0].tolist() == pytest.approx([2.5, 5.0, 0.0, math.log(2) / 0.2])
    torch.manual_seed(0)
    corners = torch.rand(32, 2) * 40
    boxes = torch.cat((corners, corners + 1 + torch.rand(32, 2) * 60), dim=1)
    back = decode(encode(boxes, ANCHORS, variances=VARIANCES), ANCHORS, variances=VARIANCES)
    torch.testing.assert_close(back, boxes, rtol=1e-5, atol=1e-4)


def test_decode_stays_finite() -> None:
    wild = torch.full((2, len(ANCHORS), 4), 1e6)
    assert decode(wild, ANCHORS, variances=VARIANCES).isfinite().all()


def test_scores_are_the_share_of_the_face() -> None:
    logits = torch.tensor([[[0.0, math.log(3)]]]).expand(1, len(ANCHORS), 2)
    scores = replace(predictions(), class_logits=logits).scores()
    assert scores.shape == (1, len(ANCHORS))
    assert scores[0, 0].item() == pytest.approx(0.75)
    assert torch.equal(predictions().boxes()[0, 1], torch.tensor([-8.0, -8.0, 24.0, 24.0]))
    assert predictions().landmark_points() is None


def test_a_face_takes_all_anchors_of_enough_overlap() -> None:
    # A face of 24 px at the centre of cell (1, 1): IoU 256 / 576 = .44 with the anchor of 16 px,
    # 576 / 1024 = .56 with that of 32, and 288 / 1312 = .22 with the next cell's, 16 px away.
    face = [12.0, 12.0, 36.0, 36.0]
    cell = 2 * (1 * 4 + 1)
    assert matched(targets([face])) == {cell: 0, cell + 1: 0}
    # Of .5, only the better one is left; of .9 it stays all the same, as the best.
    for threshold in (0.5, 0.9):
        got = match(targets([face]), anchors=ANCHORS, batch_size=1, positive_iou=threshold)
        assert got.positive.tolist() == [cell + 1]


def test_a_tiny_face_takes_its_best_anchor() -> None:
    # IoU 9 / 256 at most: no match, but it is not lost.
    assert matched(targets([[38.0, 22.0, 41.0, 25.0]])) == {2 * (1 * 4 + 2): 0}


def test_of_two_faces_at_one_anchor_the_better_one_wins_and_the_other_has_its_next() -> None:
    faces = targets([[38.0, 22.0, 41.0, 25.0], [36.0, 20.0, 44.0, 28.0]])
    cell = 2 * (1 * 4 + 2)
    assert matched(faces) == {cell: 1, cell + 1: 0}


def test_a_best_anchor_goes_before_a_better_overlap() -> None:
    # Both faces fit the anchor of 16 px at (24, 24); the first fits no other, while the second,
    # larger one, has its best at 32 px.
    small, large = [22.0, 22.0, 26.0, 26.0], [12.5, 12.5, 35.5, 35.5]
    cell = 2 * (1 * 4 + 1)
    assert matched(targets([large])) == {cell: 0, cell + 1: 0}
    assert matched(targets([large, small])) == {cell: 1, cell + 1: 0}


def test_photos_are_matched_apart() -> None:
    box = [16.0, 16.0, 32.0, 32.0]
    cell = 2 * (1 * 4 + 1)
    assert matched(targets([box, box], [0, 1]), batch_size=2) == {cell: 0, 32 + cell: 1}


@pytest.mark.parametrize("box", [[20.0, 20.0, 20.0, 30.0], [90.0, 90.0, 99.0, 99.0]])
def test_a_face_without_area_or_outside_is_no_match(box: list[float]) -> None:
    assert matched(targets([box])) == {}
    losses = ssd_loss(predictions(), targets([box]), spec=SPEC)
    assert all(loss.isfinite() for loss in losses.values())


def test_hard_negatives_are_the_worst_of_each_photo() -> None:
    loss = torch.tensor([[5.0, 1.0, 4.0, 3.0, 2.0], [1.0, 2.0, 3.0, 4.0, 5.0]])
    positive = torch.tensor([[True, False, False, False, False], [False] * 5])
    candidate = ~positive
    candidate[1, 4] = False  # ignored
    got = hard_negatives(loss, positive=positive, candidate=candidate, ratio=2)
    assert got.nonzero().tolist() == [[0, 2], [0, 3], [1, 2], [1, 3]]
    # More asked for than there are.
    got = hard_negatives(loss, positive=positive, candidate=candidate, ratio=9)
    assert torch.equal(got, candidate)
    # Each photo by its own faces: two in the first, one in the second.
    positive = torch.tensor([[True, True, False, False, False], [True] + [False] * 4])
    got = hard_negatives(loss, positive=positive, candidate=~positive, ratio=1)
    assert got.nonzero().tolist() == [[0, 2], [0, 3], [1, 4]]


def test_losses_by_hand() -> None:
    # One face exactly on the anchor of 16 px at (24, 24): no box loss. All logits (0, 0): one
    # positive and three negatives of ln 2 each, over one positive.
    face = [16.0, 16.0, 32.0, 32.0]
    losses = ssd_loss(predictions(face_logit=0.0), targets([face]), spec=SPEC)
    assert losses.keys() == {"class", "box"}
    assert losses["class"].item() == pytest.approx(4 * math.log(2))
    assert losses["box"].item() == pytest.approx(0.0)
    # Moved right by 1.6 px: delta 1.6 / (.1 x 16) = 1, smooth L1 0.5.
    moved = [face[0] + 1.6, face[1], face[2] + 1.6, face[3]]
    losses = ssd_loss(predictions(), targets([moved]), spec=SPEC)
    assert losses["box"].item() == pytest.approx(0.5, abs=1e-5)


def test_ignored_regions_are_no_negatives() -> None:
    sure = predictions()
    logits = sure.class_logits.detach().clone()
    logits[0, 0, 1] = 9.0  # a false alarm at the centre (8, 8)
    alarm = replace(sure, class_logits=logits.requires_grad_())
    face = [32.0, 32.0, 48.0, 48.0]
    # The face itself costs about 5 in all three.
    quiet = ssd_loss(sure, targets([face]), spec=SPEC)["class"]
    loud = ssd_loss(alarm, targets([face]), spec=SPEC)["class"]
    ignored = ssd_loss(alarm, targets([face], ignore=[[0.0, 0.0, 16.0, 16.0]]), spec=SPEC)["class"]
    assert loud.item() == pytest.approx(quiet.item() + 9.0, abs=0.05)
    assert ignored.item() == pytest.approx(quiet.item(), abs=0.05)
    assert torch.autograd.grad(ignored, alarm.class_logits)[0][0, 0].abs().max() == 0


def test_a_batch_without_faces_still_learns_background() -> None:
    losses = ssd_loss(predictions(2, face_logit=0.0), targets([]), spec=SPEC)
    # Three hardest negatives in each of two photos.
    assert losses["class"].item() == pytest.approx(6 * math.log(2))
    assert losses["box"].item() == 0


@pytest.mark.parametrize(
    ("box", "left_out"),
    [
        # No anchor's centre is in them. 3.5 px in the corner of the first cell: its best anchor.
        ([0.5, 0.5, 4.0, 4.0], [0]),
        # 7.5 x 16: IoU .47 with the anchor of 16 px, 120 / 1024 with that of 32.
        ([0.0, 0.0, 7.5, 16.0], [0]),
        # 30 x 14 between centres (40, 8) and (40, 24): 420 / 1024 with the anchors of 32 px.
        ([25.0, 9.0, 55.0, 23.0], [5, 13]),
    ],
)
def test_an_ignored_box_leaves_out_the_anchors_that_it_would_match(
    box: list[float], left_out: list[int]
) -> None:
    got = match(targets([], ignore=[box]), anchors=ANCHORS, batch_size=1, positive_iou=0.4)
    zero = got.weight[0].eq(0).nonzero().squeeze(1).tolist()
    assert zero == left_out
    # As a face there would have them.
    assert list(matched(targets([box]))) == left_out


def test_mining_does_not_pick_the_anchor_of_a_small_ignored_face() -> None:
    sure = predictions()
    logits = sure.class_logits.detach().clone()
    logits[0, 0, 1] = 9.0  # a find at the first anchor, whose centre is (8, 8)
    find = replace(sure, class_logits=logits.requires_grad_())
    small = [1.0, 1.0, 6.0, 7.0]
    loss = ssd_loss(find, targets([[32.0, 32.0, 48.0, 48.0]], ignore=[small]), spec=SPEC)["class"]
    assert torch.autograd.grad(loss, find.class_logits)[0][0, 0].abs().max() == 0
