"""Any folders of photos and masks become lists that training reads."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pocketface.data.mask_pairs import read_list, read_mask, read_mask_pairs
from pocketface.data.masks import Choice, FindLandmarks, WrittenList
from pocketface.data.masks_folder import FolderRequest, convert_folders
from pocketface.data.masks_values import MaskValues
from pocketface.errors import DataError, UserError

VALUES: NDArray[np.uint8] = np.zeros((30, 40), np.uint8)
VALUES[5:20, 10:30] = 1
VALUES[8:10, 12:28] = 2
VALUES[0:5, 8:32] = 7
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)

Make = Callable[..., tuple[Path, Path]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes photos, and a mask for each; see `VALUES`."""

    def make(*names: str, mask: Image.Image | None = None) -> tuple[Path, Path]:
        for name in names or ("a.jpg", "b.jpg", "sub/c.png", "d.webp"):
            photo = tmp_path / "photos" / name
            photo.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 30), (90, 60, 200)).save(photo)
            path = (tmp_path / "labels" / name).with_suffix(".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            (mask or Image.fromarray(VALUES)).save(path)
        return tmp_path / "photos", tmp_path / "labels"

    return make


def convert(
    folders: tuple[Path, Path],
    *classes: str,
    output: Path | None = None,
    choice: Choice = Choice(),  # noqa: B008  # frozen
    table: Path | None = None,
    in_place: bool = False,
    find: FindLandmarks | None = None,
) -> tuple[Path, list[WrittenList]]:
    return convert_folders(
        FolderRequest(
            *folders,
            output or folders[0].parent / "out",
            values=MaskValues.parse(classes or ("face=1", "glasses=2", "hair=7")),
            choice=choice,
            table=table,
            in_place=in_place,
            find_landmarks=find,
        )
    )


def truth(root: Path, file: Path, classes: Sequence[str]) -> NDArray[np.uint8]:
    """The mask of a list's first pair, as training gets it."""
    first = read_mask_pairs([file], [root], classes=classes)[0]
    return read_mask(first, shape=(30, 40))


def test_training_reads_what_is_written(make: Make, tmp_path: Path) -> None:
    root, [made] = convert(make(), "face=1,2", "background=rest")
    assert (root, made.path, made.pairs, made.aligned) == (
        tmp_path / "out",
        tmp_path / "out" / "all.masks.json",
        4,
        0,
    )
    names = [pair.image for pair in read_list(made.path).pairs]
    assert names == ["images/a.jpg", "images/b.jpg", "images/d.webp", "images/sub/c.png"]
    assert os.path.samefile(tmp_path / "photos" / "a.jpg", root / "images" / "a.jpg")
    np.testing.assert_array_equal(truth(root, made.path, ["face"]), (VALUES > 0) & (VALUES < 7))
    assert sorted(os.listdir(root)) == ["all.masks.json", "images", "masks"]


def test_classes_get_numbers_in_their_order(make: Make) -> None:
    root, [made] = convert(make(), "hair=7", "face=1", "face=2")
    assert read_list(made.path).classes == {"1": "hair", "2": "face"}
    classes = ["background", "face", "hair"]
    expected = np.array([0, 1, 1, 0, 0, 0, 0, 2])[VALUES]
    np.testing.assert_array_equal(truth(root, made.path, classes), expected)


def test_in_place(make: Make, tmp_path: Path) -> None:
    photos, labels = make()
    before = sorted(tmp_path.rglob("*.*"))
    root, [made] = convert((photos, labels), "face=1,2", "background=rest", in_place=True)
    assert root == tmp_path
    content = read_list(made.path)
    assert content.classes == {"1": "face", "2": "face", "7": "background"}
    assert content.pairs[3].image == "photos/sub/c.png"
    assert content.pairs[3].mask == "labels/sub/c.png"
    np.testing.assert_array_equal(truth(root, made.path, ["face"]), (VALUES > 0) & (VALUES < 7))
    assert sorted(tmp_path.rglob("*.*")) == sorted([*before, made.path])


def coloured(values: NDArray[np.uint8]) -> Image.Image:
    colours = np.zeros((256, 3), np.uint8)
    colours[[1, 2, 7]] = RED, GREEN, BLUE
    return Image.fromarray(colours[values])


def palette(values: NDArray[np.uint8], *, bits: int = 8) -> Image.Image:
    image = Image.fromarray(values).convert("P")
    image.putdata(values.ravel().tolist())
    colours = [0] * 768
    for place, colour in ((1, RED), (2, GREEN), (7, BLUE)):
        colours[3 * place : 3 * place + 3] = colour
    image.putpalette(colours[: 3 * 2**bits])
    return image


@pytest.mark.parametrize(
    ("mask", "classes"),
    [
        (coloured(VALUES), ("face=#ff0000,#00FF00", "hair=#0000ff")),
        (coloured(VALUES).convert("RGBA"), ("face=#ff0000", "face=#00ff00", "hair=#0000ff")),
        (palette(VALUES), ("face=1,2", "hair=7")),
        (palette(VALUES, bits=4), ("face=1,2", "hair=7")),
        (palette(VALUES), ("face=#ff0000,#00ff00", "hair=#0000ff")),
        (Image.fromarray(VALUES).convert("RGB"), ("face=1,2", "hair=7")),
        (Image.fromarray(VALUES).convert("LA"), ("face=1,2", "hair=7")),
    ],
)
def test_kinds_of_masks(mask: Image.Image, classes: Sequence[str], make: Make) -> None:
    root, [made] = convert(make("a.jpg", mask=mask), *classes)
    expected = np.array([0, 1, 1, 0, 0, 0, 0, 2])[VALUES]
    found = truth(root, made.path, ["background", "face", "hair"])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_numbers(bits: int, make: Make) -> None:
    """As PNG has them (PNG specification, 11.2.2), not stretched to 255."""
    photos, labels = make("a.jpg")
    pixels = (VALUES == 1).astype(np.uint8) * (2**bits - 1)
    write_png(labels / "a.png", pixels, bits)
    root, [made] = convert((photos, labels), f"face={2**bits - 1}")
    np.testing.assert_array_equal(truth(root, made.path, ["face"]), VALUES == 1)


def write_png(path: Path, pixels: NDArray[np.uint8], bits: int) -> None:
    """A grey PNG of few bits, which Pillow does not write."""
    import struct
    import zlib

    height, width = pixels.shape
    rows = b""
    for row in pixels:
        text = "".join(f"{value:0{bits}b}" for value in row)
        rows += b"\0" + int(text, 2).to_bytes(width * bits // 8, "big")

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def sixteen(values: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(values.astype(np.uint16))


def transparent(values: NDArray[np.uint8]) -> Image.Image:
    image = coloured(values).convert("RGBA")
    image.putpixel((3, 3), (255, 0, 0, 10))
    return image


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (coloured(VALUES), r"mask in colour, where --classes has values \(first: z.jpg \(z.png: #"),
        (sixteen(VALUES), r"more than 8 bits, or are no RGB \(first: z.jpg \(z.png: I;16\)"),
        (transparent(VALUES), r"mask with transparent pixels \(first: z.jpg \(z.png\)"),
        (Image.fromarray(VALUES[:, :20]), r"of another size .*\(first: z.jpg \(20x30, photo 40x30"),
        (
            Image.fromarray(VALUES * 0),
            r"without any class \(first: z.jpg \(all of it is background",
        ),
        (Image.fromarray(VALUES * 0 + 1), r"all one class \(first: z.jpg \(all of it is face\)"),
    ],
)
def test_bad_masks(
    mask: Image.Image, message: str, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    make()
    folders = make("z.jpg", mask=mask)
    _, [made] = convert(folders)
    assert made.pairs == 4
    assert re.search("skipped 1 bad records: 1 x .*" + message, caplog.text)
    for name in ("a", "b", "d", "sub/c"):
        mask.save(folders[1] / f"{name}.png")
    with pytest.raises(DataError, match="photos: 5 of 5 pairs cannot be used: 5 x mask "):
        convert(folders, output=folders[0].parent / "again")


def test_photos_and_masks_that_do_not_fit(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    folders = make("e.jpg", "f.jpg", "g.jpg", "h.jpg", "i.jpg", "j.jpg", "k.jpg", "l.jpg")
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


def test_jpeg_masks_and_arrays(make: Make) -> None:
    photos, labels = make("a.jpg")
    (labels / "a.png").unlink()
    np.save(labels / "a.npy", VALUES.astype(np.float32))
    with pytest.raises(DataError, match=r"labels: has no pictures; it has a\.npy"):
        convert((photos, labels))
    Image.fromarray(VALUES).save(labels / "a.jpg")
    with pytest.raises(DataError, match=r"1 x mask in a format that changes values \(JPEG\)"):
        convert((photos, labels))


@pytest.mark.parametrize("in_place", [False, True])
def test_values_without_a_name(in_place: bool, make: Make, tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"labels/a\.png: --classes does not name 7 \(480 pixels\), 2 \(128 pixels\)",
    ) as caught:
        convert(make(), "face=1", in_place=in_place)
    assert (
        caught.value.hint == "name them, or say --classes … background=rest where they are no class"
    )
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="class hat is in none of the 4 masks"):
        convert(make(), "face=1", "hat=9", "background=rest", in_place=in_place)
    assert not list(tmp_path.rglob("*.json"))


def test_soft_borders_are_cut_in_half(make: Make) -> None:
    shades: NDArray[np.uint8] = np.full((30, 40), 6 * np.arange(40), np.uint8)
    folders = make("a.jpg", mask=Image.fromarray(shades))
    with pytest.raises(DataError, match="and 31 more") as caught:
        convert(folders, "face=255")
    assert caught.value.hint == "if borders are soft, say --classes face=128-255 background=rest"
    root, [made] = convert(folders, "face=128-255", "background=rest")
    np.testing.assert_array_equal(truth(root, made.path, ["face"]), shades >= 128)


@pytest.mark.parametrize("ending", ["_mask", "-mask"])
def test_masks_may_be_called_so(ending: str, make: Make, caplog: pytest.LogCaptureFixture) -> None:
    folders = make("a.jpg", "b.jpg", "b_mask.jpg")
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
    make: Make,
    caplog: pytest.LogCaptureFixture,
) -> None:
    small: NDArray[np.uint8] = np.zeros((30, 40), np.uint8)
    small[10:20, 10:20] = 1
    convert(make(mask=Image.fromarray(small)), "face=1", find=find, in_place=in_place)
    said = "the classes cover 8 % of a photo in the median: where photos are no upright"
    assert (said in caplog.text) == warned


def test_colours_without_a_name(make: Make) -> None:
    with pytest.raises(DataError, match=r"--classes does not name #0000ff \(120 pixels\), #00ff00"):
        convert(make("a.jpg", mask=coloured(VALUES)), "face=#ff0000")


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["face"], "--classes face: expected NAME=VALUE, as in face=1,2 or"),
        (["face="], "--classes face=: expected NAME=VALUE"),
        (["=1"], "--classes =1: expected NAME=VALUE"),
        (["face=256"], "--classes face=256: expected 0 to 255"),
        (["face=9-3"], "--classes face=9-3: expected 0 to 255"),
        (["face=1-5", "hair=4"], "--classes: 4 is to be 'face' and 'hair'"),
        (["face=x"], "--classes face=x: expected 0 to 255, some as 128-255, or a colour as"),
        (["face=#ff00"], "--classes face=#ff00: expected a colour as #ff0000"),
        (["face=#ff0000", "hair=1"], "--classes hair=1: expected a colour as #ff0000"),
        (["face=1", "hair=1"], "--classes: 1 is to be 'face' and 'hair'"),
        (["face=rest", "hair=rest"], "--classes: rest is to be 'face' and 'hair'"),
        (["background=1,2"], "--classes: expected a class beside background, as in face=1"),
    ],
)
def test_names_of_values(classes: Sequence[str], message: str) -> None:
    with pytest.raises(UserError, match=f"^{re.escape(message)}"):
        MaskValues.parse(classes)


def test_a_table_says_the_list_and_the_tags(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = tmp_path / "labels.csv"
    rows = "gone,train,0,0,0\na,train,1,0,.5\nphotos/b.jpg,train,0,1,.4\nsub\\c.png,test,1,1,.25\n"
    table.write_text(f"name,split,glasses,hat,share\n{rows}")
    _, lists = convert(make(), table=table)
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
        convert(make(), table=table, choice=Choice(0.5))


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
def test_bad_tables(text: str, message: str, make: Make, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text(text)
    with pytest.raises(DataError, match=message):
        convert(make(), table=table)


def test_split_by_photo(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    folders = make(*(f"{place}.jpg" for place in range(10)))
    without: NDArray[np.uint8] = np.where(VALUES == 2, 1, VALUES).astype(np.uint8)
    for place in range(9):
        Image.fromarray(without).save(folders[1] / f"{place}.png")
    chosen: list[set[str]] = []
    for seed in (0, 0, 1):
        lists = convert(folders, choice=Choice(0.3, seed), in_place=True)[1]
        test, train = ({pair.image for pair in read_list(one.path).pairs} for one in lists)
        assert (len(test), len(train), len(test | train)) == (3, 7, 10)
        chosen.append(test)
    assert chosen[0] == chosen[1] != chosen[2]
    assert "class glasses is in none of its" in caplog.text


def test_landmarks(make: Make) -> None:
    points = np.arange(10, dtype=np.float32).reshape(5, 2) + 0.123

    def find(image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        return points if image[0, 0, 0] > 150 else None

    folders = make("a.jpg", "b.jpg")
    Image.new("RGB", (40, 30)).save(folders[0] / "b.jpg")
    _, [made] = convert(folders, find=find)
    assert (made.pairs, made.aligned) == (2, 1)
    first, second = json.loads(made.path.read_text())["pairs"]
    assert first["landmarks"] == [[0.12, 1.12], [2.12, 3.12], [4.12, 5.12], [6.12, 7.12],
                                  [8.12, 9.12]]  # fmt: skip
    assert "landmarks" not in second


def test_places_that_are_refused(make: Make) -> None:
    photos, labels = make()
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
    in_place: bool, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    folders = make("a.jpg", "b.jpg")
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
