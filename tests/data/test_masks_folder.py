"""Any folders of photos and masks become lists that training reads."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pocketface.data.mask_pairs import read_list
from pocketface.data.masks import FindLandmarks, Split
from pocketface.errors import DataError, UserError

from .mask_folders import VALUES, Make, convert, palette, truth


def test_training_reads_what_is_written(make_pairs: Make, tmp_path: Path) -> None:
    root, [made] = convert(make_pairs(), "face=1,2", "background=rest")
    assert (root, made.path, made.pairs) == (
        tmp_path / "out",
        tmp_path / "out" / "all.masks.json",
        4,
    )
    names = [pair.image for pair in read_list(made.path).pairs]
    assert names == ["images/a.jpg", "images/b.jpg", "images/d.webp", "images/sub/c.png"]
    assert os.path.samefile(tmp_path / "photos" / "a.jpg", root / "images" / "a.jpg")
    np.testing.assert_array_equal(truth(root, made.path, ["face"]), (VALUES > 0) & (VALUES < 7))
    assert sorted(os.listdir(root)) == ["all.masks.json", "images", "masks"]


def test_classes_get_numbers_in_their_order(make_pairs: Make) -> None:
    root, [made] = convert(make_pairs(), "hair=7", "face=1", "face=2")
    assert read_list(made.path).classes == {"1": "hair", "2": "face"}
    classes = ["background", "face", "hair"]
    expected = np.array([0, 1, 1, 0, 0, 0, 0, 2])[VALUES]
    np.testing.assert_array_equal(truth(root, made.path, classes), expected)


def test_in_place(make_pairs: Make, tmp_path: Path) -> None:
    photos, labels = make_pairs()
    before = sorted(tmp_path.rglob("*.*"))
    root, [made] = convert((photos, labels), "face=1,2", "background=rest", in_place=True)
    assert root == tmp_path
    content = read_list(made.path)
    assert content.classes == {"1": "face", "2": "face", "7": "background"}
    assert content.pairs[3].image == "photos/sub/c.png"
    assert content.pairs[3].mask == "labels/sub/c.png"
    np.testing.assert_array_equal(truth(root, made.path, ["face"]), (VALUES > 0) & (VALUES < 7))
    assert sorted(tmp_path.rglob("*.*")) == sorted([*before, made.path])


def test_photos_and_masks_that_do_not_fit(
    make_pairs: Make, caplog: pytest.LogCaptureFixture
) -> None:
    folders = make_pairs("e.jpg", "f.jpg", "g.jpg", "h.jpg", "i.jpg", "j.jpg", "k.jpg", "l.jpg")
    (folders[1] / "e.png").unlink()
    (folders[0] / "f.jpg").unlink()
    (folders[0] / "g.jpg").write_text("text")
    Image.fromarray(VALUES).save(folders[1] / "h.bmp")
    _, [made] = convert(folders)
    assert made.pairs == 5
    assert "1 x photo without a mask (first: e.jpg of photos)" in caplog.text
    assert "1 x mask without a photo (first: f.png of photos)" in caplog.text
    assert "1 x photo that cannot be read (first: g.jpg (" in caplog.text
    assert "1 x picture of which there are two of one name (first: h.png" in caplog.text


@pytest.mark.parametrize("ending", ["_mask", "-mask"])
def test_masks_may_be_called_so(
    ending: str, make_pairs: Make, caplog: pytest.LogCaptureFixture
) -> None:
    folders = make_pairs("a.jpg", "b.jpg", "b_mask.jpg")
    (folders[1] / "a.png").rename(folders[1] / f"a{ending}.png")
    root, [made] = convert(folders)
    assert made.pairs == 3
    assert not caplog.text
    np.testing.assert_array_equal(truth(root, made.path, ["face"]), VALUES == 1)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize(("find", "warned"), [(None, True), (lambda _: np.eye(5, 2), False)])
def test_small_faces_are_no_heads(
    find: FindLandmarks | None,
    warned: bool,
    in_place: bool,
    make_pairs: Make,
    caplog: pytest.LogCaptureFixture,
) -> None:
    small: NDArray[np.uint8] = np.zeros((30, 40), np.uint8)
    small[10:20, 10:20] = 1
    convert(make_pairs(mask=Image.fromarray(small)), "face=1", find=find, in_place=in_place)
    said = "the classes cover 8 % of a photo in the median: where photos are no upright"
    assert (said in caplog.text) == warned


def test_a_table_says_the_list_and_the_tags(
    make_pairs: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = tmp_path / "labels.csv"
    rows = "gone,train,0,0,0\na,train,1,0,.5\nphotos/b.jpg,train,0,1,.4\nsub\\c.png,test,1,1,.25\n"
    table.write_text(f"name,split,glasses,hat,share\n{rows}")
    _, lists = convert(make_pairs(), table=table)
    assert [(one.path.name, one.pairs) for one in lists] == [
        ("test.masks.json", 1),
        ("train.masks.json", 2),
    ]
    test, train = (read_list(one.path).pairs for one in lists)
    assert [pair.tags for pair in (*train, *test)] == [("glasses",), ("hat",), ("glasses", "hat")]
    assert f"1 photos are not in {table}: d.webp" in caplog.text
    assert f"1 rows of {table} name no photo with a mask: gone" in caplog.text
    with pytest.raises(
        UserError, match=r"--test-fraction: not with .*labels\.csv, which has a col"
    ):
        convert(make_pairs(), table=table, split=Split(0.5))


def test_a_column_that_is_nearly_a_tag_is_named(
    make_pairs: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = tmp_path / "labels.csv"
    rows = "a,1,1,3,,1\nb,yes,0,1,note,\nsub/c,0,1,4,,0\nd,0,0,0,,-\n"
    table.write_text(f"name,glasses,hat,age,remark,beard\n{rows}")
    _, [made] = convert(make_pairs(), table=table)
    tags = {pair.image: pair.tags for pair in read_list(made.path).pairs}
    assert sorted(name for name in tags if tags[name] == ("hat",)) == [
        "images/a.jpg",
        "images/sub/c.png",
    ]
    assert set(tags.values()) == {("hat",), ()}
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"{table}:3: column glasses: 'yes' is neither 0 nor 1, so the column gives no tag",
        f"{table}:5: column beard: '-' is neither 0 nor 1, so the column gives no tag",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "photo,split\na,train\n",
            r"columns photo, split: expected one of image, name, path, file",
        ),
        ("image,split\na,../x\n", r":2: split '\.\./x': expected letters, digits, _ and -"),
        ("image,split\n,train\n", r":2: image is empty"),
        ("image,hat\na.jpg,1\nA.png,0\n", r":3: A\.png: is there already, and differs"),
        ("image,hat\n", r": no rows"),
        ("image,hat\nz,0\n", r"t\.csv: names none of the photos of .*photos"),
    ],
)
def test_bad_tables(text: str, message: str, make_pairs: Make, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(text)
    with pytest.raises(DataError, match=message):
        convert(make_pairs(), table=table)


def test_split_by_photo(make_pairs: Make, caplog: pytest.LogCaptureFixture) -> None:
    folders = make_pairs(*(f"{place}.jpg" for place in range(10)))
    without: NDArray[np.uint8] = np.where(VALUES == 2, 1, VALUES).astype(np.uint8)
    for place in range(9):
        Image.fromarray(without).save(folders[1] / f"{place}.png")
    chosen: list[set[str]] = []
    for seed in (0, 0, 1):
        output = folders[0].parent / str(seed)
        lists = convert(folders, output=output, split=Split(0.3, seed), in_place=True)[1]
        test, train = ({pair.image for pair in read_list(one.path).pairs} for one in lists)
        assert (len(test), len(train), len(test | train)) == (3, 7, 10)
        chosen.append(test)
    assert chosen[0] == chosen[1] != chosen[2]
    assert "class glasses is in none of its" in caplog.text


@pytest.mark.parametrize("in_place", [False, True])
def test_landmarks(make_pairs: Make, in_place: bool, caplog: pytest.LogCaptureFixture) -> None:
    points = np.arange(10, dtype=np.float32).reshape(5, 2) + 0.123

    def find(image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        return points if image[0, 0, 0] > 150 else None

    folders = make_pairs("a.jpg", "b.jpg")
    Image.new("RGB", (40, 30)).save(folders[0] / "b.jpg")
    root, [made] = convert(folders, find=find, in_place=in_place)
    assert made.pairs == 1
    (first,) = json.loads(made.path.read_text())["pairs"]
    assert first["landmarks"] == [[0.12, 1.12], [2.12, 3.12], [4.12, 5.12], [6.12, 7.12],
                                  [8.12, 9.12]]  # fmt: skip
    # Without landmarks the photo would be taken for a head already cut.
    assert "1 x photo in which no face was found (first: b.jpg (40x30)" in caplog.text
    if not in_place:
        assert [one.name for one in root.rglob("b.*")] == []
    with pytest.raises(DataError, match=r"2 of 2 pairs cannot be used: 2 x photo in which no"):
        convert(folders, find=lambda _: None, output=folders[0].parent / "other", in_place=in_place)


def test_places_that_are_refused(make_pairs: Make) -> None:
    photos, labels = make_pairs()
    for output, message in ((photos, "lies in"), (labels / "new", "lies in")):
        with pytest.raises(UserError, match=message):
            convert((photos, labels), output=output)
    with pytest.raises(UserError, match="expected a folder of masks beside that of the photos"):
        convert((photos, photos))
    with pytest.raises(UserError, match="--in-place: expected values in --classes, found colours"):
        convert((photos, labels), "face=#ff0000", in_place=True)
    palette(VALUES).save(labels / "a.png")
    pattern = r"1 x mask that cannot be used in place \(first: a\.jpg \(.*its pixels are P"
    for name in ("b", "d", "sub/c"):
        palette(VALUES).save(labels / f"{name}.png")
    with pytest.raises(DataError, match=pattern.replace("1 x", "4 x")):
        convert((photos, labels), in_place=True)


@pytest.mark.parametrize("in_place", [False, True])
def test_a_name_that_lists_cannot_have(
    in_place: bool, make_pairs: Make, caplog: pytest.LogCaptureFixture
) -> None:
    folders = make_pairs("a.jpg", "b.jpg")
    for folder, suffix in zip(folders, (".jpg", ".png"), strict=True):
        try:
            os.rename(
                folder / f"b{suffix}", os.fsdecode(bytes(folder) + b"/\xff" + suffix.encode())
            )
        except OSError:
            pytest.skip("this disk has UTF-8 names alone")
    _, [made] = convert(folders, in_place=in_place)
    assert made.pairs == 1
    assert "1 x name that is no UTF-8" in caplog.text
