"""Coloured light and little light."""

from __future__ import annotations

import torch

from pocketface.tasks.detection.lights import LEAST, NOISE, Lights


def grey(count: int) -> torch.Tensor:
    return torch.full((count, 3, 8, 8), 200.0)


def test_it_is_seeded_and_leaves_the_random_state() -> None:
    images = torch.rand(8, 3, 16, 16) * 255
    before = torch.random.get_rng_state()
    first = Lights(0.5)(images, seed=11)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, Lights(0.5)(images, seed=11))
    assert not torch.equal(first, Lights(0.5)(images, seed=12))


def test_a_share_of_the_samples_is_changed() -> None:
    assert torch.equal(Lights(0.0)(grey(50), seed=1), grey(50))
    changed = (Lights(0.3)(grey(1000), seed=1) != grey(1000)).flatten(1).any(1)
    assert 0.25 < changed.float().mean() < 0.35


def test_under_a_lamp_its_colour_stays_and_the_others_fade() -> None:
    levels = Lights(1.0)(grey(1000), seed=2)
    even = levels.flatten(2).std(2).amax(1) < 1e-3
    lamps = levels[even].mean((2, 3)) / 200
    assert 0.4 < even.float().mean() < 0.6
    assert (lamps.amax(1) > 0.999).all()
    assert lamps.min() >= LEAST - 1e-4
    assert (lamps.amin(1) < 0.2).any()
    strongest = torch.bincount(lamps.argmax(1), minlength=3)
    assert (strongest > 0.25 * len(lamps)).all()


def test_little_light_fades_all_colours_alike_and_is_noisy() -> None:
    levels = Lights(1.0)(grey(1000), seed=3)
    spread = levels.flatten(2).std(2)
    dark = levels[spread.amin(1) > 0.5]
    middles = dark.mean((2, 3)) / 200
    assert (middles.amax(1) - middles.amin(1)).max() < 0.02
    assert middles.min() < 2 * LEAST
    assert middles.max() > 0.8
    assert 0.8 * NOISE < spread.max() < 1.4 * NOISE
    assert dark.min() >= 0
    assert dark.max() <= 255
