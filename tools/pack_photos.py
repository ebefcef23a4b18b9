"""A detector's training photos, small enough to be sent to a machine with a GPU.

    python tools/pack_photos.py --output packed --parts 18 \
        --lists ../shared/data/wider_face/train.json ../shared/data/face_mask/faces.json \
        --roots ../shared/data/wider_face/train ../shared/data/face_mask/images

Writes each photo as WebP, no larger than `--side`, and a list for each of those given, with its
file's name. The photos lie in folders of at most `--parts` MiB, part-0, part-1 and so on, which may
be sent one by one; the lists are in the first one. Train there with the output folder as root:

    pocketface train … --train-ann-files packed/part-0/train.json --train-data-roots packed

Labels stay as they are, as a photo that is smaller than its list says is allowed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pocketface.data.coco_json import load_coco_json
from pocketface.data.images import read_image

MIB = 2**20


def main() -> None:
    """Pack the photos of all lists."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lists", nargs="+", type=Path, required=True, metavar="FILE.json")
    parser.add_argument("--roots", nargs="+", type=Path, required=True, metavar="DIR")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--side", type=int, default=640, help="longest side, in pixels")
    parser.add_argument("--quality", type=int, default=70, help="of WebP, 1 to 100")
    parser.add_argument("--parts", type=float, default=18, metavar="MIB")
    asked = parser.parse_args()
    if len(asked.lists) != len(asked.roots):
        parser.error(f"{len(asked.lists)} lists, {len(asked.roots)} roots: expected one for each")
    if len({file.name for file in asked.lists}) < len(asked.lists):
        parser.error("--lists: expected files of different names")
    if asked.output.exists():
        parser.error(f"--output {asked.output}: is there already")
    lists = {file.name: load_coco_json(file) for file in asked.lists}
    packed = Parts(asked.output, limit=round(asked.parts * MIB))
    packed.size = sum(len(compact(content)) for content in lists.values())
    for (name, content), root in zip(lists.items(), asked.roots, strict=True):
        for image in content["images"]:
            pixels = smaller(read_image(root / image["file_name"]), asked.side)
            done, data = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, asked.quality])
            assert done
            image["file_name"] = packed.add(data.tobytes(), stem=Path(name).stem)
    for name, content in lists.items():
        (asked.output / "part-0" / name).write_text(compact(content), encoding="utf-8")
    print(
        f"written: {packed.count} photos in {packed.part + 1} parts, {packed.total / MIB:.1f} MiB"
    )


class Parts:
    """Folders of photos, each filled up to a limit in bytes."""

    def __init__(self, output: Path, *, limit: int) -> None:
        self.output = output
        self.limit = limit
        self.part = self.size = self.count = self.total = 0

    def add(self, data: bytes, *, stem: str) -> str:
        """Write a photo; its path in the output folder."""
        if self.size + len(data) > self.limit:
            self.part, self.size = self.part + 1, 0
        folder = self.output / f"part-{self.part}"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{stem}-{self.count:05}.webp"
        path.write_bytes(data)
        self.size, self.count = self.size + len(data), self.count + 1
        self.total += len(data)
        return path.relative_to(self.output).as_posix()


def smaller(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """A photo whose longest side is at most `side`."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def compact(content: Mapping[str, Any]) -> str:
    """The text of a list, in one line."""
    return json.dumps(content, separators=(",", ":"))


if __name__ == "__main__":
    main()
