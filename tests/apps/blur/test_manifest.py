"""What is done of a run, also when it was killed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pocketface.apps.blur.manifest import (
    MANIFEST,
    Done,
    Failed,
    digest_of,
    only_run,
    open_manifest,
    read_manifest,
)
from pocketface.errors import DataError, UserError
from pocketface.files import sha256_file


def done(folder: Path, name: str = "a.jpg", content: bytes = b"blurred") -> Done:
    (folder / name).write_bytes(content)
    return Done(
        source=f"in/{name}",
        source_sha256="1" * 64,
        settings="2" * 64,
        output=name,
        output_sha256=sha256_file(folder / name),
        faces=3,
        hidden=2,
    )


def test_what_was_noted_is_found_by_the_next_run(tmp_path: Path) -> None:
    with open_manifest(tmp_path) as manifest:
        one = done(tmp_path)
        manifest.add(one)
        manifest.add(done(tmp_path, "b\n.jpg"))
    with open_manifest(tmp_path) as manifest:
        assert len(manifest) == 2
        assert manifest.find("a.jpg", source_sha256="1" * 64, settings="2" * 64) == one
        assert manifest.find("b\n.jpg", source_sha256="1" * 64, settings="2" * 64)
    assert len((tmp_path / MANIFEST).read_bytes().splitlines()) == 3


@pytest.mark.parametrize(
    "changed", ["source", "settings", "output", "output is gone", "another name"]
)
def test_what_has_changed_is_done_again(changed: str, tmp_path: Path) -> None:
    with open_manifest(tmp_path) as manifest:
        manifest.add(done(tmp_path))
        if changed == "output":
            (tmp_path / "a.jpg").write_bytes(b"not blurred")
        if changed == "output is gone":
            (tmp_path / "a.jpg").unlink()
        found = manifest.find(
            "b.jpg" if changed == "another name" else "a.jpg",
            source_sha256=("3" if changed == "source" else "1") * 64,
            settings=("3" if changed == "settings" else "2") * 64,
        )
    assert found is None


def test_the_last_word_counts(tmp_path: Path) -> None:
    with open_manifest(tmp_path) as manifest:
        manifest.add(done(tmp_path))
        manifest.add(replace(done(tmp_path), settings="4" * 64))
    assert read_manifest(tmp_path / MANIFEST)["a.jpg"].settings == "4" * 64


def test_what_failed_is_not_done(tmp_path: Path) -> None:
    own = tmp_path / "elsewhere" / "own.jsonl"
    with open_manifest(tmp_path / "out", own) as manifest:
        manifest.add(done(tmp_path), Failed("in/b.jpg", "not an image"))
        assert len(manifest) == 1
    assert list(read_manifest(own)) == ["a.jpg"]
    assert json.loads(own.read_text().splitlines()[2]) == {
        "source": "in/b.jpg",
        "failed": "not an image",
    }
    with open_manifest(tmp_path / "out", own) as manifest:
        assert manifest.noted("a.jpg") == replace(done(tmp_path))
        assert manifest.noted("b.jpg") is None


def test_a_torn_line_is_ignored_and_cut_off(tmp_path: Path) -> None:
    with open_manifest(tmp_path) as manifest:
        manifest.add(done(tmp_path))
        manifest.add(done(tmp_path, "b.jpg"))
    path = tmp_path / MANIFEST
    whole = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        expected = max(0, sum(end <= length for end in ends) - 1)
        assert len(read_manifest(path)) == expected
        with open_manifest(tmp_path) as manifest:
            manifest.add(done(tmp_path, "c.jpg"))
        assert len(read_manifest(path)) == expected + 1


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"a shopping list\n", "no manifest of version 1"),
        (b'{"pocketface_blur": 9}\n', "no manifest of version 1"),
        (b'{"pocketface_blur": 1}\nrubbish\n{}\n', "line 2 is damaged"),
        (b'{"pocketface_blur": 1}\n{"source": "a"}\n', "line 2 is damaged"),
        (b'{"pocketface_blur": 1}\n{"failed": "a"}\n', "line 2 is damaged"),
        (b'{"pocketface_blur": 1}\n3\n', "line 2 is damaged"),
    ],
)
def test_what_is_no_manifest(content: bytes, what: str, tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(DataError, match=what) as error, open_manifest(tmp_path):
        pass
    assert str(error.value).startswith(str(tmp_path / MANIFEST))
    assert (tmp_path / MANIFEST).read_bytes() == content


def test_a_killed_run_leaves_whole_lines(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib\n"
        "from pocketface.apps.blur.manifest import *\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "with only_run(folder), open_manifest(folder) as manifest:\n"
        "    manifest.add(Done('a', '1', '2', 'a.jpg', '3', 1, 1))\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode == -9
    assert list(read_manifest(tmp_path / MANIFEST)) == ["a.jpg"]
    with only_run(tmp_path):  # whose lock died with it
        pass


def test_one_run_in_a_folder(tmp_path: Path) -> None:
    with (
        only_run(tmp_path / "out"),
        pytest.raises(UserError, match=r"--output .*out: another run is writing into it"),
        only_run(tmp_path / "out"),
    ):
        pass
    with only_run(tmp_path / "out"):
        pass
    own = tmp_path / "own.jsonl"
    with (
        only_run(tmp_path, own),
        only_run(tmp_path, tmp_path / "another.jsonl"),
        pytest.raises(UserError, match=r"--manifest .*own.jsonl: another run is writing"),
        only_run(tmp_path, own),
    ):
        pass
    assert not list((tmp_path / "out").iterdir())


def test_digests(tmp_path: Path) -> None:
    for name in ("model.onnx", "model.xml", "model.bin"):
        (tmp_path / name).write_text(name)
    onnx, xml = tmp_path / "model.onnx", tmp_path / "model.xml"
    digests = [
        digest_of({"score": 0.3}, {"detector": onnx}),
        digest_of({"score": 0.4}, {"detector": onnx}),
        digest_of({"score": 0.3}, {"detector": xml}),
    ]
    (tmp_path / "model.bin").write_text("other weights")
    digests.append(digest_of({"score": 0.3}, {"detector": xml}))
    assert len(set(digests)) == 4
    assert digests[0] == digest_of({"score": 0.3}, {"detector": onnx})
    assert json.dumps(digests)
