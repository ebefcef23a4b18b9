"""Convert WIDER FACE (Yang et al., CVPR 2016) from its official layout to COCO JSON."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import DataError
from .coco_boxes import clipped
from .coco_json import FACE_CATEGORY, save_coco_jsons
from .images import image_size
from .photo_paths import leads_out
from .record_set import RecordSet, named
from .table import read_text

_log = logging.getLogger(__name__)

_SPLITS = ("train", "val")
_FLAGS = ("blur", "expression", "illumination", "invalid", "occlusion", "pose")
"""Flags after x, y, w, h on a line of the list, in order (wider_face_split/readme.txt)."""

_NO_AREA, _OUTSIDE = "box without area", "box outside the photo"


@dataclass
class ListedPhoto:
    """A photo in WIDER's list.

    Attributes:
        name: Path `<event>/<file name>`.
        faces: For each face x, y, w, h in pixels, and six flags.
    """

    name: str
    faces: list[list[int]] = field(default_factory=list)


def convert_wider(
    folder: Path,
    *,
    output: Path | None = None,
    on_progress: Callable[[int, int], object] | None = None,
) -> list[Path]:
    """Convert the available splits of WIDER FACE to COCO JSON.

    Expects `wider_face_split/wider_face_{train,val}_bbx_gt.txt` and
    `WIDER_{train,val}/images/<event>/<name>`. Each annotation keeps WIDER's six flags under their
    names; faces marked `invalid` also get `"ignore": 1`. Boxes without area are left out; their
    count is logged and written under `info`. The faces of a photo that is listed more than once
    are joined. Listed photos that are not on disk are left out with
    a warning. Width and height come from the image's header.

    Args:
        folder: The folder that holds `wider_face_split`.
        output: Folder for the results, made if missing; None for `folder`.
        on_progress: Called with the number of photos done and of all, for each split anew.

    Returns:
        The written ones of `wider_train.json` and `wider_val.json`. Their `file_name` is relative
        to the data root, `<folder>/WIDER_<split>/images`.

    Raises:
        DataError: There is no list, or no list has photos; a list is damaged (file and line are
            named), or more than half of its boxes have no area; a photo is damaged; a file cannot
            be written.
        UserError: A file with other content exists, which may have been corrected by hand.
    """
    contents = {}
    lists = {split: _list_file(folder, split) for split in _SPLITS}
    if not any(file.is_file() for file in lists.values()):
        raise DataError(
            f"{folder}: not WIDER FACE: expected {lists['train'].relative_to(folder)} or "
            f"{lists['val'].relative_to(folder)} in it"
        )
    for split, file in lists.items():
        root = folder / f"WIDER_{split}" / "images"
        if not file.is_file() or not root.is_dir():
            absent = root if file.is_file() else file
            _log.warning("split %r left out: %s is not there", split, absent)
            continue
        content = _to_coco(list(read_list(file)), root, file, on_progress)
        contents[(output or folder) / f"wider_{split}.json"] = content
    if not contents:
        expected = " or ".join(f"WIDER_{split}/images" for split in _SPLITS)
        raise DataError(f"{folder}: has lists but no photos: expected {expected} in it")
    save_coco_jsons(contents)
    for path, content in contents.items():
        images, annotations = content["images"], content["annotations"]
        _log.info("%s: %d images, %d faces", path, len(images), len(annotations))
    return list(contents)


def _list_file(folder: Path, split: str) -> Path:
    return folder / "wider_face_split" / f"wider_face_{split}_bbx_gt.txt"


def read_list(file: Path) -> Iterator[ListedPhoto]:
    """Read an official list: a name, a count, and that many lines of ten integers, and so on.

    The official lists have one line of zeros after a count of 0.

    Raises:
        DataError: The list cannot be read or is damaged; the message names the line.
    """
    lines = read_text(file).splitlines()
    while lines and not lines[-1].strip():
        lines.pop()
    at = 0
    while at < len(lines):
        name = lines[at].strip().replace("\\", "/")
        parts = name.split("/")
        if len(parts) < 2 or "" in parts or leads_out(name):
            raise DataError(f"{file}:{at + 1}: {_short(name)}: expected <event>/<file name>")
        if at + 1 == len(lines):
            raise DataError(f"{file}:{at + 2}: the file ends where a number of faces is expected")
        count = _integers(lines[at + 1])
        if len(count) != 1 or count[0] < 0:
            found = _short(lines[at + 1])
            raise DataError(f"{file}:{at + 2}: {found}: expected the number of faces in {name}")
        first = at + 2
        entry = ListedPhoto(name)
        for number in range(first, first + count[0]):
            if number == len(lines):
                missing = first + count[0] - number
                raise DataError(f"{file}:{number + 1}: the file ends {missing} faces early")
            entry.faces.append(_face(lines[number], f"{file}:{number + 1}"))
        at = first + count[0]
        if count[0] == 0 and at < len(lines) and not any(_integers(lines[at]) or [1]):
            at += 1
        yield entry


def _face(line: str, where: str) -> list[int]:
    face = _integers(line)
    if len(face) != 4 + len(_FLAGS):
        raise DataError(f"{where}: {_short(line)}: expected ten integers, x y w h and six flags")
    return face


def _integers(line: str) -> list[int]:
    """The integers of a line; empty if the line has anything else."""
    try:
        return [int(word) for word in line.split()]
    except ValueError:
        return []


def _short(line: str) -> str:
    return repr(line if len(line) <= 60 else line[:57] + "...")


def _to_coco(
    entries: list[ListedPhoto],
    root: Path,
    file: Path,
    on_progress: Callable[[int, int], object] | None,
) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    missing: list[str] = []
    records, ids = RecordSet(), dict[Hashable, int]()
    photos = records.tally(file, "photos", "photo {}")
    faces = records.tally(file, "boxes", "a box of photo {}")
    for done, entry in enumerate(entries, 1):
        if on_progress is not None:
            on_progress(done, len(entries))
        found = records.find(root, entry.name)
        if found is None:
            missing.append(entry.name)
            continue
        key, path = found
        if key in ids:
            photos.mend("photo listed again, its faces joined", entry.name)
        image_id = ids.setdefault(key, len(images) + 1)
        if image_id > len(images):
            width, height = image_size(path)
            name = path.relative_to(root).as_posix()
            images.append({"id": image_id, "file_name": name, "width": width, "height": height})
        width, height = (images[image_id - 1][side] for side in ("width", "height"))
        for x, y, w, h, *flags in entry.faces:
            if w <= 0 or h <= 0:
                faces.lose(_NO_AREA, entry.name)
                continue
            if clipped((x, y, w, h), width, height) is None:
                faces.lose(_OUTSIDE, entry.name)
                continue
            annotation: dict[str, Any] = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": FACE_CATEGORY["id"],
            }
            annotation |= {"bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}
            annotation |= dict(zip(_FLAGS, flags, strict=True))
            if annotation["invalid"]:
                annotation["ignore"] = 1
            annotations.append(annotation)
    if not images:
        if not entries:
            raise DataError(f"{file}: lists no photo")
        raise DataError(f"{root}: none of the {len(entries)} photos of {file} is there")
    if missing:
        _log.warning(
            "%s: %d of %d photos are not there: %s",
            root,
            len(missing),
            len(entries),
            named(missing),
        )
    faces.kept = len(annotations)
    faces.check()
    records.report()
    info = {
        "description": f"WIDER FACE, from {file.name}",
        "boxes_without_area": faces.lost[_NO_AREA],
        "boxes_outside_photos": faces.lost[_OUTSIDE],
    }
    content = {"info": info, "categories": [FACE_CATEGORY]}
    return content | {"images": images, "annotations": annotations}
