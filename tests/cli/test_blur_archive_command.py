"""`pocketface blur` from and to object stores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..pixel_recognizer import write_detector, write_photo

fsspec = pytest.importorskip("fsspec")


def test_an_archive(
    tmp_path: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_detector(Path("three.onnx"), 40, 40, 40)
    for name in ("a.png", "sub/b.png"):
        write_photo(Path("in", name), 1, 2, 3)
    Path("in/bad.png").write_bytes(b"no photo")
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    command = ("blur", "in", "--output", "memory://out", "--detector", "three.onnx")
    result = run(*command)
    assert (result.code, "needs --manifest FILE" in result.err) == (2, True)
    for counted in ("2 photos, 6 faces hidden, 0", "0 photos, 0 faces hidden, 0 without a face, 2"):
        result = run(*command, "--manifest", "m.jsonl")
        assert result.code == 1
        assert "1 photo not blurred: nothing is written of" in result.err
        assert "bad.png: not blurred: not an image" in result.out
        assert counted in result.out
    assert sorted(memory.find("/out")) == ["/out/a.png", "/out/sub/b.png"]
    memory.store.clear()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("in", "--output", "out", "--manifest", "m.jsonl"), "--manifest m.jsonl: goes with --ray"),
        (("memory://in",), "memory://in: expected --output, a folder or an address"),
        (
            ("--ray", "in", "--output", "out"),
            "hint: in counts as --ray HOST:PORT: write --ray last",
        ),
        (("a", "b", "--output", "out", "--ray"), "a, b: expected one folder or address, as --ray"),
        (
            ("in", "--output", "out", "--report", "r.json", "--ray"),
            "--report r.json: does not go with --ray",
        ),
        (("in", "--output", "memory://out", "--codec", "av1"), "--codec av1: does not go with"),
        (("memory://in", "--output", "out", "--no-audio"), "--no-audio: does not go with --ray"),
    ],
)
def test_flags_that_do_not_fit(flags: tuple[str, ...], said: str, run: Callable[..., Any]) -> None:
    result = run("blur", *flags)
    assert result.code == 2
    assert said in result.err
