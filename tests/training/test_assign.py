"""Which cells learn which face, on grids small enough to work out by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pocketface.models.dense_head import grid_points
from pocketface.training.assign import Assignment, atss, center_sampling, resolve
from pocketface.training.targets import Targets

CPU = torch.device("cpu")


def targets(
    boxes: list[list[float]],
    images: list[int] | None = None,
    *,
    ignore: list[list[float]] | None = None,
    ignore_images: list[int] | None = None,
) -> Targets:
    count = len(boxes)
    ignored = torch.tensor(ignore or []).reshape(-1, 4)
    return Targets(
        boxes=torch.tensor(boxes).reshape(-1, 4),
        image_index=torch.tensor(images or [0] * count, dtype=torch.int64),
        landmarks=torch.full((count, 5, 2), torch.nan),
        ignore_boxes=ignored,
        ignore_index=torch.tensor(ignore_images or [0] * len(ignored), dtype=torch.int64),
        image_ids=torch.arange(2),
    )


def grid(side: int, *strides: int) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    points = [grid_points(side // s, side // s, s, device=CPU) for s in strides]
    sizes = tuple(len(p) for p in points)
    each = torch.tensor(strides, dtype=torch.float32)
    return torch.cat(points), each.repeat_interleave(torch.tensor(sizes)), sizes


def run_atss(faces: Targets, *strides: int, top_k: int, batch_size: int = 1) -> Assignment:
    points, cell_strides, sizes = grid(64, *strides)
    return atss(
        faces,
        points=points,
        strides=cell_strides,
        level_sizes=sizes,
        batch_size=batch_size,
        anchor_scale=2.0,
        top_k=top_k,
    )


def run_center(faces: Targets, side: int, *strides: int) -> Assignment:
    points, cell_strides, sizes = grid(side, *strides)
    return center_sampling(
        faces, points=points, strides=cell_strides, level_sizes=sizes, batch_size=1
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


def test_center_sampling_gives_a_shared_cell_to_the_smaller_face() -> None:
    got = run_center(targets([[40.0, 40.0, 80.0, 80.0], [54.0, 54.0, 66.0, 66.0]]), 128, 8)
    points, _, _ = grid(128, 8)
    owner = dict(zip(map(tuple, points[got.positive].tolist()), got.target.tolist(), strict=True))
    assert owner[(60.0, 60.0)] == 1
    assert len(owner) == 9
    assert sum(owner.values()) == 1


def test_resolve_prefers_priority_then_the_first() -> None:
    faces = targets([[0.0, 0.0, 9.0, 9.0]] * 3)
    points, _, _ = grid(64, 8)
    got = resolve(
        faces,
        points=points,
        batch_size=1,
        face=torch.tensor([0, 1, 2, 0, 1]),
        cell=torch.tensor([5, 5, 5, 9, 9]),
        priority=torch.tensor([0.3, 0.6, 0.1, 0.4, 0.4]),
    )
    assert got.positive.tolist() == [5, 9]
    assert got.target.tolist() == [1, 0]


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
