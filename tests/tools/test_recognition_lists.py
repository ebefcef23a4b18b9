"""Who a recogniser learns from is in none of its tests."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from pocketface.data.labelled_faces import POINTS
from pocketface.data.landmark_geometry import ARCFACE_POINTS
from pocketface.tools import recognition_lists
from pocketface.tools.recognition_lists import plain


@pytest.mark.parametrize(
    ("one", "other"),
    [("p_Adriana Lima", "Adriana_Lima"), ("ytf/José_Bové", "Jose Bove"), ("O'Neal", "oneal")],
)
def test_names_of_one_person_are_alike(one: str, other: str) -> None:
    assert plain(one) == plain(other)


def test_people_of_the_tests_are_in_no_training_part(shared: Path) -> None:
    pairs = (shared / "lfw" / "pairs.txt").read_text(encoding="utf-8").splitlines()[1:]
    tested = {plain(word) for line in pairs for word in line.split("\t") if not word.isdigit()}
    assert len(tested) > 4000
    with open(shared / "face_identities" / "labels.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    parts = {part: {r["person"] for r in rows if r["split"] == part} for part in ("train", "val")}
    assert not parts["train"] & parts["val"]
    assert not {plain(name) for name in parts["train"] if name.startswith("p_")} & tested
    clips = {
        part: {plain(folder.name) for folder in (shared / "youtube_faces" / part).iterdir()}
        for part in ("train", "test")
    }
    assert not clips["train"] & clips["test"]


def write_csv(path: Path, *rows: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def write_photo(path: Path, cosine: float = 0.0) -> None:
    """A photo that the teacher finds so similar to the person of the test."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((112, 112, 3), round(255 * cosine), np.uint8))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A few photos of each set, and a teacher that tells similarity by brightness."""
    of = {"split": "train"}
    write_csv(
        tmp_path / "face_identities" / "labels.csv",
        {"file": "new.png", "person": "p_Jane Doe", **of},
        {"file": "tested.png", "person": "p_Jöhn Roe", **of},
        {"file": "val.png", "person": "p_Val", "split": "val"},
    )
    for name in ("new", "tested", "val"):
        write_photo(tmp_path / "face_identities" / f"{name}.png")
    cosines = {"near.png": 0.46, "far.png": 0.44, "broken.png": 0.0}
    write_csv(
        tmp_path / "face_unlabelled" / "labels.csv", *({"file": one, **of} for one in cosines)
    )
    for name, cosine in cosines.items():
        write_photo(tmp_path / "face_unlabelled" / name, cosine)
    (tmp_path / "face_unlabelled" / "broken.png").write_text("no photo")
    points = dict(zip(POINTS, np.ravel(ARCFACE_POINTS).tolist(), strict=True))
    names = ("lfw_5590/John_Roe.png", "net_7876/a.png")
    write_csv(tmp_path / "mtfl" / "labels.csv", *({"image": one, **points, **of} for one in names))
    for name in names:
        write_photo(tmp_path / "mtfl" / "images" / name)
    faces = [
        {"image_id": 1, "landmarks_pseudo": (np.array(ARCFACE_POINTS) * scale).tolist()}
        for scale in (0.3, 1)  # eyes 11 and 35 pixels apart
    ]
    images = [{"id": 1, "file_name": "crowd.png"}]
    write_photo(tmp_path / "wider_face" / "train" / "crowd.png")
    content: dict[str, Any] = {"images": images, "annotations": faces}
    (tmp_path / "wider_face" / "train.json").write_text(json.dumps(content))
    write_csv(tmp_path / "celebamask" / "labels.csv", {"name": "gone", **of})
    write_photo(tmp_path / "youtube_faces" / "train" / "Some_One" / "1.png")
    write_photo(tmp_path / "lfw" / "lfw" / "John_Roe" / "1.png")
    photo = {"image": "John_Roe/1.png", "person": "John_Roe", "landmarks": ARCFACE_POINTS}
    listed = json.dumps({"photos": [photo]}, default=np.ndarray.tolist)
    (tmp_path / "lfw.identities.json").write_text(listed)

    def predict(image: Any, _: Any) -> list[SimpleNamespace]:
        cosine = image.mean() / 255
        return [SimpleNamespace(vector=np.array([cosine, np.sqrt(1 - cosine**2)]))]

    teacher = SimpleNamespace(predict=predict)
    monkeypatch.setattr(recognition_lists, "open_peer", lambda *_, **__: teacher)
    monkeypatch.setattr(recognition_lists, "embeddings_of", lambda *_: np.array([[1.0, 0.0]]))
    monkeypatch.setattr(
        recognition_lists, "face_finder", lambda _: lambda _: np.array(ARCFACE_POINTS)
    )
    return tmp_path


def test_who_is_learnt_from(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = data / "train.identities.json"
    arguments = [str(data), str(data / "lfw.identities.json"), str(output)]
    monkeypatch.setattr(sys, "argv", ["recognition_lists", *arguments])
    recognition_lists.main()
    kept = json.loads(output.read_text())["photos"]
    assert [(one["image"], one["person"]) for one in kept] == [
        ("face_identities/new.png", "p_Jane Doe"),
        ("face_unlabelled/far.png", None),
        ("mtfl/images/net_7876/a.png", None),
        ("wider_face/train/crowd.png", None),
        ("youtube_faces/train/Some_One/1.png", "ytf/Some_One"),
    ]
    (crowd,) = (one for one in kept if one["image"].endswith("crowd.png"))
    np.testing.assert_allclose(crowd["landmarks"], ARCFACE_POINTS, atol=0.01)
