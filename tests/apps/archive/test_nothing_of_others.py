"""What is nobody's to write: originals behind links, files and manifests of others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pocketface.apps.archive.request import ArchiveRequest, ArchiveSummary
from pocketface.apps.archive.run import blur_archive
from pocketface.apps.blur.manifest import MANIFEST
from pocketface.apps.blur.request import BlurRequest
from pocketface.errors import DataError, UserError

from ...pixel_recognizer import write_detector, write_photo

pytest.importorskip("fsspec")

Blur = Callable[..., ArchiveSummary]


@pytest.fixture
def blur(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blur:
    write_detector(tmp_path / "three.onnx", 40, 40, 40)
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "sub/b.png"):
        write_photo(Path("in", name), 1, 2, 3)

    def run(source: str = "in", output: str = "out", *, force: bool = False, **options: Any) -> Any:
        settings = BlurRequest(sources=(), detector=tmp_path / "three.onnx", force=force)
        return blur_archive(
            ArchiveRequest(settings=settings, source=source, output=output, **options)
        )

    return run


def _all_of(folder: str) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path(folder).rglob("*.png")}


def _output_is_a_link() -> None:
    os.symlink("in", "out")


def _a_folder_of_the_output_is_a_link() -> None:
    os.mkdir("out")
    os.symlink("../in/sub", "out/sub")


def _a_photo_is_a_link_into_the_output() -> None:
    os.mkdir("out")
    os.rename("in/a.png", "out/a.png")
    os.symlink("../out/a.png", "in/a.png")


def _the_source_is_a_link_to_the_output() -> None:
    os.rename("in", "out")
    os.symlink("out", "in")


@pytest.mark.parametrize(
    "make",
    [
        _output_is_a_link,
        _a_folder_of_the_output_is_a_link,
        _a_photo_is_a_link_into_the_output,
        _the_source_is_a_link_to_the_output,
    ],
)
def test_links_lead_to_no_original(make: Callable[[], None], blur: Blur) -> None:
    """Not even with --force."""
    make()
    before = _all_of("in")
    assert before
    with pytest.raises(UserError, match=r"--output .*(lies within|a photo to be blurred)"):
        blur(force=True)
    assert _all_of("in") == before


def test_nor_does_another_way_to_write_an_address(blur: Blur, tmp_path: Path) -> None:
    before = _all_of("in")
    for output in (f"file://{tmp_path}/in", f"simplecache::file://{tmp_path}/in/x"):
        with pytest.raises(UserError, match=r"--output .*: lies within .*in, or around it"):
            blur(output=output, force=True, manifest=Path("m.jsonl"))
    with pytest.raises(UserError, match=r"--output .*: lies within memory:///b/in, or around"):
        blur("memory:///b/in", "memory://b/in/out", force=True, manifest=Path("m.jsonl"))
    assert _all_of("in") == before


def test_a_link_with_the_name_of_what_is_written_is_replaced(blur: Blur) -> None:
    os.mkdir("out")
    os.symlink("../in/a.png", "out/a.png")
    before = _all_of("in")
    assert blur(force=True).photos == 2
    assert not Path("out/a.png").is_symlink()
    assert _all_of("in") == before


@pytest.mark.parametrize("begun", [None, b"", b'{"pocket'], ids=["none", "empty", "torn"])
def test_files_of_others_stay_however_often_it_is_tried(begun: bytes | None, blur: Blur) -> None:
    write_photo(Path("out/sub/b.png"), 1)
    if begun is not None:
        Path("out", MANIFEST).write_bytes(begun)
    before = _all_of("out")
    for _ in range(2):
        with pytest.raises(UserError, match=r"sub/b.png: .*out/sub/b.png is there already"):
            blur()
        assert _all_of("out") == before
    assert Path("out", MANIFEST).exists() == (begun is not None)


@pytest.mark.parametrize("content", [b'{"my": "data"}', b"\n", b"notes\nof mine\n", b"\x89PNG"])
def test_a_file_that_is_no_manifest_stays_as_it_is(content: bytes, blur: Blur) -> None:
    Path("mine.json").write_bytes(content)
    with pytest.raises(DataError, match=r"mine.json: is no manifest of version 1"):
        blur(manifest=Path("mine.json"))
    assert Path("mine.json").read_bytes() == content
    assert _all_of("out") == {}


def test_a_manifest_whose_first_line_was_torn_is_begun_anew(blur: Blur) -> None:
    Path("m.jsonl").write_bytes(b'{"pocketfa')
    assert blur(manifest=Path("m.jsonl")).photos == 2
    assert blur(manifest=Path("m.jsonl")).skipped == 2


@pytest.mark.parametrize(
    "line",
    [
        b"[1]",
        b"7",
        b"\xff",
        b"[" * 100_000,
        b'{"source": "a", "source_sha256": "", "settings": "", "output": ["a"], '
        b'"output_sha256": "", "faces": 1, "hidden": 1}',
    ],
    ids=["list", "number", "no text", "deep", "a list for a name"],
)
def test_damaged_lines_are_named(line: bytes, blur: Blur) -> None:
    blur()
    manifest = Path("out", MANIFEST)
    manifest.write_bytes(manifest.read_bytes() + line + b"\n")
    with pytest.raises(DataError, match=r"line 4 is damaged: remove it, or the file"):
        blur()
