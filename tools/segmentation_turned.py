"""A segmenter on turned heads: one row for each angle.

    python tools/segmentation_turned.py MODEL fasseg.masks.json ../shared/data/fasseg/test

FASSEG's skin covers ears, neck and shoulders too, and its hair the brows, so that IoU of the face
means nothing there. What can be told: how many pixels of eyes, nose and mouth are in the mask, and
how many of the mask's pixels lie on the background or in the hair.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from pocketface.data.images import read_image
from pocketface.data.mask_pairs import read_list, read_mask_values
from pocketface.tasks.load import load_as
from pocketface.tasks.segmentation.model import FaceSegmenter

BACKGROUND, HAIR, PARTS = 0, 1, (3, 4, 5)
"""Values of FASSEG's masks; the parts are eyes, nose and mouth."""


def main() -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("list", type=Path)
    parser.add_argument("root", type=Path)
    asked = parser.parse_args()
    model = load_as(FaceSegmenter, asked.model, threads=1)
    found: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for pair in read_list(asked.list).pairs:
        values = read_mask_values(asked.root / pair.mask)
        points = np.array([pair.landmarks], np.float32)
        (mask,) = model.predict(read_image(asked.root / pair.image), points)
        inside, parts = mask.mask, np.isin(values, PARTS)
        on = values[inside]
        found[angle(pair.image)].append(
            (
                inside[parts].mean(),
                (on == BACKGROUND).mean() if len(on) else 0.0,
                (on == HAIR).mean() if len(on) else 0.0,
            )
        )
    print("| turned by | photos | parts found | on the background | on hair and brows |")
    print("|---|---|---|---|---|")
    for name, figures in sorted(found.items()):
        means = [f"{100 * mean:.1f} %" for mean in np.mean(figures, axis=0)]
        print(f"| {name} | {len(figures)} | {' | '.join(means)} |")


def angle(name: str) -> str:
    """The angle that a file's name tells."""
    turned = re.search(r"[pm](\d+)\.\w+$", name)
    return f"{int(turned[1]):2}°" if turned else " frontal"


if __name__ == "__main__":
    main()
