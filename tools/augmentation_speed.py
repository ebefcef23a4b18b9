"""Time the segmenter's augmentation against kornia's, in turn: median ms of one core for a sample.

    OMP_NUM_THREADS=1 python tools/augmentation_speed.py

Both rotate, zoom, shift and flip 32 heads of 256 x 256 with their masks, and change light and
colour; kornia does so with the whole batch.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import kornia.augmentation as kornia
import numpy as np
import torch

from pocketface.tasks.jitter import jitter
from pocketface.tasks.jitter_spec import JitterSpec
from pocketface.tasks.segmentation.head_crops import Item, collate, moved_pair
from pocketface.tasks.segmentation.rules import AugmentationSpec

BATCH, SIDE, ROUNDS = 32, 256, 12
ROTATE, ZOOM, SHIFT, JITTER, HUE = 25.0, (0.75, 1.3), 0.1, 0.4, 0.05


def main() -> None:
    """Time both, and print."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    heads = rng.integers(0, 256, (BATCH, SIDE, SIDE, 3), dtype=np.uint8)
    masks = rng.integers(0, 2, (BATCH, SIDE, SIDE), dtype=np.uint8)
    ways = {"pocketface": ours(heads, masks, rng), "kornia": theirs(heads, masks)}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            begin = time.process_time()
            way()
            times[name].append((time.process_time() - begin) / BATCH * 1e3)
    for name, some in times.items():
        print(f"{name}: {statistics.median(some):.2f} ms a sample")


def ours(heads: Any, masks: Any, rng: np.random.Generator) -> Callable[[], object]:
    """A function that makes a batch as a segmenter's training does, picture by picture."""
    colours = JitterSpec(chance=1, brightness=JITTER, contrast=JITTER, saturation=JITTER, hue=HUE)
    spec = AugmentationSpec(crop="head", rotate=ROTATE, scale=ZOOM, shift=SHIFT)

    def make() -> object:
        made: list[Item] = []
        for head, mask in zip(heads, masks, strict=True):
            picture, truth = moved_pair(head, mask, spec, rng)
            if rng.random() < 0.5:
                picture, truth = picture[:, ::-1], truth[:, ::-1]
            made.append((jitter(np.ascontiguousarray(picture), colours, rng), truth, 0))
        return collate(made)

    return make


def theirs(heads: Any, masks: Any) -> Callable[[], object]:
    """The same by kornia."""
    steps = kornia.AugmentationSequential(
        kornia.RandomAffine(ROTATE, translate=(SHIFT, SHIFT), scale=ZOOM, p=1.0),
        kornia.RandomHorizontalFlip(p=0.5),
        kornia.ColorJiggle(JITTER, JITTER, JITTER, HUE, p=1.0),
        data_keys=["input", "mask"],
    )
    images = torch.from_numpy(heads.transpose(0, 3, 1, 2).copy())
    truths = torch.from_numpy(masks)[:, None]
    return lambda: steps(images.float() / 255, truths.float())


if __name__ == "__main__":
    main()
