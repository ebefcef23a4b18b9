"""Whether a server-grade detector learns ten photos by heart: the proof that its code can learn.

    python tools/two_stage_overfit.py ../shared/data/airport faster-rcnn-r50-fpn --save-to DIR

takes the strip of each airport photo that holds its faces, at half its size, and a template whose
anchors are half as large, which learns all its layers from random weights; then it trains and
prints AP50 on the same photos. On one core ResNets take a quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import cv2
import yaml

import pocketface.cli
from pocketface.model_templates import template_path

TOP, HEIGHT = 130, 192
"""The rows of a photo, of 1920 x 1080, in which all faces are."""

TEMPLATES = {
    "faster-rcnn-m": 1,
    "faster-rcnn-r50-fpn": 2,
    "faster-rcnn-r101-fpn": 2,
    "retinanet-r101-fpn": 2,
}
"""How many times smaller anchors are than the template's: faces have 9 to 27 pixels."""


def main() -> None:
    """Write photos and template, train, and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("airport", type=Path)
    parser.add_argument("template", choices=TEMPLATES)
    parser.add_argument("--save-to", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=30, help="of the ten photos")
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--precision", default="32-true", help="as of `pocketface train`")
    given = parser.parse_args()
    folder: Path = given.save_to
    folder.mkdir(parents=True, exist_ok=True)
    labels = write_strips(given.airport, folder)
    template = folder / "template.yaml"
    template.write_text(
        yaml.safe_dump(reduced(given.template, given), sort_keys=False), encoding="utf-8"
    )
    start = time.monotonic()
    run("train", "--template", template, "--train-ann-files", labels, "--train-data-roots", folder,
        "--save-checkpoints-to", folder / "run", "--gpu-num", 0, "--seed", 0, "--workers", 0,
        "--precision", given.precision, "--val-every", given.epochs)  # fmt: skip
    print(f"{(time.monotonic() - start) / 60:.1f} minutes of training")
    run("eval", "--load-weights", folder / "run" / "latest.pth", "--test-ann-files", labels,
        "--test-data-roots", folder, "--save-metrics-to", folder / "metrics.yaml")  # fmt: skip


def write_strips(airport: Path, folder: Path) -> Path:
    """The strips of the photos, and their COCO file, in `folder`."""
    content = json.loads((airport / "annotation_faces_train.json").read_text())
    (folder / "train").mkdir(exist_ok=True)
    for image in content["images"]:
        photo = cv2.imread(str(airport / image["file_name"]))
        if photo is None:
            raise SystemExit(f"{airport / image['file_name']}: cannot be read")
        strip = photo[TOP : TOP + HEIGHT]
        small = cv2.resize(strip, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        name = Path(image["file_name"]).with_suffix(".png")
        image |= {"file_name": str(name), "height": small.shape[0], "width": small.shape[1]}
        cv2.imwrite(str(folder / name), small)
    for face in content["annotations"]:
        x, y, width, height = face["bbox"]
        face["bbox"] = [x / 2, (y - TOP) / 2, width / 2, height / 2]
        face["area"] = width * height / 4
    labels = folder / "faces.json"
    labels.write_text(json.dumps(content), encoding="utf-8")
    return labels


def reduced(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """The template with a small input, small anchors, layers that all learn, and another recipe."""
    content: dict[str, Any] = yaml.safe_load(template_path(name).read_text(encoding="utf-8"))
    content["input"] |= {"height": HEIGHT // 2, "width": 960}
    architecture = content["architecture"]
    head, smaller = architecture["head"], TEMPLATES[name]
    if architecture["backbone"]["type"] == "resnet":
        # Without the statistics of trained weights.
        architecture["backbone"] |= {"norm": "batch", "frozen_stages": 0}
    first = head.get("rpn", head)
    if anchors := first.get("anchors"):
        anchors["sizes"] = [[size / smaller for size in level] for level in anchors["sizes"]]
    if "roi" in head:
        some = {"pre_nms_topk": 300, "post_nms_topk": 300}
        head.get("rpn", head.get("proposals")).update(some)
        head["roi"]["canonical_size"] /= smaller
        head["loss"] = some | ({"roi_samples": 128} if "rpn" in head else {})
    content["hyper_parameters"] = {
        "basic": {
            "batch_size": given.batch_size,
            "base_learning_rate": given.rate,
            "epochs": given.epochs,
        },
        "optimizer": {"type": "adamw", "weight_decay": 0.01, "gradient_clip": 10.0},
        "schedule": {"type": "cosine", "warmup_iterations": 20},
        "augmentation": {
            "crop": "letterbox",
            "scales": [1.0],
            "flip": 0.0,
            "photometric": False,
            "min_face": 0.0,
        },
    }
    return content


def run(*arguments: object) -> None:
    """Run a command of pocketface."""
    if code := pocketface.cli.main([str(one) for one in arguments]):
        raise SystemExit(code)


if __name__ == "__main__":
    main()
