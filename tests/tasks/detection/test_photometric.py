"""Colours of a batch, distorted."""

from __future__ import annotations

import torch
from torch import nn

from pocketface.tasks.detection.photometric import MAX_HUE, Photometric, rotate_hue


def test_photometric_is_seeded_keeps_the_range_and_leaves_the_random_state() -> None:
    images = torch.rand(8, 3, 16, 16) * 255
    distort = Photometric(share=0.5)
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = distort(images, seed=11)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, distort(images, seed=11))
    assert not torch.equal(first, distort(images, seed=12))
    assert first.min() >= 0
    assert first.max() <= 255
    changed = [not torch.equal(a, b) for a, b in zip(first, images, strict=True)]
    assert 0 < sum(changed) < 8


def test_hue_turns_colours_and_leaves_greys() -> None:
    red, grey = torch.tensor([1.0, 0.0, 0.0]), torch.full((3,), 0.4)
    images = torch.stack((red, red, grey))[..., None, None].expand(3, 3, 4, 4)
    angles = torch.deg2rad(torch.tensor([120.0, -120.0, 50.0]))
    # Under autocast, as the training step is: products of matrices would be rounded.
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = rotate_hue(images, angles)
    assert got.dtype == torch.float32
    expected = torch.stack((red.roll(1), red.roll(-1), grey))[..., None, None].expand_as(got)
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)


def test_photometric_turns_hues_by_little_and_half_of_the_time() -> None:
    distort = Photometric(share=1.0)
    distort.steps = nn.Sequential()
    images = torch.tensor([60.0, 90.0, 160.0])[None, :, None, None].expand(200, 3, 2, 2)
    got = distort(images, seed=4)[..., 0, 0]
    off = got - got.mean(1, keepdim=True)
    before = images[..., 0, 0] - images[..., 0, 0].mean(1, keepdim=True)
    cosine = torch.nn.functional.cosine_similarity(off, before)
    turned = cosine < 1 - 1e-5
    assert 0.3 < turned.float().mean() < 0.7
    angles = cosine[turned].clamp(max=1).acos()
    assert angles.max() <= MAX_HUE + 1e-3
    assert angles.max() > MAX_HUE * 0.8
