"""CelebAMask-HQ's official layout to photos and masks of one size."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pocketface.data.celebamask import CLASSES, convert_celebamask, reduce_mask
from pocketface.data.mask_pairs import read_list, read_mask, read_mask_pairs, read_mask_values
from pocketface.data.masks import Split
from pocketface.errors import DataError, UserError

ONE = Split()
Area = tuple[slice, slice]
HEAD: dict[str, Area] = {
    "skin": np.s_[100:400, 100:400],
    "eye_g": np.s_[180:240, 120:380],
    "l_eye": np.s_[200:220, 140:200],
    "hair": np.s_[40:136, 80:424],
    "neck": np.s_[400:480, 180:320],
    "ear_r": np.s_[300:340, 90:110],
}  # fmt: skip
"""Parts that overlap; the left eye lies behind the glasses, the earring over the skin."""


def put(
    folder: Path, number: int, parts: Mapping[str, Area], *, side: int = 1024, masks: int = 512
) -> None:
    """A photo and its parts, in the official layout."""
    photo = folder / "CelebA-HQ-img" / f"{number}.jpg"
    photo.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), (90, 60, number % 256)).save(photo)
    for part, area in parts.items():
        plane = np.zeros((masks, masks, 3), np.uint8)
        plane[area] = 255
        path = folder / f"CelebAMask-HQ-mask-anno/{number // 2000}/{number:05d}_{part}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(plane).save(path)


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., Path]:
    """Makes a set of heads with these numbers."""

    def make(*numbers: int) -> Path:
        for number in numbers:
            put(tmp_path / "set", number, HEAD)
        return tmp_path / "set"

    return make


def test_the_sample_is_what_others_made_of_it(shared: Path, tmp_path: Path) -> None:
    folder = shared / "celebamask"
    [made] = convert_celebamask(folder / "official_sample", tmp_path, split=ONE)
    assert made.pairs == 12
    content = read_list(made.path)
    for pair in content.pairs:
        number = int(Path(pair.image).stem)
        expected = read_mask_values(folder / "masks" / f"{number:04d}.png")
        np.testing.assert_array_equal(read_mask_values(tmp_path / pair.mask), expected)
    tags = [tag for pair in content.pairs for tag in pair.tags]
    assert (tags.count("glasses"), tags.count("hat")) == (4, 3)


def test_later_parts_cover_earlier_ones(source: Callable[..., Path], tmp_path: Path) -> None:
    put(source(7), 2001, HEAD | {"hat": np.s_[0:60, 80:420]})
    [made] = convert_celebamask(source(7), tmp_path / "out", split=ONE)
    assert made.path == tmp_path / "out" / "all.masks.json"
    content = read_list(made.path)
    assert [pair.image for pair in content.pairs] == ["images/00007.jpg", "images/02001.jpg"]
    assert [pair.tags for pair in content.pairs] == [("glasses",), ("glasses", "hat")]
    assert content.classes == {str(v): name for v, name in CLASSES.items() if name != "ear"}
    mask = read_mask_values(tmp_path / "out" / "masks" / "02001.png")
    assert mask.shape == (256, 256)
    eye, lens, chin, fringe, hat, neck, earring, nothing = (
        mask[y // 2, x // 2]
        for y, x in (
            (210, 150), (230, 150), (390, 250), (120, 250), (50, 250), (450, 250), (320, 105),
            (5, 5),
        )
    )  # fmt: skip
    assert (eye, lens, chin, fringe, hat, neck, earring, nothing) == (1, 2, 1, 3, 4, 6, 0, 0)
    with Image.open(tmp_path / "out" / "images" / "02001.jpg") as photo:
        assert photo.size == (256, 256)
    [one, *_] = read_mask_pairs([made.path], [tmp_path / "out"], classes=["face"])
    assert read_mask(one, shape=(256, 256)).sum() == (read_mask_values(one.mask_path) == 1).sum()
    assert sorted(os.listdir(tmp_path / "out")) == ["all.masks.json", "images", "masks"]


@pytest.mark.parametrize("size", [64, 512])
def test_sizes(size: int, source: Callable[..., Path], tmp_path: Path) -> None:
    convert_celebamask(source(0), tmp_path / "out", size=size, split=ONE)
    mask = read_mask_values(tmp_path / "out" / "masks" / "00000.png")
    assert mask.shape == (size, size)
    assert (mask == 3).sum() * (512 // size) ** 2 == 96 * 344


@pytest.mark.parametrize(
    ("block", "winner"),
    [
        ([[1, 2], [2, 0]], 2),
        ([[1, 2], [2, 1]], 1),
        ([[2, 1], [1, 2]], 2),
        ([[3, 0], [1, 2]], 3),
        ([[5, 5, 5, 1], [1, 1, 1, 0], [0, 0, 2, 2], [6, 6, 3, 4]], 1),
    ],
)
def test_blocks_vote(block: list[list[int]], winner: int) -> None:
    mask: NDArray[np.uint8] = np.array(block, np.uint8)
    assert reduce_mask(mask, 1) == winner
    four = np.block([[mask, 0 * mask], [0 * mask, mask]])
    np.testing.assert_array_equal(reduce_mask(four, 2), [[winner, 0], [0, winner]])


def test_split_by_person(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "set"
    for number in range(8):
        put(folder, number, {"skin": HEAD["skin"]}, side=64)
    split = Split(test_fraction=0.25, seed=3)
    lists = convert_celebamask(folder, tmp_path / "photos", size=32, split=split)
    assert [(one.path.name, one.pairs) for one in lists] == [
        ("test.masks.json", 2),
        ("train.masks.json", 6),
    ]
    assert "split by photo, so that one person may be in both" in caplog.text
    caplog.clear()
    persons = "".join(f"{100 + number:06d}.jpg {number // 2}\n" for number in range(8))
    (folder / "identity_CelebA.txt").write_text(persons)
    rows = "".join(f"{number} {99 + number} {100 + number:06d}.jpg\n" for number in range(8))
    (folder / "CelebA-HQ-to-CelebA-mapping.txt").write_text(f"idx orig_idx orig_file\n{rows}")
    chosen = set()
    for seed in range(4):
        output = tmp_path / f"persons{seed}"
        test, train = convert_celebamask(folder, output, size=32, split=Split(0.25, seed))
        assert (test.pairs, train.pairs) == (2, 6)
        first, second = (int(Path(pair.image).stem) for pair in read_list(test.path).pairs)
        assert first // 2 == second // 2
        chosen.add(first)
    assert len(chosen) > 1
    assert not caplog.text
    (folder / "identity_CelebA.txt").write_text("000100.jpg\n")
    with pytest.raises(DataError, match=r"CelebA\.txt:1: '000100\.jpg': expected 2 columns"):
        convert_celebamask(folder, tmp_path / "bad", size=32, split=split)
    assert not (tmp_path / "bad").exists()


def no_skin(folder: Path) -> None:
    put(folder, 5, {"hair": HEAD["hair"]})


def no_mask(folder: Path) -> None:
    put(folder, 5, {})


def no_photo(folder: Path) -> None:
    put(folder, 5, HEAD)
    (folder / "CelebA-HQ-img" / "5.jpg").unlink()


def small_masks(folder: Path) -> None:
    put(folder, 5, HEAD, masks=420)


def wide_photo(folder: Path) -> None:
    put(folder, 5, HEAD)
    Image.new("RGB", (1024, 768)).save(folder / "CelebA-HQ-img" / "5.jpg")


def cut_off_photo(folder: Path) -> None:
    put(folder, 5, HEAD)
    path = folder / "CelebA-HQ-img" / "5.jpg"
    path.write_bytes(path.read_bytes()[:2000])


def text_mask(folder: Path) -> None:
    put(folder, 5, HEAD)
    (folder / "CelebAMask-HQ-mask-anno" / "0" / "00005_hair.png").write_text("text")


BAD = [
    (no_skin, r"photo without skin in its mask \(first: photo 5 \(parts: hair\)"),
    (no_mask, r"photo without a mask \(first: photo 5 \(no part\)"),
    (no_photo, r"mask without a photo \(first: photo 5 \(no 5\.jpg in CelebA-HQ-img\)"),
    (small_masks, r"mask of another size \(first: photo 5 \(00005_skin\.png: 420 x 420, expected"),
    (wide_photo, r"photo of another size \(first: photo 5 \(1024 x 768, expected 1024 x 1024\)"),
    (cut_off_photo, r"cannot be read \(first: photo 5 \(.*5\.jpg: damaged or cut-off image"),
    (text_mask, r"cannot be read \(first: photo 5 \(.*00005_hair\.png: not an image"),
]


@pytest.mark.parametrize(("spoil", "message"), BAD)
def test_bad_pairs_are_left_out(
    spoil: Callable[[Path], None],
    message: str,
    source: Callable[..., Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = source(1)
    spoil(folder)
    [made] = convert_celebamask(folder, tmp_path / "out", size=32, split=ONE)
    assert made.pairs == 1
    assert len(list((tmp_path / "out" / "images").iterdir())) == 1
    assert re.search("skipped 1 bad records: 1 x .*" + message, caplog.text)


def test_too_many_bad_pairs(source: Callable[..., Path], tmp_path: Path) -> None:
    folder = source(1)
    for number in (5, 6):
        put(folder, number, {"hair": HEAD["hair"]})
    with pytest.raises(DataError, match="2 of 3 photos cannot be used: 2 x photo without skin"):
        convert_celebamask(folder, tmp_path / "out", size=32, split=ONE)
    assert not (tmp_path / "out").exists()


def test_refusals(source: Callable[..., Path], tmp_path: Path) -> None:
    output = tmp_path / "out"
    with pytest.raises(DataError, match="not CelebAMask-HQ: expected CelebA-HQ-img and CelebAMask"):
        convert_celebamask(tmp_path, output, split=ONE)
    with pytest.raises(DataError, match="none: no such folder"):
        convert_celebamask(tmp_path / "none", output, split=ONE)
    folder = source(1)
    with pytest.raises(UserError, match=r"--size 300: expected one of 32, 64, 128, 256, 512"):
        convert_celebamask(folder, output, size=300, split=ONE)
    with pytest.raises(UserError, match=r"--test-fraction 0\.5: all pairs are of one group"):
        convert_celebamask(folder, output, size=32, split=Split(0.5))
    assert not output.exists()
    (output / "masks").mkdir(parents=True)
    with pytest.raises(UserError, match="its masks is there already; expected a new folder"):
        convert_celebamask(folder, output, split=ONE)
    for share in (0.0, 1.0):
        with pytest.raises(UserError, match="--test-fraction"):
            Split(share)


@pytest.mark.parametrize("twin", ["CelebA-HQ-img/01.jpg", "CelebAMask-HQ-mask-anno/2/1_skin.png"])
def test_two_files_of_one_number_are_refused(
    twin: str, source: Callable[..., Path], tmp_path: Path
) -> None:
    folder = source(1)
    assert convert_celebamask(folder, tmp_path / "out", size=32, split=ONE)
    place = folder / twin
    place.parent.mkdir(exist_ok=True)
    original = next((folder / place.parts[-2]).glob("*")) if "img" in twin else None
    shutil.copy(original or next(folder.rglob("*_skin.png")), place)
    with pytest.raises(DataError, match="have the same number: which of them is it"):
        convert_celebamask(folder, tmp_path / "other", size=32, split=ONE)
    assert not (tmp_path / "other").exists()
