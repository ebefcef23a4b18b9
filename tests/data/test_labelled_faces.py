"""Lists of labelled faces, and the layouts that labelled photos come in."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from pocketface.data.glasses import LabelledPhoto, read_glasses, split_people
from pocketface.data.labelled_faces import COLUMNS, read_labelled_faces
from pocketface.errors import DataError, UserError

from ..labelled_lists import write_labelled_faces

CLASSES = ("no_glass", "glass")
POINTS = np.arange(10, dtype=np.float32).reshape(5, 2) + 0.25


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("a.png", "b.png", "c.png"):
        assert cv2.imwrite(str(tmp_path / name), np.zeros((4, 4, 3), np.uint8))
    return tmp_path


def test_what_is_written_is_read(photos: Path) -> None:
    rows = [("a.png", "glass", POINTS), ("b.png", "no_glass", None)]
    write_labelled_faces(photos / "list.csv", rows)
    one, other = read_labelled_faces([photos / "list.csv"], [photos], classes=CLASSES)
    assert (one.path, one.label, one.image_id, one.found) == (photos / "a.png", 1, 0, True)
    np.testing.assert_array_equal(one.landmarks, POINTS)
    assert (other.label, other.image_id, other.found) == (0, 1, False)


def test_photos_that_are_missing_are_named(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [("a.png", "glass", POINTS), ("gone.png", "glass", POINTS)]
    write_labelled_faces(photos / "list.csv", rows)
    assert len(read_labelled_faces([photos / "list.csv"], [photos], classes=CLASSES)) == 1
    assert "list.csv: 1 photos are not in" in caplog.text
    assert "gone.png" in caplog.text
    write_labelled_faces(photos / "list.csv", rows[1:])
    with pytest.raises(DataError, match=r"1 photos are not in .*gone\.png"):
        read_labelled_faces([photos / "list.csv"], [photos], classes=CLASSES)


HEAD = ",".join(COLUMNS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,glasses\na.png,1\n", r"column 'label' is missing; expected image, label, x_left"),
        (f"{HEAD}\na.png,goggles\n", r"list\.csv:2: label 'goggles': expected one of no_glass, gl"),
        (f"{HEAD}\na.png,glass,.1,.2,.3,.4,.5,.6,.7,.8,.9,1\n", "all from 0 to 1: expected pixels"),
        (f"{HEAD}\na.png,glass,1,2\n", r"list\.csv:2: landmarks: expected ten numbers or none"),
        (f"{HEAD}\na.png,glass,1,2,3,4,5,6,7,8,9,x\n", "landmarks: expected ten numbers or none"),
        (f"{HEAD}\na.png,glass,1,2,3,4,5,6,7,8,9,nan\n", "landmarks: expected ten numbers"),
        (f"{HEAD}\n", "no labelled face"),
        (f'{HEAD}\na.png,"glass{"," * 140_000}', r"list\.csv:2: no CSV: field larger than"),
        (f'image,"label{"," * 140_000}', r"list\.csv:1: no CSV: field larger than"),
    ],
)
def test_lists_that_do_not_fit(photos: Path, text: str, message: str) -> None:
    (photos / "list.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        read_labelled_faces([photos / "list.csv"], [photos], classes=CLASSES)


def test_a_list_that_a_spreadsheet_saved(photos: Path) -> None:
    rows = f"{HEAD}\na.png,glass,1,2,3,4,5,6,7,8,9,10\n".replace("\n", "\r\n")
    (photos / "list.csv").write_text(rows, encoding="utf-8-sig")
    (face,) = read_labelled_faces([photos / "list.csv"], [photos], classes=CLASSES)
    assert (face.label, face.landmarks.sum()) == (1, 55)


ROWS = f"{HEAD}\na.png,glass,1,2,3,4,5,6,7,8,9,10.5\nb.png,no_glass,,,,,,,,,,\n"


@pytest.mark.parametrize(
    "content",
    [
        ROWS.encode(),
        ROWS.replace(",", ";").replace("10.5", "10,5").encode(),  # where the comma is for decimals
        ROWS.replace(",", "\t").encode("utf-16"),  # "Unicode text"
        ROWS.replace("\n", "\r\n").encode("utf-8-sig"),
        ROWS.replace("\n", "\r").encode(),
        ROWS.replace("a.png", '"a.png"').replace("image", '"image"').encode(),
        ROWS.replace("image,label", " image , label").replace("glass,", "glass ,").encode(),
        ROWS.replace("right_mouth\n", "right_mouth,note\n").replace("10.5", '10.5,"a, b"').encode(),
        ROWS.replace("10.5", "10.5,,").encode(),  # empty cells beyond the heading
        f"{ROWS}\n\n".encode(),
        ROWS.replace(HEAD, HEAD.upper().replace(",", ", ")).encode(),
        f"sep=;\n{ROWS.replace(',', ';')}".encode(),
        f'"sep=|"\n{ROWS.replace(",", "|")}'.encode(),
        ROWS.replace("\n", f"\n{',' * 11}\n, ,\n").encode(),
    ],
    ids="plain ; utf-16 crlf cr quotes spaces columns cells end upper sep sep| empty".split(),  # noqa: SIM905
)
def test_lists_as_spreadsheets_write_them(photos: Path, content: bytes) -> None:
    (photos / "list.csv").write_bytes(content)
    one, other = read_labelled_faces([photos / "list.csv"], [photos], classes=CLASSES)
    assert (one.label, one.landmarks.sum(), one.path.name) == (1, 55.5, "a.png")
    assert (other.label, other.found, other.path.name) == (0, False, "b.png")


def test_lines_are_counted_from_the_first(photos: Path) -> None:
    (photos / "list.csv").write_text(f"sep=,\n{HEAD}\n{',' * 11}\na.png,glass,1\n")
    with pytest.raises(DataError, match=r"list\.csv:4: landmarks: expected ten numbers or none"):
        read_labelled_faces([photos / "list.csv"], [photos], classes=CLASSES)
    (photos / "list.csv").write_text(f"{HEAD},LABEL\n")
    with pytest.raises(DataError, match=r"list\.csv: two columns are called 'label'"):
        read_labelled_faces([photos / "list.csv"], [photos], classes=CLASSES)


@pytest.mark.parametrize("name", [".\\a.png", "./a.png", "sub\\Ja\u0308ger.png"])
def test_photos_are_found_as_the_coco_reader_finds_them(photos: Path, name: str) -> None:
    (photos / "sub").mkdir()
    (photos / "c.png").rename(photos / "sub" / "J\u00e4ger.png")
    write_labelled_faces(photos / "list.csv", [(name, "glass", POINTS)])
    (face,) = read_labelled_faces([photos / "list.csv"], [photos], classes=CLASSES)
    assert face.path.is_file()


@pytest.mark.parametrize("name", ["../a.png", "..\\a.png", "/etc/passwd", "C:\\a.png"])
def test_photos_outside_the_root_are_none(
    photos: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    (photos / "root").mkdir()
    (photos / "b.png").rename(photos / "root" / "b.png")
    rows = [("b.png", "glass", POINTS), (name, "glass", POINTS)]
    write_labelled_faces(photos / "list.csv", rows)
    (face,) = read_labelled_faces([photos / "list.csv"], [photos / "root"], classes=CLASSES)
    assert face.path.name == "b.png"
    assert "1 x photo whose name leads out of the data root (first: line 3 of list" in caplog.text
    write_labelled_faces(photos / "list.csv", rows[1:])
    with pytest.raises(DataError, match="1 of 1 faces cannot be used: 1 x photo whose name leads"):
        read_labelled_faces([photos / "list.csv"], [photos / "root"], classes=CLASSES)


def test_faces_that_are_listed_twice(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        ("a.png", "glass", POINTS), ("./a.png", "glass", POINTS),  # once
        ("a.png", "no_glass", POINTS + 1),  # another face in the same photo
        ("b.png", "glass", POINTS), ("b.png", "no_glass", POINTS),  # nobody knows
        ("c.png", "glass", None), ("c.png", "glass", None),
    ]  # fmt: skip
    write_labelled_faces(photos / "list.csv", rows)
    found = read_labelled_faces([photos / "list.csv"], [photos], classes=CLASSES)
    assert [(one.path.name, one.label, one.image_id) for one in found] == [
        ("a.png", 1, 0), ("a.png", 0, 1), ("c.png", 1, 2)
    ]  # fmt: skip
    assert "mended 2 records: 2 x face listed twice with the same label" in caplog.text
    assert "2 x face with different labels (first: line 6 (b.png, glass in line 5 of list" in (
        caplog.text
    )
    write_labelled_faces(photos / "more.csv", [("a.png", "no_glass", POINTS), *rows[5:]])
    files = [photos / "list.csv", photos / "more.csv"]
    assert len(read_labelled_faces(files, [photos], classes=CLASSES)) == 2
    assert len(read_labelled_faces(files, [photos], classes=None)) == 6
    write_labelled_faces(photos / "list.csv", rows[3:5])
    with pytest.raises(DataError, match="2 of 2 faces cannot be used: 2 x face with different lab"):
        read_labelled_faces([photos / "list.csv"], [photos], classes=CLASSES)


def test_files_that_are_none(photos: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv: cannot be read"):
        read_labelled_faces([photos / "none.csv"], [photos], classes=CLASSES)
    with pytest.raises(DataError, match=r"a\.png: not UTF-8 text"):
        read_labelled_faces([photos / "a.png"], [photos], classes=CLASSES)
    with pytest.raises(DataError, match="nowhere: no such folder of photos"):
        read_labelled_faces([photos / "none.csv"], [Path("nowhere")], classes=CLASSES)
    with pytest.raises(DataError, match=r"1 file\(s\) and --\*-data-roots 2 folder\(s\)"):
        read_labelled_faces([photos / "none.csv"], [photos, photos], classes=CLASSES)


MEGLASS = """\
10032527@N08_identity_3@2897031600_2.jpg 0
10032527@N08_identity_3@2897031600_3.jpg 1
55@N01_identity_1@11_0.jpg 1
"""


def test_meglass(tmp_path: Path) -> None:
    (tmp_path / "meta.txt").write_text(MEGLASS)
    root, rows = read_glasses(tmp_path)
    assert root == tmp_path
    assert [(row.label, row.person) for row in rows] == [
        ("no_glass", "10032527@N08_identity_3"),
        ("glass", "10032527@N08_identity_3"),
        ("glass", "55@N01_identity_1"),
    ]
    (tmp_path / "meta.txt").write_text("one.jpg 2\n")
    with pytest.raises(DataError, match=r"meta\.txt:1: 'one\.jpg 2': expected a name and 0 or 1"):
        read_glasses(tmp_path)


def test_a_folder_for_each_label(photos: Path) -> None:
    with pytest.raises(DataError, match=r"folders no_glass and glass, or with meta\.txt, or a CSV"):
        read_glasses(photos)
    for label in CLASSES:
        (photos / label / "deep").mkdir(parents=True)
    (photos / "a.png").rename(photos / "glass" / "deep" / "a.png")
    (photos / "b.png").rename(photos / "no_glass" / "b.png")
    _, rows = read_glasses(photos)
    assert {(row.image, row.label) for row in rows} == {
        ("glass/deep/a.png", "glass"),
        ("no_glass/b.png", "no_glass"),
    }


@pytest.mark.parametrize(
    "text",
    [
        "split,image,glasses\ntrain,a.png,1\ntest,b.png,0\n",
        "path,label,split\na.png,glass,train\nb.png,no_glass,test\n",
    ],
)
def test_a_table(photos: Path, text: str) -> None:
    (photos / "list.csv").write_text(text)
    root, rows = read_glasses(photos / "list.csv")
    assert root == photos
    assert [(row.image, row.label, row.part) for row in rows] == [
        ("a.png", "glass", "train"),
        ("b.png", "no_glass", "test"),
    ]
    (photos / "images").mkdir()
    assert read_glasses(photos / "list.csv")[0] == photos / "images"
    (photos / "list.csv").write_text("image,glasses\na.png,2\n")
    with pytest.raises(DataError, match=r"list\.csv:2: glasses '2': expected one of 0, 1, no_gl"):
        read_glasses(photos / "list.csv")
    (photos / "list.csv").write_text("a,b\n")
    with pytest.raises(DataError, match=r"columns a, b: expected one of image, path, file, name"):
        read_glasses(photos / "list.csv")


def test_photos_of_a_table_are_listed_once(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    (photos / "sub").mkdir()
    (photos / "c.png").rename(photos / "sub" / "c.png")
    rows = [
        "a.png,1,train", "./a.png,1,train", ".\\a.png,1,test", "b.png,1,train", "b.png,0,train",
        "../x.png,1,train", "sub\\c.png,0,test", "gone.png,0,test", "gone2.png,0,test",
    ]  # fmt: skip
    (photos / "list.csv").write_text("\n".join(["image,glasses,split", *rows]))
    _, found = read_glasses(photos / "list.csv")
    assert [(row.image, row.label, row.part) for row in found] == [
        ("a.png", "glass", "train"), ("sub/c.png", "no_glass", "test"),
        ("gone.png", "no_glass", "test"), ("gone2.png", "no_glass", "test"),
    ]  # fmt: skip
    assert "skipped 3 bad records: 2 x photo with different labels (first: line 6 (b.png, gl" in (
        caplog.text
    )
    assert "1 x photo listed twice with the same label (first: line 3 of list.csv)" in caplog.text
    assert "1 x photo that is in another part too, left out of the later (first: li" in caplog.text


def test_people_are_in_one_part_only(caplog: pytest.LogCaptureFixture) -> None:
    rows = [LabelledPhoto(f"{n}.jpg", "glass", person=str(n % 200)) for n in range(1000)]
    parts = split_people(rows, test_fraction=0.3, source=Path("list.csv"))
    people = {part: {row.person for row in parts if row.part == part} for part in ("train", "test")}
    assert not people["train"] & people["test"]
    assert 0.2 < len(people["test"]) / 200 < 0.4
    # Who is in which does not hang on who else there is.
    some = split_people(rows[:100], test_fraction=0.3, source=Path("list.csv"))
    assert [row.part for row in some] == [row.part for row in parts[:100]]
    assert not caplog.text
    split_people(rows[:1], test_fraction=0.001, source=Path("list.csv"))
    assert "nobody falls to the list test, which was to have 0.1 % of the people" in caplog.text
    with pytest.raises(UserError, match=r"--test-fraction 0\.3: list\.csv does not say who is"):
        split_people([LabelledPhoto("a.jpg", "glass")], test_fraction=0.3, source=Path("list.csv"))


def test_json_is_no_list_of_faces(tmp_path: Path) -> None:
    file = tmp_path / "faces.json"
    file.write_text('{"images": [{"width": 100}, {"width": 100}]}')
    with pytest.raises(DataError, match=r"faces\.json: is JSON; expected a CSV with a heading"):
        read_labelled_faces([file], [tmp_path], classes=["glass"])
