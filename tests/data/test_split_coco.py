"""Splitting a COCO file by image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pocketface.data.coco import read_coco
from pocketface.data.split import split_coco
from pocketface.errors import DataError, UserError


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def test_real_file(shared: Path, tmp_path: Path) -> None:
    source = shared / "face_mask" / "faces.json"
    whole = load(source)
    paths = split_coco(source, train_fraction=0.8, seed=1, output=tmp_path / "new")
    assert paths == (tmp_path / "new" / "faces.train.json", tmp_path / "new" / "faces.val.json")
    train, val = map(load, paths)
    assert len(train["images"]) == round(853 * 0.8)
    for key in ("images", "annotations"):  # nothing lost, nothing twice, nothing changed
        merged = sorted(train[key] + val[key], key=lambda record: record["id"])
        assert merged == sorted(whole[key], key=lambda record: record["id"])
    for part in (train, val):
        assert part["categories"] == whole["categories"]
        assert part["info"] == whole["info"]
        ids = {image["id"] for image in part["images"]}
        assert {face["image_id"] for face in part["annotations"]} <= ids
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "faces.train.json",
        "faces.val.json",
    ]


def test_same_seed_same_split(shared: Path, tmp_path: Path) -> None:
    source = shared / "airport" / "annotation_faces_train.json"
    texts = [
        split_coco(source, train_fraction=0.5, seed=seed, output=tmp_path / name)[0].read_text()
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    ]
    assert texts[0] == texts[1] != texts[2]


def test_neither_part_is_empty(shared: Path, tmp_path: Path) -> None:
    source = shared / "airport" / "annotation_faces_train.json"
    for train_fraction, expected in ((0.001, (1, 9)), (0.999, (9, 1))):
        output = tmp_path / str(train_fraction)
        paths = split_coco(source, train_fraction=train_fraction, seed=0, output=output)
        assert tuple(len(load(path)["images"]) for path in paths) == expected


@pytest.mark.parametrize("train_fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_fraction(train_fraction: float, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--train-fraction .*: expected a number above 0"):
        split_coco(tmp_path / "x.json", train_fraction=train_fraction, seed=0, output=tmp_path)


CATEGORIES = [{"id": 1, "name": "face"}]


def image(key: Any, name: str, **more: Any) -> dict[str, Any]:
    return {"id": key, "file_name": name, "width": 100, "height": 80, **more}


def face(key: Any, **more: Any) -> dict[str, Any]:
    return {"image_id": key, "category_id": 1, "bbox": [10.5, 20, 30, 40], **more}


def write(path: Path, images: list[Any]) -> Path:
    """Writes a file without annotations; images with an id are given the rest."""
    images = [
        image(one["id"], f"{one['id']}.jpg") | one if isinstance(one, dict) and one else one
        for one in images
    ]
    path.write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    return path


def test_the_number_of_images_is_rounded(tmp_path: Path) -> None:
    file = write(tmp_path / "x.json", [{"id": number} for number in range(100)])
    # In binary, 0.29 * 100 is just below 29.
    for train_fraction, expected in ((0.29, 29), (0.576, 58), (0.574, 57)):
        output = tmp_path / str(train_fraction)
        train, _ = split_coco(file, train_fraction=train_fraction, seed=0, output=output)
        assert len(load(train)["images"]) == expected


def test_refused(tmp_path: Path) -> None:
    for images in ([{"id": 1}], [{"id": 1}, {"id": 1}], [{"id": 1}, {"id": 2}, {}], [1, 2]):
        file = write(tmp_path / "x.json", images)
        with pytest.raises(DataError, match="two or more, each with an id of its own"):
            split_coco(file, train_fraction=0.5, seed=0, output=tmp_path)


def content(ids: list[Any], names: list[str], owners: list[Any]) -> str:
    images = [image(key, name) for key, name in zip(ids, names, strict=True)]
    faces = [face(key, id=place) for place, key in enumerate(owners)]
    return json.dumps({"images": images, "annotations": faces, "categories": CATEGORIES})


def test_a_photo_listed_twice_is_in_one_part(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "x.json"
    names = ["a.jpg", "b.jpg", "c.jpg", ".\\a.jpg", "./B.jpg", "d.jpg"]
    file.write_text(content([*range(6)], names, [*range(6)]))
    for seed in range(8):
        paths = split_coco(file, train_fraction=0.5, seed=seed, output=tmp_path / str(seed))
        parts = [{one["file_name"].lower()[-5:] for one in load(path)["images"]} for path in paths]
        assert [len(part) for part in parts] == [2, 2]
        assert not parts[0] & parts[1]
        assert sum(len(load(path)["annotations"]) for path in paths) == 6
    assert "2 images list a photo again, which goes to one part with all of them" in caplog.text
    file.write_text(content([1, 2], ["a.jpg", "./a.jpg"], []))
    with pytest.raises(DataError, match="all are one photo; expected two or more"):
        split_coco(file, train_fraction=0.5, seed=0, output=tmp_path / "out")


def test_ids_as_numbers_and_as_texts(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(content([0, 1], ["a.jpg", "b.jpg"], ["0", "1", 1]))
    paths = split_coco(file, train_fraction=0.5, seed=0, output=tmp_path / "out")
    assert sorted(len(load(path)["annotations"]) for path in paths) == [1, 2]


def test_annotations_of_no_image(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "x.json"
    file.write_text(content([1, 2], ["a.jpg", "b.jpg"], [1, 7, 8]))
    message = (
        r"x\.json: 2 of 3 labels cannot be used: 2 x annotation of an unknown image_id \(first"
    )
    with pytest.raises(DataError, match=message):
        split_coco(file, train_fraction=0.5, seed=0, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    file.write_text(content([1, 2], ["a.jpg", "b.jpg"], [1, 2, 8]))
    split_coco(file, train_fraction=0.5, seed=0, output=tmp_path / "out")
    assert "skipped 1 bad records: 1 x annotation of an unknown image_id (first: an" in caplog.text


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"annotations": [{"bbox": None, "segmentation": {"counts": "a"}}] * 2}, "with a mask"),
        ({"annotations": [{"bbox": ["1", "2", "3", "4"]}] * 2}, "that is not four finite numbers"),
        ({"annotations": [{"bbox": [0.4, 0.5, 0.7, 0.8]}] * 2}, "numbers are from 0 to 1, and are"),
        ({"images": [{"width": None}] * 2}, "no usable image: 2 x image without a width and hei"),
        ({"categories": ["face"]}, "categories: expected an id and a name, found 'face'"),
        ({"categories": [{"id": 2, "name": "car"}]}, "2 x annotation of an unknown category_id"),
    ],
)
def test_labels_are_judged_as_the_reader_judges_them(
    tmp_path: Path, broken: dict[str, Any], message: str
) -> None:
    content = {
        "images": [image(1, "a.jpg"), image(2, "b.jpg")],
        "annotations": [face(1), face(2)],
        "categories": CATEGORIES,
    }
    for key, changes in broken.items():
        content[key] = [
            one | change if isinstance(change, dict) else change
            for one, change in zip(content[key], changes, strict=False)
        ]
    file = tmp_path / "x.json"
    file.write_text(json.dumps(content))
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).touch()
    with pytest.raises(DataError, match=message) as of_split:
        split_coco(file, train_fraction=0.5, seed=0, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError) as of_reader:
        read_coco([file], [tmp_path], classes=None)
    assert str(of_split.value) == str(of_reader.value)


def test_labels_of_others_than_faces_are_not_judged(tmp_path: Path) -> None:
    masks = [face(1, bbox=None, category_id=2)] * 3
    content = {
        "images": [image(1, "a.jpg"), image(2, "b.jpg")],
        "annotations": [face(1), *masks],
        "categories": [*CATEGORIES, {"id": 2, "name": "person"}],
    }
    file = tmp_path / "x.json"
    file.write_text(json.dumps(content))
    paths = split_coco(file, train_fraction=0.5, seed=0, output=tmp_path / "out")
    assert sorted(len(load(path)["annotations"]) for path in paths) == [0, 4]


def test_a_number_that_is_not_finite_costs_its_annotation_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records = [
        {"id": key, "image_id": 1 + key % 2, "category_id": 1, "bbox": [1, 2, 3, 4]}
        for key in range(4)
    ]
    records[2]["score"] = float("nan")
    file = tmp_path / "x.json"
    images = [{"id": key, "file_name": f"{key}.jpg", "width": 9, "height": 9} for key in (1, 2)]
    categories = [{"id": 1, "name": "face"}]
    content = {"images": images, "annotations": records, "categories": categories}
    file.write_text(json.dumps(content))
    paths = split_coco(file, train_fraction=0.5, seed=0, output=tmp_path / "out")
    kept = [record["id"] for path in paths for record in load(path)["annotations"]]
    assert sorted(kept) == [0, 1, 3]
    assert "annotation with a number that is not finite (first: annotations[2]" in caplog.text


def test_nothing_half_written(tmp_path: Path) -> None:
    file = write(tmp_path / "x.json", [{"id": 1, "score": float("nan")}, {"id": 2}])
    with pytest.raises(DataError, match=r"x\.json: images\[0\]: expected finite numbers"):
        split_coco(file, train_fraction=0.5, seed=0, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(FileExistsError):
        split_coco(
            write(tmp_path / "y.json", [{"id": 1}, {"id": 2}]),
            train_fraction=0.5,
            seed=0,
            output=file,
        )


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "x.json", [{"id": 1}, {"id": 2}])
    train, _ = split_coco(file, train_fraction=0.5, seed=0, output=tmp_path / "out")
    before = train.read_text()

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match=r"No space left on device: '.*x\.train\.json'"):
        split_coco(file, train_fraction=0.5, seed=0, output=tmp_path / "out")
    assert train.read_text() == before
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_a_corrected_list_is_not_replaced(tmp_path: Path) -> None:
    file = write(tmp_path / "x.json", [{"id": 1}, {"id": 2}])
    split = {"train_fraction": 0.5, "seed": 0, "output": tmp_path / "out"}
    train, val = split_coco(file, **split)
    assert split_coco(file, **split) == (train, val)  # which changes nothing
    for corrected in (json.dumps(load(val) | {"info": "mine"}), "not JSON"):
        val.write_text(corrected)
        with pytest.raises(UserError, match=r"its x\.val\.json is there already, and is another"):
            split_coco(file, **split)
        assert val.read_text() == corrected
