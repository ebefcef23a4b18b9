"""What torchvision answers with seeded random weights, and how far our networks are from it.

    python tools/two_stage_oracle.py pictures PICTURES.npz [PHOTOS]
    /usr/bin/python3 tools/two_stage_oracle.py record PICTURES.npz ANSWERS.json
    python tools/two_stage_oracle.py compare PICTURES.npz ANSWERS.json

The second line runs in Debian's Python with python3-torch 1.13 and python3-torchvision 0.14, which
break beside our PyTorch. Pictures are crops of a public-domain photo, or the first ten of a folder
at 640 pixels. tests/models/torchvision_answers.json is the second line's answer for the former.
"""

from __future__ import annotations

import argparse
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FASTER, RETINA = "fasterrcnn_resnet50_fpn", "retinanet_resnet50_fpn"
PHOTOS, SIDE = 10, 640
SHAPES = {FASTER: (128, 160), RETINA: (128, 256)}
"""Height and width of the crops: multiples of 32, so that nothing is padded; of RetinaNet of 128,
as torchvision's strides depend on the picture's size otherwise."""

LIMITS = {FASTER: 100, RETINA: 300}
OPTIONS = {FASTER: {}, RETINA: {"topk_candidates": 20_000, "detections_per_img": 20_000}}
"""torchvision's RetinaNet finds "background" too, which would take the place of faces."""

SCORE, NMS_IOU = 0.05, 0.5
"""How many boxes are compared, their least score and the IoU of NMS, torchvision's defaults."""

SCALES = {
    r".*\.bn3\.weight": 0.3,
    r"rpn\.head\.cls_logits\.weight": 0.06,
    r"rpn\.head\.bbox_pred\.weight": 0.01,
    r".*box_predictor\.cls_score\.weight": 0.08,
    r".*box_predictor\.bbox_pred\.weight": 0.08,
    r"head\.classification_head\.cls_logits\.weight": 0.08,
    r"head\.regression_head\.bbox_reg\.weight": 0.015,
}
"""Factors that keep signals in the range where scores and boxes differ."""

SHIFTS = {r"head\.classification_head\.cls_logits\.bias": -4.5}
"""What is added to biases, so that most anchors find no face."""

Answer = dict[str, list[Any]]


def random_weights(shapes: Mapping[str, Sequence[int]]) -> dict[str, NDArray[Any]]:
    """Random weights, each from its name and shape alone."""
    return {name: _random(name, tuple(shape)) for name, shape in shapes.items()}


def _random(name: str, shape: tuple[int, ...]) -> NDArray[Any]:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    scale = next((s for pattern, s in SCALES.items() if re.fullmatch(pattern, name)), 1.0)
    if len(shape) > 1:
        spread = scale * (2 / np.prod(shape[1:])) ** 0.5
        return np.float32(spread) * rng.standard_normal(shape, np.float32)
    if name.endswith("running_var") or (name.endswith("weight") and len(shape) == 1):
        return np.float32(scale) * (0.5 + rng.random(shape, np.float32))
    shift = next((s for pattern, s in SHIFTS.items() if re.fullmatch(pattern, name)), 0.0)
    return np.float32(0.1) * rng.standard_normal(shape, np.float32) + np.float32(shift)


def crops() -> dict[str, list[NDArray[np.uint8]]]:
    """A crop of a public-domain photo for each network: uint8 (H, W, 3), BGR."""
    import cv2
    import skimage  # type: ignore[import-not-found,import-untyped,unused-ignore]

    photo = cv2.imread(str(Path(skimage.__path__[0], "data", "astronaut.png")))
    assert photo is not None
    small = cv2.resize(photo, (256, 256), interpolation=cv2.INTER_AREA)
    return {
        name: [np.ascontiguousarray(small[:height, -width:])]
        for name, (height, width) in SHAPES.items()
    }


def write_pictures(path: Path, folder: Path | None) -> None:
    """Write the pictures of each network."""
    import cv2

    arrays = crops()
    if folder is not None:
        from pocketface.data.images import list_images, read_image

        photos = [read_image(one) for one in list_images(folder)[:PHOTOS]]
        squares = [np.asarray(cv2.resize(one, (SIDE, SIDE)), np.uint8) for one in photos]
        arrays = dict.fromkeys(SHAPES, squares)
    stacked: dict[str, Any] = {name: np.stack(found) for name, found in arrays.items()}
    np.savez(path, **stacked)


def record(pictures: Mapping[str, NDArray[np.uint8]]) -> dict[str, dict[str, Any]]:
    """Torchvision's answers, and the shapes of its weights."""
    import torch
    from torchvision.models import detection  # type: ignore[import-not-found]

    answers = {}
    for name in SHAPES:
        photos = pictures[name]
        height, width = photos.shape[1:3]
        network = getattr(detection, name)(
            weights=None,
            weights_backbone=None,
            num_classes=2,
            min_size=min(height, width),
            max_size=max(height, width),
            **OPTIONS[name],
        ).eval()
        shapes = {key: list(value.shape) for key, value in network.state_dict().items()}
        weights = {key: torch.from_numpy(one) for key, one in random_weights(shapes).items()}
        network.load_state_dict(weights)
        found: list[Answer] = []
        with torch.no_grad():
            for photo in photos:
                rgb = torch.from_numpy(photo[..., ::-1].copy()).permute(2, 0, 1) / 255
                (one,) = network([rgb])
                faces = (one["labels"] == 1).nonzero()[: LIMITS[name], 0]
                found.append(
                    {
                        "boxes": one["boxes"][faces].double().numpy().round(4).tolist(),
                        "scores": one["scores"][faces].double().numpy().round(6).tolist(),
                    }
                )
        answers[name] = {"shapes": shapes, "found": found}
    return answers


def template_of(name: str) -> Any:
    """Our template of one of torchvision's networks: a `TemplateFile`."""
    import yaml

    from pocketface.model_templates.schema import TemplateFile
    from pocketface.model_templates.strict_yaml import parse_yaml
    from pocketface.tasks.templates import open_template, parse_template

    base = "faster-rcnn-r50-fpn" if name == FASTER else "retinanet-r101-fpn"
    opened = open_template(base)
    content = parse_yaml(opened.text, source=base)
    architecture = content["architecture"]
    architecture |= {
        "mean": [123.675, 116.28, 103.53],
        "std": [58.395, 57.12, 57.375],
        "colour": "RGB",
    }
    architecture["backbone"] |= {"depth": 50, "stride_in": "3x3"}
    head = architecture["head"]
    if name == FASTER:
        head["rpn"]["anchors"]["rounded"] = True
        head["rpn"]["min_size"] = 1e-3
        head["roi"] |= {"aligned": False, "sampling_ratio": 2}
    else:
        architecture["neck"]["extra"] = "p5"
        sizes = [[one, int(one * 2 ** (1 / 3)), int(one * 2 ** (2 / 3))] for one in _SIDES]
        head["anchors"] |= {"rounded": True, "sizes": sizes}
    text = yaml.safe_dump(content, sort_keys=False)
    return TemplateFile(opened.path, text, parse_template(text, source=name))


_SIDES = (32, 64, 128, 256, 512)


def ours(weights: Path, name: str, pictures: NDArray[np.uint8]) -> list[Answer]:
    """Our answers with the weights in one of torchvision's files."""
    import torch

    from pocketface.data.preprocess import Placement
    from pocketface.models.weights import build_network, read_weights
    from pocketface.tasks.detection.postprocess import find_faces

    network = build_network(read_weights(weights, template=template_of(name)))
    found: list[Answer] = []
    for photo in pictures:
        with torch.no_grad():
            image = torch.from_numpy(photo).permute(2, 0, 1)[None].float()
            boxes, scores = (output[0].numpy() for output in network(image))
        faces = find_faces(
            boxes,
            scores,
            None,
            placement=Placement(photo.shape[1], photo.shape[0], 1.0, 1.0),
            score_threshold=SCORE,
            nms_iou=NMS_IOU,
            max_detections=LIMITS[name],
        )
        found.append({"boxes": faces.boxes.tolist(), "scores": faces.scores.tolist()})
    return found


def distance(expected: Answer, found: Answer) -> tuple[float, float, int]:
    """Largest difference of corners in pixels, of scores, and boxes that only one of both has.

    A box is paired with the nearest one of those whose score is within 0.001.
    """
    theirs, mine = (np.array(one["boxes"], np.float64).reshape(-1, 4) for one in (expected, found))
    their_scores, my_scores = (np.array(one["scores"], np.float64) for one in (expected, found))
    if not len(theirs) or not len(mine):
        return 0.0, 0.0, len(theirs) + len(mine)
    apart = np.abs(theirs[:, None] - mine).max(2)
    apart = np.where(np.abs(their_scores[:, None] - my_scores) < 1e-3, apart, np.inf)
    nearest = apart.argmin(1)
    corners = apart[np.arange(len(theirs)), nearest]
    paired = corners < 1
    scores = np.abs(their_scores - my_scores[nearest])[paired]
    alone = int((~paired).sum()) + len(mine) - len(set(nearest[paired].tolist()))
    return float(corners[paired].max(initial=0)), float(scores.max(initial=0)), alone


def compare(pictures: Mapping[str, NDArray[np.uint8]], answers: Mapping[str, Any]) -> None:
    """Print how far our answers are from torchvision's."""
    import tempfile

    for name, answer in answers.items():
        with tempfile.TemporaryDirectory() as folder:
            weights = Path(folder, "torchvision.pth")
            write_weights(weights, answer["shapes"])
            found = ours(weights, name, pictures[name])
        for expected, one in zip(answer["found"], found, strict=True):
            corners, scores, alone = distance(expected, one)
            best = ", ".join(f"{score:.3f}" for score in expected["scores"][:3])
            print(
                f"{name}: {len(expected['boxes'])} boxes, {alone} in one answer alone; "
                f"corners {corners:.2e} px, scores {scores:.2e}; best {best}"
            )


def write_weights(path: Path, shapes: Mapping[str, Sequence[int]]) -> None:
    """Write random weights as torchvision's users do."""
    import torch

    torch.save({k: torch.from_numpy(one) for k, one in random_weights(shapes).items()}, path)


def main() -> None:
    """Do one of the three steps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("step", choices=("pictures", "record", "compare"))
    parser.add_argument("pictures", type=Path)
    parser.add_argument("other", type=Path, nargs="?", help="photos to write, or answers")
    asked = parser.parse_args()
    if asked.step == "pictures":
        write_pictures(asked.pictures, asked.other)
        return
    with np.load(asked.pictures) as content:
        pictures = dict(content)
    if asked.step == "record":
        asked.other.write_text(json.dumps(record(pictures)))
    else:
        compare(pictures, json.loads(asked.other.read_text()))


if __name__ == "__main__":
    main()
