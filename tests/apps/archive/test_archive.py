"""Archives in one process: what is done stays, what fails is told, and where they may be."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pocketface.apps.archive import cluster, store
from pocketface.apps.archive.request import ArchiveRequest, ArchiveSummary
from pocketface.apps.archive.run import blur_archive
from pocketface.apps.archive.store import RemoteStore, open_store
from pocketface.apps.blur.manifest import MANIFEST, Failed, read_manifest
from pocketface.apps.blur.request import BlurRequest
from pocketface.apps.blur.run import open_blurrer
from pocketface.data.images import list_images
from pocketface.errors import MissingPackageError, UserError

from ...pixel_recognizer import write_detector, write_photo

fsspec = pytest.importorskip("fsspec")

Blur = Callable[..., ArchiveSummary]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_detector(tmp_path / "three.onnx", 40, 40, 40)
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "sub/b.png", "sub/c.png"):
        write_photo(Path("in", name), 1, 2, 3)
    return tmp_path


@pytest.fixture
def memory() -> Iterator[Any]:
    """An empty memory:// store."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield files
    files.store.clear()


@pytest.fixture
def blur(place: Path) -> Blur:
    def run(source: str = "in", output: str = "out", **options: Any) -> ArchiveSummary:
        settings = BlurRequest(sources=(), detector=place / "three.onnx", **options.pop("how", {}))
        return blur_archive(
            ArchiveRequest(settings=settings, source=source, output=output, **options)
        )

    return run


def blurred(place: Path, name: str) -> bytes:
    """What must be written of a photo."""
    blurrer = open_blurrer(BlurRequest(sources=(), detector=place / "three.onnx"))
    return blurrer.blur((place / "in" / name).read_bytes(), source=name).content


def counts(summary: ArchiveSummary) -> tuple[int, int, int]:
    return summary.photos, summary.skipped, len(summary.failed)


def test_a_folder_and_once_more(blur: Blur, place: Path) -> None:
    done = blur()
    assert (counts(done), done.hidden) == ((3, 0, 0), 9)
    for name in ("a.png", "sub/b.png", "sub/c.png"):
        assert Path("out", name).read_bytes() == blurred(place, name)
    lines: list[Any] = []
    assert counts(blur(on_line=lines.append)) == (0, 3, 0)
    assert not lines
    assert len(Path("out", MANIFEST).read_bytes().splitlines()) == 4


def _no_line() -> None:
    path = Path("out", MANIFEST)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if '"a.png"' not in line))


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (lambda: Path("out/a.png").unlink(), True),
        (lambda: Path("out/a.png").write_bytes(Path("in/a.png").read_bytes()), True),
        (lambda: write_photo(Path("in/a.png"), 3, 2, 1), True),
        (_no_line, True),
        # Copied: another time, the same content.
        (lambda: os.utime("in/a.png", (1, 1)), False),
        (lambda: os.utime("out/a.png", (1, 1)), False),
    ],
    ids=["output gone", "output unblurred", "source changed", "no line", "touched", "copied"],
)
def test_what_has_changed_is_done_again(
    change: Callable[[], None], again: bool, blur: Blur, place: Path
) -> None:
    blur()
    change()
    assert counts(blur()) == ((1, 2, 0) if again else (0, 3, 0))
    assert Path("out/a.png").read_bytes() == blurred(place, "a.png")
    assert counts(blur()) == (0, 3, 0)


def test_other_settings_and_another_folder_are_done_again(blur: Blur) -> None:
    blur()
    assert counts(blur(how={"score": 0.5})) == (3, 0, 0)
    write_photo(Path("other/a.png"), 2, 2, 2)
    assert counts(blur("other", how={"score": 0.5})) == (1, 0, 0)


def test_what_fails_is_noted_and_tried_again(blur: Blur) -> None:
    Path("in/bad.png").write_bytes(b"no photo")
    for skipped in (0, 3):
        done = blur()
        assert counts(done) == (3 - skipped, skipped, 1)
        assert done.failed[0].source.endswith("in/bad.png")
        assert done.failed[0].failed.startswith("not an image")
    assert not Path("out/bad.png").exists()
    records = [json.loads(line) for line in Path("out", MANIFEST).read_text().splitlines()]
    assert sum("failed" in record for record in records) == 2
    assert len(read_manifest(Path("out", MANIFEST))) == 3
    write_photo(Path("in/bad.png"), 1)
    assert counts(blur()) == (1, 3, 0)


def test_from_store_to_store(blur: Blur, place: Path, memory: Any) -> None:
    memory.put("in", "/bucket/photos", recursive=True)
    for expected in ((3, 0, 0), (0, 3, 0)):
        done = blur("memory://bucket/photos", "memory://bucket/out/", manifest=Path("m.jsonl"))
        assert counts(done) == expected
    assert memory.cat_file("/bucket/out/sub/b.png") == blurred(place, "sub/b.png")
    assert len(memory.find("/bucket/out")) == 3
    memory.pipe_file("/bucket/out/a.png", b"unblurred")
    memory.pipe_file("/bucket/photos/a.png", memory.cat_file("/bucket/photos/a.png"))
    done = blur("memory://bucket/photos", "memory://bucket/out", manifest=Path("m.jsonl"))
    assert counts(done) == (1, 2, 0)
    assert memory.cat_file("/bucket/out/a.png") == blurred(place, "a.png")


def test_names_that_a_folder_has_not(
    blur: Blur, place: Path, memory: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """To a folder a//b.png is a/b.png, and .. is outside; an object store has them all."""
    photos = {name: Path("in", name).read_bytes() for name in ("a.png", "sub/b.png", "sub/c.png")}
    for name, content in {
        "sub/x.png": photos["a.png"],
        "sub//x.png": photos["sub/b.png"],
        "/sub/x.png": photos["sub/c.png"],
        "../x.png": photos["sub/c.png"],
        "sub/": b"",  # stands for a folder
        "sub/d.CR2": b"raw",
    }.items():
        memory.pipe_file("/aside", content)
        memory.store[f"/bucket/in/{name}"] = memory.store.pop("/aside")
    assert counts(blur("memory://bucket/in")) == (1, 0, 0)
    assert Path("out/sub/x.png").read_bytes() == blurred(place, "a.png")
    assert not Path("x.png").exists()
    assert "memory://bucket/in: names with // are left out: 2, as" in caplog.text
    assert "memory://bucket/in: left out 1 photos in formats that are not read (1 x .cr2)" in (
        caplog.text
    )


def test_a_store_that_lists_other_places(
    blur: Blur, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As S3 does of s3://bucket/photos?versionId=1."""
    monkeypatch.setattr(type(memory), "find", lambda *_, **__: {"/elsewhere/a.png": {"size": 1}})
    with pytest.raises(UserError, match=r"memory://b/p\?v=1: expected a folder, without more"):
        blur("memory://b/p?v=1")


def test_a_photo_that_goes_while_it_is_listed(
    blur: Blur, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def listed(*args: Any, **options: Any) -> list[Path]:
        found = list_images(*args, **options)
        Path("in/a.png").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(store, "list_images", listed)
    assert counts(blur()) == (2, 0, 0)
    assert "in/a.png: left out: No such file or directory" in caplog.text


def test_a_store_that_fails_leaves_nothing_behind(
    blur: Blur, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("the line is\ndead")

    monkeypatch.setattr(RemoteStore, "check_writable", lambda *_: None)
    monkeypatch.setattr(type(memory), "mv", fail)
    done = blur(output="memory://out", manifest=Path("m.jsonl"))
    assert counts(done) == (0, 0, 3)
    assert isinstance(done.failed[0], Failed)
    assert done.failed[0].failed == "OSError: the line is dead"
    assert not memory.find("/out")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"source": "nowhere"}, r"nowhere: no such folder"),
        ({"source": "memory://nowhere"}, r"memory://nowhere: no such folder or bucket"),
        ({"source": "fax://a/b"}, r"fax://a/b: .*fax"),
        ({"output": "://b"}, r"://b: expected an address, as s3://bucket/photos"),
        ({"source": "memory://"}, r"memory://: no photo to blur in there"),
        ({"source": "in/sub", "output": "in"}, r"--output .*in: lies within .*in/sub, or around"),
        ({"output": "in/out"}, r"--output .*in/out: lies within .*in, or around it"),
        ({"output": "in/a.png"}, r"--output .*in/a.png: lies within"),
        ({"output": "three.onnx"}, r"--output .*three.onnx: cannot be written: .* in the way"),
        ({"output": "memory://out"}, r"--output memory://out: needs --manifest FILE"),
        ({"manifest": Path("in")}, r"--manifest in: cannot be written"),
        ({"source": "ftp://ann:secret@h/x"}, r"ftp://ann:…@h: an address has no password"),
        ({"output": "sftp://:secret@h"}, r"sftp://:…@h: an address has no password"),
        ({"source": "ftp://127.0.0.1:9/x"}, r"ftp://127.0.0.1:9/x: cannot be reached: "),
    ],
)
def test_bad_places(options: dict[str, Any], said: str, blur: Blur, memory: Any) -> None:
    memory.store.clear()
    with pytest.raises(UserError, match=said) as error:
        blur(**options)
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


def test_nothing_of_others_is_replaced(blur: Blur) -> None:
    write_photo(Path("out/sub/b.png"), 1)
    with pytest.raises(UserError, match=r"sub/b.png: .*out/sub/b.png is there already"):
        blur()
    assert counts(blur(how={"force": True})) == (3, 0, 0)


def test_without_fsspec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingPackageError, match=r"pocketface\[archive\]"):
        open_store("s3://bucket/photos")


def test_without_ray(blur: Blur, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingPackageError, match=r"pocketface\[archive\]"):
        blur(ray="")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("ray://head:10001", "expected HOST:PORT"),
        ("head", "expected HOST:PORT"),
        ("127.0.0.1:9", "no cluster answers there"),
        ("127.0.0.1:99999", "no cluster answers there"),
        (f"{'a' * 70}:1", "no cluster answers there"),
    ],
)
def test_bad_clusters(address: str, said: str, blur: Blur, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    with pytest.raises(UserError, match=f"--ray {address}: {said}"):
        blur(ray=address)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UserError, match=f"RAY_ADDRESS {address}: {said}"):
        blur(ray="")


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", None])
def test_what_answers_is_no_cluster(
    answer: bytes | None, blur: Blur, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray would try for minutes, and end the process then."""
    pytest.importorskip("ray")
    monkeypatch.setattr(cluster, "_REACHED", 0.5)

    def serve() -> None:
        line, _ = server.accept()
        with line:
            line.recv(100)
            if answer is None:
                time.sleep(1)
            else:
                line.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UserError, match=f"--ray {address}: what answers there is no Ray"):
            blur(ray=address)
        thread.join()
