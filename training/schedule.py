"""The learning rate as a factor of the base rate."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..model_templates.recipe import OptimizerSpec, ScheduleSpec

FINAL_FRACTION = 0.01
WARMUP_START = 0.1
MAX_WARMUP_SHARE = 0.1

FEW = 0.1
"""Share of all epochs up to which fine-tuning is one of a few epochs more."""


def learning_rate_factor(
    spec: ScheduleSpec,
    *,
    steps_per_epoch: int,
    epochs: int,
    first_epoch: int = 0,
    fine_tunes: bool = False,
    counts_steps: bool = False,
) -> Callable[[int], float]:
    """The factor at each optimizer step, for `LambdaLR`.

    Warm-up rises linearly from a tenth. It takes at most a tenth of the steps, because otherwise
    a short fine-tuning would never leave it; recipes that count steps have theirs whole.

    Args:
        spec: The template's schedule.
        steps_per_epoch: Optimizer steps per epoch.
        epochs: Total number of epochs, those before `first_epoch` included.
        first_epoch: Epoch at which a training without optimizer state starts, with warm-up.
        fine_tunes: Whether that training fine-tunes: a few epochs more have a cosine from
            `spec.fine_tuning` to the end in place of the schedule, and more have it as their least.
        counts_steps: Whether the recipe says how many steps an epoch has.
    """
    total = max(1, steps_per_epoch * epochs)
    offset = steps_per_epoch * first_epoch
    few = fine_tunes and total - offset <= FEW * total
    warmup = spec.warmup_iterations
    if not counts_steps:
        warmup = min(warmup, int(MAX_WARMUP_SHARE * (total - offset)))

    def warm(step: int) -> float:
        return min(1.0, WARMUP_START + (1 - WARMUP_START) * step / warmup) if warmup else 1.0

    def factor(step: int) -> float:
        least = 0.0
        if fine_tunes:
            height = _half_cosine(min(1.0, step / max(1, total - offset)))
            least = spec.fine_tuning * (FINAL_FRACTION + (1 - FINAL_FRACTION) * height)
        return warm(step) * (least if few else max(least, scheduled(step)))

    def scheduled(step: int) -> float:
        position = step + offset
        if spec.type == "step":
            epoch = position // steps_per_epoch
            return float(spec.gamma ** sum(epoch >= milestone for milestone in spec.milestones))
        share = min(1.0, position / total)
        if spec.type == "cosine":
            height = _half_cosine(share)
        else:
            height = min(1.0, (1 - share) / spec.decay)
        return FINAL_FRACTION + (1 - FINAL_FRACTION) * height

    return factor


def _half_cosine(share: float) -> float:
    return (1 + math.cos(math.pi * share)) / 2


def scaled_rate(
    rate: float, optimizer: OptimizerSpec, *, batch_size: int, meant_batch_size: int
) -> float:
    """Scale a template's learning rate to another batch size.

    SGD's rate grows with the batch size (Goyal et al. 2017), Adam's with its square root (Malladi
    et al. 2022), and so does Muon's, whose steps are as large as Adam's.

    Args:
        rate: The template's learning rate.
        optimizer: The template's optimizer settings.
        batch_size: Photos per optimizer step, over all processes.
        meant_batch_size: Photos per optimizer step that the template's rate is meant for.
    """
    ratio = batch_size / meant_batch_size
    return rate * (ratio if optimizer.type == "sgd" else math.sqrt(ratio))
