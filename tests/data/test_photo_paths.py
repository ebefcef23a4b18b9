"""One lookup of photos for all readers."""

from __future__ import annotations

from pathlib import Path

import pytest

from pocketface.data.photo_paths import PhotoFiles, find_photo, leads_out, plain_name


@pytest.mark.parametrize(
    "name",
    ["../a.jpg", "sub/../../a.jpg", "..\\a.jpg", "/etc/passwd", "\\a.jpg", "\\\\host\\a.jpg",
     "C:\\a.jpg", "c:a.jpg", "a.jpg\0", ".."],
)  # fmt: skip
def test_names_that_lead_out(tmp_path: Path, name: str) -> None:
    (tmp_path / "root" / "sub").mkdir(parents=True)
    (tmp_path / "a.jpg").touch()
    assert leads_out(name)
    assert find_photo(tmp_path / "root", name) is None
    assert PhotoFiles().find(tmp_path / "root", name) is None


@pytest.mark.parametrize("name", ["a..b.jpg", "...", "ab:c.jpg", "sub/.hidden", "~/a.jpg"])
def test_names_that_stay_inside(name: str) -> None:
    assert not leads_out(name)


@pytest.mark.parametrize(
    ("written", "there"),
    [
        ("a.jpg", "a.jpg"),
        ("sub\\a.jpg", "sub/a.jpg"),
        (".\\sub\\a.jpg", "sub/a.jpg"),
        ("./sub//a.jpg", "sub/a.jpg"),
        ("Ja\u0308ger.jpg", "J\u00e4ger.jpg"),
        ("J\u00e4ger.jpg", "Ja\u0308ger.jpg"),
        ("sub\\Ja\u0308ger.jpg", "sub/J\u00e4ger.jpg"),
        ("odd\\name.jpg", "odd\\name.jpg"),
    ],
)
def test_names_as_other_systems_write_them(tmp_path: Path, written: str, there: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / there).touch()
    path = find_photo(tmp_path, written)
    assert path is not None
    assert path.samefile(tmp_path / there)
    files = PhotoFiles()
    one, other = files.find(tmp_path, there), files.find(tmp_path / "sub" / "..", written)
    assert one is not None
    assert other is not None
    assert one[0] == other[0]


@pytest.mark.parametrize("name", ["gone.jpg", "", ".", "sub", "a" * 5000, "\ud800.jpg"])
def test_names_of_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "sub").mkdir()
    assert find_photo(tmp_path, name) is None
    assert PhotoFiles().find(tmp_path, name) is None


@pytest.mark.parametrize("names", [("a.jpg", "A.jpg"), ("J\u00e4.jpg", "Ja\u0308.jpg")])
def test_two_files_are_two_where_the_disk_tells_them_apart(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    for name in names:
        (tmp_path / name).touch()
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("this disk does not tell them apart")
    files = PhotoFiles()
    keys = {found[0] for name in (*names, *names) if (found := files.find(tmp_path, name))}
    assert len(keys) == 2


def test_plain_names() -> None:
    assert plain_name(".\\Sub//./Ja\u0308ger.JPG") == "sub/j\u00e4ger.jpg"
