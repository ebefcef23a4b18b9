"""What deface finds in photos, for tools/blur_recall.py; runs where deface is installed.

    deface-env/bin/python tools/deface_finds.py wider_val.json IMAGES deface.json [--photos 200] \
        [--threshold 0.2]

deface's own defaults: CenterFace at the photo's own size, threshold 0.2, boxes that grow by 0.3 of
their sides at each side. Needs nothing of pocketface.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

os.environ["OMP_NUM_THREADS"] = "1"


One = TypeVar("One")


def spread(items: Sequence[One], count: int | None) -> list[One]:
    """So many of the items, at even distances over all; None or too many for all."""
    if count is None or count >= len(items):
        return list(items)
    return [items[place * len(items) // count] for place in range(count)]


def main() -> None:
    """Write the boxes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("annotations", type=Path)
    parser.add_argument("root", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--photos", type=int, help="so many, spread over all")
    parser.add_argument("--threshold", type=float, default=0.2)
    parser.add_argument("--mask-scale", type=float, default=1.3)
    asked = parser.parse_args()
    import imageio.v2 as imageio

    names = sorted(one["file_name"] for one in json.loads(asked.annotations.read_text())["images"])
    names = spread(names, asked.photos)
    network = open_centerface()
    found = {}
    for name in names:
        pixels = imageio.imread(asked.root / name)[..., :3]
        started = time.perf_counter()
        boxes, _ = network(pixels, threshold=asked.threshold)
        seconds = time.perf_counter() - started
        grown = []
        for x1, y1, x2, y2, _ in boxes.tolist():
            more_x = (x2 - x1) * (asked.mask_scale - 1)
            more_y = (y2 - y1) * (asked.mask_scale - 1)
            grown.append([x1 - more_x, y1 - more_y, x2 + more_x, y2 + more_y])
        found[name] = {"boxes": grown, "seconds": seconds}
    asked.output.write_text(json.dumps(found))


def open_centerface() -> Any:
    """The detector of deface, on one thread."""
    import onnxruntime  # type: ignore[import-untyped]
    from deface.centerface import CenterFace  # type: ignore[import-not-found]

    plain = onnxruntime.InferenceSession

    def single(*args: object, **options: object) -> object:
        given = onnxruntime.SessionOptions()
        given.intra_op_num_threads = 1
        return plain(*args, sess_options=given, **options)

    onnxruntime.InferenceSession = single
    return CenterFace(in_shape=None, backend="onnxrt")


if __name__ == "__main__":
    main()
