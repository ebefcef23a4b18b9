"""Which cells learn which face, on grids small enough to work out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pocketface.models.dense_head import DensePredictions, grid_points
from pocketface.tasks.detection.assign import (
    Assignment,
    Claims,
    atss,
    center_sampling,
    resolve,
    simota,
)
from pocketface.tasks.detection.targets import Targets

from .some_targets import targets

CPU = torch.device("cpu")


def grid(side: int, *strides: int) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    points = [grid_points(side // s, side // s, s, device=CPU) for s in strides]
    sizes = tuple(len(p) for p in points)
    each = torch.tensor(strides, dtype=torch.float32)
    return torch.cat(points), each.repeat_interleave(torch.tensor(sizes)), sizes


def run_atss(
    faces: Targets, *strides: int, top_k: int, batch_size: int = 1, min_cells: int = 1
) -> Assignment:
    points, cell_strides, sizes = grid(64, *strides)
    return atss(
        faces,
        points=points,
        strides=cell_strides,
        level_sizes=sizes,
        batch_size=batch_size,
        anchor_scale=2.0,
        top_k=top_k,
        min_cells=min_cells,
    )


def run_center(faces: Targets, side: int, *strides: int, first_range: float = 64.0) -> Assignment:
    points, cell_strides, sizes = grid(side, *strides)
    return center_sampling(
        faces,
        points=points,
        strides=cell_strides,
        level_sizes=sizes,
        batch_size=1,
        first_range=first_range,
    )


def test_atss_takes_what_stands_out_of_its_candidates() -> None:
    # A face of 32 px, centre (37, 36.5). Stride 8 offers cells (36,36), (44,36), (36,44), whose
    # anchors of 16 px have IoU .25; stride 16 offers (40,40), (40,24), (24,40), whose anchors of
    # 32 px have .677, .381, .359. Mean .361 + deviation .166 = .527: only (40,40) is above.
    got = run_atss(targets([[21.0, 20.5, 53.0, 52.5]]), 8, 16, top_k=3)
    assert got.positive.tolist() == [64 + 2 * 4 + 2]
    assert got.target.tolist() == [0]


def test_atss_takes_only_cells_inside_the_face() -> None:
    # Without the rule the strip's best anchors would be those of both rows beside it.
    got = run_atss(targets([[0.0, 30.0, 64.0, 38.0]]), 8, top_k=16)
    points, _, _ = grid(64, 8)
    assert (points[got.positive][:, 1] == 36.0).all()


@pytest.mark.parametrize("centre", [(32.0, 32.0), (29.0, 35.5), (4.0, 4.0)])
def test_atss_gives_a_tiny_face_one_cell(centre: tuple[float, float]) -> None:
    x, y = centre
    got = run_atss(targets([[x - 1, y - 1, x + 1, y + 1]]), 8, 16, top_k=9)
    assert len(got.positive) == 1
    points, _, _ = grid(64, 8, 16)
    assert (points[got.positive[0]] - torch.tensor(centre)).abs().max() <= 4


def test_atss_gives_each_cell_to_one_face_the_better_overlap() -> None:
    # Both faces are tiny and nearest to cell (36, 36); the larger fills its anchor better.
    got = run_atss(targets([[35.0, 35.0, 37.0, 37.0], [33.0, 33.0, 39.0, 39.0]]), 8, top_k=1)
    assert got.positive.tolist() == [4 * 8 + 4]
    assert got.target.tolist() == [1]


def cells_of(got: Assignment, face: int, *strides: int) -> set[tuple[float, float, float]]:
    """x, y and stride of a face's cells."""
    points, each, _ = grid(64, *strides)
    rows = torch.cat((points, each[:, None]), dim=1)[got.positive[got.target == face]]
    return {(x, y, stride) for x, y, stride in rows.tolist()}


def test_a_small_face_takes_the_nearest_cells_of_its_level() -> None:
    # 4 px at (33, 31): the centres (28, 28) to (36, 36) of stride 8 are within 5.9 px.
    tiny = targets([[31.0, 29.0, 35.0, 33.0]])
    got = run_atss(tiny, 8, 16, top_k=9, min_cells=4)
    square = {(x, y, 8.0) for x in (28.0, 36.0) for y in (28.0, 36.0)}
    assert cells_of(got, 0, 8, 16) == square
    assert cells_of(run_atss(tiny, 8, 16, top_k=9, min_cells=1), 0, 8, 16) == {(36.0, 28.0, 8.0)}
    # In a corner only what is within 1.5 strides: (12, 12) is 1.94 away.
    corner = targets([[0.0, 0.0, 2.0, 2.0]])
    got = run_atss(corner, 8, 16, top_k=9, min_cells=4)
    assert cells_of(got, 0, 8, 16) == {(4.0, 4.0, 8.0), (4.0, 12.0, 8.0), (12.0, 4.0, 8.0)}


def test_a_small_face_takes_no_cell_that_its_neighbour_earns() -> None:
    # The face beside holds the centres (44, 28) and (44, 36), which are among the nearest four
    # of the tiny one at (40, 32), at either place in the list.
    tiny, beside = [38.5, 30.5, 41.5, 33.5], [42.0, 24.0, 54.0, 40.0]
    for faces, index in (([tiny, beside], 0), ([beside, tiny], 1)):
        got = run_atss(targets(faces), 8, top_k=9, min_cells=4)
        assert cells_of(got, index, 8) == {(36.0, 28.0, 8.0), (36.0, 36.0, 8.0)}
        assert cells_of(got, 1 - index, 8) >= {(44.0, 28.0, 8.0), (44.0, 36.0, 8.0)}


def test_two_faces_in_one_cell_have_one_each() -> None:
    faces = targets([[35.0, 35.0, 37.0, 37.0], [33.0, 33.0, 39.0, 39.0]])
    for got in (run_atss(faces, 8, top_k=5), run_center(faces, 64, 8)):
        assert sorted(got.target.tolist()) == [0, 1]


def test_faces_of_different_photos_do_not_compete() -> None:
    box = [33.0, 33.0, 39.0, 39.0]
    got = run_atss(targets([box, box], [0, 1]), 8, top_k=1, batch_size=2)
    assert got.positive.tolist() == [36, 64 + 36]
    assert got.target.tolist() == [0, 1]


def test_no_faces_no_positives() -> None:
    for got in (run_atss(targets([]), 8, 16, top_k=9), run_center(targets([]), 64, 8, 16)):
        assert len(got.positive) == len(got.target) == 0
        assert got.weight.eq(1).all()


def test_center_sampling_takes_cells_near_the_centre() -> None:
    points, _, _ = grid(128, 8)
    # Centre (60, 60) is a cell's own: within 1.5 strides lie 3 x 3 cells.
    got = run_center(targets([[40.0, 40.0, 80.0, 80.0]]), 128, 8)
    assert sorted(map(tuple, points[got.positive].tolist())) == [
        (x, y) for x in (52.0, 60.0, 68.0) for y in (52.0, 60.0, 68.0)
    ]
    # Centre (64, 64) is a corner of four cells.
    got = run_center(targets([[44.0, 44.0, 84.0, 84.0]]), 128, 8)
    assert len(got.positive) == 4
    # Only cells inside: a face of 6 px at a cell's centre has that cell alone.
    got = run_center(targets([[57.0, 57.0, 63.0, 63.0]]), 128, 8)
    assert points[got.positive].tolist() == [[60.0, 60.0]]


@pytest.mark.parametrize(("side", "level"), [(40.0, 0), (160.0, 1), (300.0, 2), (500.0, 2)])
def test_center_sampling_picks_the_level_by_size(side: float, level: int) -> None:
    low, high = 256 - side / 2, 256 + side / 2
    got = run_center(targets([[low, low, high, high]]), 512, 8, 16, 32)
    _, strides, _ = grid(512, 8, 16, 32)
    assert len(got.positive) > 0
    assert set(strides[got.positive].tolist()) == {8.0 * 2**level}


@pytest.mark.parametrize(
    ("box", "cell"),
    [
        # No centre is in them: a tiny face of the first level, between four cells but nearer one,
        ([29.5, 29.5, 33.5, 33.5], (28.0, 28.0, 8.0)),
        # one in a corner of the photo,
        ([0.0, 0.0, 1.0, 1.0], (4.0, 4.0, 8.0)),
        # and a flat one, half of which (120 px) is the second level's: (64, 128].
        ([8.0, 65.0, 248.0, 67.0], (120.0, 72.0, 16.0)),
    ],
)
def test_center_sampling_gives_a_face_without_a_cell_the_nearest(
    box: list[float], cell: tuple[float, float, float]
) -> None:
    got = run_center(targets([box]), 256, 8, 16, 32)
    points, strides, _ = grid(256, 8, 16, 32)
    (only,) = got.positive.tolist()
    assert (*points[only].tolist(), strides[only].item()) == cell


def test_the_first_range_moves_the_levels() -> None:
    # 48 px: of the cells within it the farthest side is 24 to 48 away.
    face = targets([[36.0, 36.0, 84.0, 84.0]])
    _, strides, _ = grid(128, 8, 16, 32)
    for first_range, taken in ((64.0, {8.0}), (24.5, {8.0, 16.0}), (12.0, {32.0})):
        got = run_center(face, 128, 8, 16, 32, first_range=first_range)
        assert set(strides[got.positive].tolist()) == taken


def test_center_sampling_gives_a_shared_cell_to_the_smaller_face() -> None:
    got = run_center(targets([[40.0, 40.0, 80.0, 80.0], [54.0, 54.0, 66.0, 66.0]]), 128, 8)
    points, _, _ = grid(128, 8)
    owner = dict(zip(map(tuple, points[got.positive].tolist()), got.target.tolist(), strict=True))
    assert owner[(60.0, 60.0)] == 1
    assert len(owner) == 9
    assert sum(owner.values()) == 1


def run_simota(
    faces: Targets, predicted: dict[int, list[float]], logits: dict[int, float] | None = None
) -> Assignment:
    """On one photo of 64 x 64 with cells of stride 8; a cell not in `predicted` has no box."""
    points, strides, sizes = grid(64, 8)
    boxes = points.repeat(1, 2)
    for cell, box in predicted.items():
        boxes[cell] = torch.tensor(box)
    sides = torch.cat((points - boxes[:, :2], boxes[:, 2:] - points), dim=1) / strides[:, None]
    scores = torch.zeros(1, len(points))
    for cell, logit in (logits or {}).items():
        scores[0, cell] = logit
    return simota(faces, DensePredictions(scores, sides[None], None, None, points, strides, sizes))


def test_simota_gives_a_face_as_many_cells_as_find_it() -> None:
    # A face of 28 px around (32, 32), where cells 27, 28, 35 and 36 meet. The first and the last
    # find it, 28 three quarters of it: 2.75. Cell 0, far away, finds it too.
    face = [18.0, 18.0, 46.0, 46.0]
    part = [18.0, 18.0, 46.0, 39.0]
    got = run_simota(targets([face]), {27: face, 36: face, 28: part, 0: face})
    assert got.positive.tolist() == [27, 36]
    got = run_simota(targets([face]), {27: face, 36: face, 28: part, 35: part}, {35: 1.0})
    assert got.positive.tolist() == [27, 35, 36]


def test_simota_gives_an_unfound_face_the_cell_most_sure_of_a_face() -> None:
    face = [18.0, 18.0, 46.0, 46.0]
    got = run_simota(targets([face]), {}, {35: 3.0, 0: 5.0})
    assert got.positive.tolist() == [35]
    # Of a tiny face's cells those that are not in it come last.
    got = run_simota(targets([[26.0, 26.0, 30.0, 30.0]]), {}, {27: -9.0, 28: 9.0})
    assert got.positive.tolist() == [27]


def test_simota_gives_a_cell_to_the_face_that_it_finds() -> None:
    left, right = [14.0, 18.0, 42.0, 46.0], [22.0, 18.0, 50.0, 46.0]
    got = run_simota(targets([left, right]), {27: right, 28: left, 35: right, 36: right})
    owner = dict(zip(got.positive.tolist(), got.target.tolist(), strict=True))
    assert owner == {27: 1, 28: 0, 35: 1, 36: 1}


def test_simota_leaves_out_what_an_ignored_box_would_take() -> None:
    box = [18.0, 18.0, 46.0, 46.0]
    got = run_simota(targets([], ignore=[box]), {27: box})
    weight = got.weight.view(8, 8)
    assert not got.positive.numel()
    assert weight[2:6, 2:6].eq(0).all()
    assert weight.sum() == 64 - 16
    assert run_simota(targets([]), {}).weight.eq(1).all()


def test_resolve_gives_each_its_own_then_goes_by_priority() -> None:
    faces = targets([[0.0, 0.0, 9.0, 9.0]] * 3)
    points, _, _ = grid(64, 8)
    # All want cell 5 first; face 1 has it. Face 0 goes on to 9, which face 2 then cannot have
    # either. Cell 11 is chosen by 0 and 1, alike, and by 2 with more.
    claims = Claims(
        cells=torch.tensor([[5, 9, 11], [5, 9, 11], [5, 9, 11]]),
        chosen=torch.tensor([[True, False, True], [True, True, True], [True, True, True]]),
        preference=torch.tensor([[0.9, 0.8, 0.1], [0.9, 0.1, 0.1], [0.9, 0.8, -torch.inf]]),
        priority=torch.tensor([[0.3, 0.7, 0.4], [0.6, 0.9, 0.4], [0.1, 0.2, 0.5]]),
    )
    got = resolve(faces, claims, points=points, batch_size=1)
    assert got.positive.tolist() == [5, 9, 11]
    assert got.target.tolist() == [1, 0, 2]


def test_ignored_regions_weigh_nothing_unless_a_face_is_there() -> None:
    # Photo 1 has an ignored region over its top left 4 x 4 cells, and a face inside it.
    faces = targets(
        [[17.0, 17.0, 23.0, 23.0]], [1], ignore=[[0.0, 0.0, 32.0, 32.0]], ignore_images=[1]
    )
    got = run_atss(faces, 8, top_k=1, batch_size=2)
    assert got.positive.tolist() == [64 + 2 * 8 + 2]
    assert got.weight[0].eq(1).all()
    expected = torch.ones(8, 8)
    expected[:4, :4] = 0
    expected[2, 2] = 1
    assert torch.equal(got.weight[1].view(8, 8), expected)


def test_an_ignored_box_between_cell_centres_leaves_out_the_cells_it_touches() -> None:
    # 4 pixels, from 14 to 18: no centre (12, 20) lies in it, but four cells of stride 8 meet at 16.
    got = run_atss(targets([], ignore=[[14.0, 14.0, 18.0, 18.0]]), 8, top_k=1)
    expected = torch.ones(8, 8)
    expected[1:3, 1:3] = 0
    assert torch.equal(got.weight[0].view(8, 8), expected)


def test_an_ignored_box_leaves_out_what_it_would_take_as_a_face() -> None:
    # 1 px in the middle of cell (36, 36): it touches no other, but as a face it would have five.
    box = [35.5, 35.5, 36.5, 36.5]
    as_face = run_atss(targets([box]), 8, top_k=9, min_cells=5)
    got = run_atss(targets([], ignore=[box]), 8, top_k=9, min_cells=5)
    assert len(as_face.positive) == 5
    assert torch.equal(got.weight.view(-1).eq(0).nonzero().squeeze(1), as_face.positive)
