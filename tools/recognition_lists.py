"""Make the list of faces that face-recognition-n learns from, without people of the tests.

    python tools/recognition_lists.py ../shared/data lfw.identities.json train.identities.json

All faces that may be trained on: face_identities and face_unlabelled (aligned crops), the training
parts of YouTube Faces and CelebAMask-HQ (faces found by our detector), of MTFL (by its landmarks,
without the photos that come from LFW) and of WIDER FACE (eyes 14 pixels or more apart; one of each
photo). Left out is whoever has the name of somebody in LFW, and whose face is, to the teacher
face-reidentification-retail-0095, as similar as a cosine of 0.45 to one of the people of LFW, one
photo of each. The data root of the list is the folder of all of them.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pocketface.apps.prepare_faces import face_finder
from pocketface.data.identities import read_identities
from pocketface.data.images import list_images, read_image
from pocketface.data.labelled_faces import POINTS
from pocketface.data.landmark_geometry import ARCFACE_POINTS
from pocketface.errors import ImageError
from pocketface.files import atomic_write
from pocketface.tasks.named import model_path
from pocketface.tasks.recognition.embeddings import embeddings_of
from pocketface.tasks.recognition.foreign import ForeignRecognizer
from pocketface.tasks.recognition.peers import PEERS, open_peer

Face = dict[str, Any]
"""An entry of a list."""

TEACHER = "face-reidentification-retail-0095"
NEAR = 0.45
MIN_EYES = 14


def main() -> None:
    """Write the list, and print how many faces each set gives."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("lfw", type=Path, help="by `data identities`, of data/lfw/lfw")
    parser.add_argument("output", type=Path)
    asked = parser.parse_args()
    names = {plain(person.name) for person in (asked.data / "lfw" / "lfw").iterdir()}
    faces = [
        face
        for face in candidates(asked.data)
        if face["person"] is None or plain(face["person"]) not in names
    ]
    peer = PEERS[TEACHER]
    teacher = open_peer(
        TEACHER, asked.data / "peers" / peer.file, runtime="openvino", threads=None, device="cpu"
    )
    near = alike(teacher, faces, asked.data, asked.lfw)
    kept = [face for face, cosine in zip(faces, near, strict=True) if cosine < NEAR]
    for what, some in (("kept", kept), ("of all", faces)):
        counts = Counter(face["image"].partition("/")[0] for face in some)
        print(f"{what} {len(some)}: " + ", ".join(f"{name} {n}" for name, n in counts.items()))
    with atomic_write(asked.output, "w") as file:
        json.dump({"photos": kept}, file, ensure_ascii=False)


def plain(name: str) -> str:
    """A person's name without the set that it is from, accents, case and spaces."""
    letters = unicodedata.normalize("NFKD", name.rpartition("/")[2].removeprefix("p_"))
    return "".join(letter for letter in letters if letter.isalpha() and letter.isascii()).lower()


def alike(teacher: ForeignRecognizer, faces: list[Face], root: Path, lfw: Path) -> Iterator[float]:
    """The cosine of each face to the most similar person of LFW; 1 if it cannot be read."""
    aside = root / "lfw" / "lfw"
    people = {photo.person: photo for photo in read_identities([lfw], [aside]).photos}
    of_tests = embeddings_of(teacher, list(people.values()))
    of_tests = of_tests[np.isfinite(of_tests[:, 0])]
    for face in faces:
        points = np.array(face["landmarks"], np.float32)
        try:
            photo = read_image(root / face["image"])
        except ImageError as error:
            print(error, file=sys.stderr)
            yield 1.0
            continue
        (found,) = teacher.predict(photo, points[None])
        yield float((of_tests @ found.vector).max())


def candidates(data: Path) -> Iterator[Face]:
    """All faces that may be trained on, of each photo one."""
    seen: set[str] = set()
    for face in (*aligned(data), *mtfl(data), *wider(data), *found(data)):
        if face["image"] not in seen:
            seen.add(face["image"])
            yield face


def entry(path: str, person: str | None, landmarks: Any) -> Face:
    """An entry of the list."""
    points = np.asarray(landmarks, np.float64).reshape(5, 2).round(2).tolist()
    return {"image": path, "person": person, "landmarks": points}


def rows(file: Path) -> Iterator[dict[str, str]]:
    """The rows of a set's labels that are for training."""
    with open(file, encoding="utf-8", newline="") as text:
        yield from (row for row in csv.DictReader(text) if row["split"] == "train")


def aligned(data: Path) -> Iterator[Face]:
    """Crops that are aligned as ArcFace's are."""
    for folder in ("face_identities", "face_unlabelled"):
        for row in rows(data / folder / "labels.csv"):
            yield entry(f"{folder}/{row['file']}", row.get("person"), ARCFACE_POINTS)


def mtfl(data: Path) -> Iterator[Face]:
    """Faces with landmarks by hand."""
    for row in rows(data / "mtfl" / "labels.csv"):
        if not row["image"].startswith("lfw"):
            points = [float(row[name]) for name in POINTS]
            yield entry(f"mtfl/images/{row['image']}", None, points)


def wider(data: Path) -> Iterator[Face]:
    """Faces that are large enough, with landmarks by another detector."""
    content = json.loads((data / "wider_face" / "train.json").read_text(encoding="utf-8"))
    names = {image["id"]: image["file_name"] for image in content["images"]}
    for one in content["annotations"]:
        points = np.array(one.get("landmarks_pseudo") or [], np.float64)
        if points.size == 10:
            points = points.reshape(5, 2)
            if np.hypot(*(points[1] - points[0])) >= MIN_EYES:
                yield entry(f"wider_face/train/{names[one['image_id']]}", None, points)


def found(data: Path) -> Iterator[Face]:
    """The main face that our detector finds in each photo."""
    find_landmarks = face_finder(model_path("face-detection-n"))
    heads = data / "celebamask"
    photos: list[tuple[Path, str | None]] = [
        (heads / "images" / f"{row['name']}.webp", None) for row in rows(heads / "labels.csv")
    ]
    people = sorted((data / "youtube_faces" / "train").iterdir())
    photos += [(path, f"ytf/{one.name}") for one in people for path in list_images(one)]
    for path, person in photos:
        try:
            points = find_landmarks(read_image(path))
        except ImageError as error:
            print(error, file=sys.stderr)
            continue
        if points is not None:
            yield entry(path.relative_to(data).as_posix(), person, points)


if __name__ == "__main__":
    main()
