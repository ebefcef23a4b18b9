"""Split a COCO JSON file in two, by image."""

from __future__ import annotations

import json
import logging
import random
from collections import Counter
from pathlib import Path
from typing import Any

from ..errors import DataError, UserError
from .class_names import OWN_NAMES
from .coco_faces import faces_of
from .coco_json import FACE_CATEGORY, load_coco_json, save_coco_jsons
from .coco_records import ById, Key, categories_of, images_of, parse_id
from .photo_paths import plain_name
from .record_set import RecordSet

_log = logging.getLogger(__name__)

_FACE = str(FACE_CATEGORY["name"])


def split_coco(
    annotation_file: Path, *, train_fraction: float, seed: int, output: Path
) -> tuple[Path, Path]:
    """Split a COCO file into a part to train on and a part to validate on.

    A photo goes with all its annotations to one part, also if several images list it; the same
    file, fraction and seed always give the same split. Records keep their order and unknown keys.
    Annotations of an image that is not listed, or with a number that is not finite, which JSON
    cannot have, go to neither part, and are counted in a warning.
    What the reader of the parts would refuse is refused; a bad record that it would leave out goes
    to a part like the others.

    Args:
        annotation_file: The COCO JSON file.
        train_fraction: Share of the photos that goes to the train part, above 0 and below 1. The
            count is rounded, and neither part is ever empty.
        seed: Seed of the choice.
        output: Folder for the two files; made if missing.

    Returns:
        `<output>/<stem>.train.json` and `<output>/<stem>.val.json`.

    Raises:
        UserError: `train_fraction` is not between 0 and 1, or a file with other content exists,
            which may have been corrected by hand.
        DataError: The file is not COCO, has fewer than two photos, an image without an id, with a
            number that is not finite or with an id used twice, more than half of its images or
            labels cannot be used (see `coco.read_coco`), or `output` cannot be written.
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
    for place, record in enumerate(content["images"]):
        if not _is_finite(record):
            raise DataError(f"{annotation_file}: images[{place}]: expected finite numbers")
    photos = _photos(content["images"])
    if len(photos) < 2:
        raise DataError(f"{annotation_file}: images: all are one photo; expected two or more")
    count = min(max(round(len(photos) * train_fraction), 1), len(photos) - 1)
    chosen = {
        key for first in random.Random(seed).sample([*photos], count) for key in photos[first]
    }
    _check(annotation_file, content)
    owners = _owners(annotation_file, content["annotations"], set(ids))
    contents = {}
    for part, wanted in (("train", chosen), ("val", set(ids) - chosen)):
        images = [record for record in content["images"] if _id(record, "id") in wanted]
        annotations = [
            record
            for record, owner in zip(content["annotations"], owners, strict=True)
            if owner in wanted
        ]
        path = output / f"{annotation_file.stem}.{part}.json"
        contents[path] = content | {"images": images, "annotations": annotations}
    save_coco_jsons(contents)
    for path, part_of in contents.items():
        images, annotations = part_of["images"], part_of["annotations"]
        _log.info("%s: %d images, %d annotations", path, len(images), len(annotations))
    train, val = contents
    return train, val


def _photos(records: list[Any]) -> dict[Key, list[Key]]:
    """The ids of each photo's records, by the first of them.

    Names that differ only as systems write them, or in their case, are one photo here: to have two
    photos in one part does no harm.
    """
    first: dict[str, Key] = {}
    photos: dict[Key, list[Key]] = {}
    for record in records:
        key, name = _id(record, "id"), record.get("file_name")
        assert key is not None
        known = first.setdefault(plain_name(name), key) if isinstance(name, str) and name else key
        photos.setdefault(known, []).append(key)
    if len(photos) < len(records):
        again = next(keys for keys in photos.values() if len(keys) > 1)
        _log.warning(
            "%d images list a photo again, which goes to one part with all of them (first: id %s)",
            len(records) - len(photos), again[1],
        )  # fmt: skip
    return photos


def _check(file: Path, content: dict[str, Any]) -> None:
    """Judge the records as the reader does: the faces if the file has any, or else all labels."""
    records = RecordSet()
    photos = records.tally(file, "images", "images[{}]")
    labels = records.tally(file, "labels", "annotations[{}]")
    categories = categories_of(file, content["categories"], None, OWN_NAMES)
    if any(category.name == _FACE for category in categories.values()):
        categories = categories_of(file, content["categories"], [_FACE], OWN_NAMES)
    images, left_out = images_of(content["images"], photos)
    faces_of(content["annotations"], images, left_out, categories, labels, Counter())
    labels.check()
    photos.check()


def _owners(file: Path, records: list[Any], ids: set[Key]) -> list[Key | None]:
    """The id of each annotation's image; None if it goes to neither part."""
    known = ById(dict.fromkeys(ids))
    account = RecordSet()
    tally = account.tally(file, "labels", "annotations[{}]")
    owners: list[Key | None] = []
    for place, record in enumerate(records):
        owner = known.find(record.get("image_id")) if isinstance(record, dict) else None
        owners.append(owner if owner in ids else None)
        if owners[-1] is None:
            tally.lose("annotation of an unknown image_id", place)
        elif not _is_finite(record):
            owners[-1] = None
            tally.lose("annotation with a number that is not finite", place)
        else:
            tally.kept += 1
    tally.check()
    account.report()
    return owners


def _is_finite(record: object) -> bool:
    try:
        json.dumps(record, allow_nan=False)
    except ValueError:
        return False
    return True


def _id(record: object, key: str) -> Key | None:
    return parse_id(record.get(key)) if isinstance(record, dict) else None
