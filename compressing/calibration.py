"""Calibration data for quantizers: a balanced choice of samples, as network inputs."""

from __future__ import annotations

import logging
import os
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, ImageError
from ..files import name_in_utf8
from ..model_templates.contract import Contract
from ..tasks import task_of
from ..tasks.measuring import check_lost
from ..tasks.parts import Sample

_log = logging.getLogger(__name__)

COUNT = 300


@dataclass(frozen=True, eq=False)
class Calibration:
    """Inputs on which ranges of activations are measured.

    Attributes:
        batches: The inputs, float32 (1, 3, H, W) each, 0-255, BGR.
        photos: The photo's file of each input, relative to the folder common to all.
        asked: Number of inputs asked for.
        unreadable: Number of photos that could not be decoded and were replaced by others.
        seed: Seed of the choice.
    """

    batches: list[NDArray[np.float32]]
    photos: tuple[str, ...]
    asked: int
    unreadable: int
    seed: int


def calibrate(
    contract: Contract, samples: Sequence[Sample], *, count: int = COUNT, seed: int = 0
) -> Calibration:
    """Choose samples evenly over the task's kinds: sizes of faces, or labels.

    Args:
        contract: The contract of the network whose inputs are made.
        samples: The task's samples; unusable ones are left out.
        count: Number of inputs; all samples if there are fewer.
        seed: Seed of the choice.

    Raises:
        DataError: There are no samples, or more than half of those tried cannot be used.
    """
    batches: list[NDArray[np.float32]] = []
    used: list[Path] = []
    lost: list[str] = []
    network_input = task_of(contract.task).samples.network_input
    for sample in _in_turn(_strata(contract, samples), seed):
        if len(batches) == count:
            break
        try:
            batches.append(network_input(contract, sample))
        except ImageError as error:
            _log.warning("calibration: left out: %s", error)
            lost.append(str(error))
            continue
        used.append(sample.path)
    check_lost(lost, total=len(lost) + len(batches))
    if not batches:
        raise DataError(f"none of the {len(samples)} photos can be used for calibration")
    if len(batches) < count:
        _log.warning("calibration: %d photos instead of %d: there are no more", len(batches), count)
    return Calibration(batches, _names(used), count, len(lost), seed)


def _names(paths: Sequence[Path]) -> tuple[str, ...]:
    """The paths, relative to the folder common to all if there is one."""
    whole = [Path(os.path.abspath(path)) for path in paths]
    try:
        common = os.path.commonpath([path.parent for path in whole])
    except ValueError:  # paths on different drives
        return tuple(name_in_utf8(path.name) for path in whole)
    return tuple(name_in_utf8(path.relative_to(common).as_posix()) for path in whole)


def _strata(contract: Contract, samples: Sequence[Sample]) -> list[list[Sample]]:
    stratum = task_of(contract.task).samples.stratum
    found: dict[Hashable, list[Sample]] = {}
    for sample in samples:
        key = stratum(contract, sample)
        if key is not None:
            found.setdefault(key, []).append(sample)
    return [found[key] for key in sorted(found, key=str)]


def _in_turn(strata: Sequence[list[Sample]], seed: int) -> Iterator[Sample]:
    """Samples in turn from each stratum, shuffled within it, until all are empty."""
    random = np.random.default_rng(seed)
    shuffled = [[one[index] for index in random.permutation(len(one))] for one in strata]
    while any(shuffled):
        for one in shuffled:
            if one:
                yield one.pop()
