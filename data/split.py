"""Split a COCO JSON file in two, by image."""

from __future__ import annotations

import logging
import os
import random
from pathlib import Path
from typing import Any

from ..errors import DataError, UserError
from .coco_json import load_coco_json, save_coco_jsons
from .coco_records import Key, parse_id

_log = logging.getLogger(__name__)


def split_coco(
    annotation_file: Path, *, train_fraction: float, seed: int, output: Path
) -> tuple[Path, Path]:
    """Split a COCO file into a part to train on and a part to validate on.

    An image goes with all its annotations to one part; the same file, fraction and seed always
    give the same split. Records keep their order and unknown keys. Annotations of an image that
    is not listed go to neither part.

    Args:
        annotation_file: The COCO JSON file.
        train_fraction: Share of the images that goes to the train part, above 0 and below 1. The
            count is rounded, and neither part is ever empty.
        seed: Seed of the choice.
        output: Folder for the two files; made if missing.

    Returns:
        `<output>/<stem>.train.json` and `<output>/<stem>.val.json`.

    Raises:
        UserError: `train_fraction` is not between 0 and 1, or a file with other content exists,
            which may have been corrected by hand.
        DataError: The file is not COCO, has fewer than two images, an image without an id or an
            id used twice, or `output` cannot be written.
    """
    if not 0 < train_fraction < 1:
        raise UserError(
            f"--train-fraction {train_fraction:g}: expected a number above 0 and below 1"
        )
    content = load_coco_json(annotation_file)
    found = [_id(record, "id") for record in content["images"]]
    ids = [key for key in found if key is not None]
    if len(ids) < 2 or len(set(ids)) < len(found):
        raise DataError(
            f"{annotation_file}: images: expected two or more, each with an id of its own"
        )
    count = min(max(round(len(ids) * train_fraction), 1), len(ids) - 1)
    chosen = set(random.Random(seed).sample(ids, count))
    listed = set(ids)
    contents = {}
    for part, wanted in (("train", chosen), ("val", listed - chosen)):
        images = [record for record in content["images"] if _id(record, "id") in wanted]
        annotations = [
            record for record in content["annotations"] if _id(record, "image_id") in wanted
        ]
        path = output / f"{annotation_file.stem}.{part}.json"
        contents[path] = content | {"images": images, "annotations": annotations}
    for path, part_of in contents.items():
        if os.path.lexists(path) and not _holds(path, part_of):
            raise UserError(
                f"--output {output}: its {path.name} is there already, and is another; expected a "
                "folder without it"
            )
    save_coco_jsons(contents)
    for path, part_of in contents.items():
        images, annotations = part_of["images"], part_of["annotations"]
        _log.info("%s: %d images, %d annotations", path, len(images), len(annotations))
    train, val = contents
    return train, val


def _holds(path: Path, content: dict[str, Any]) -> bool:
    try:
        return load_coco_json(path) == content
    except DataError:
        return False


def _id(record: object, key: str) -> Key | None:
    return parse_id(record.get(key)) if isinstance(record, dict) else None
