"""Damaged and forged files of each format are refused in one line, or harmless."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest

from pocketface.tools.hostile.forgeries import forge, names_for
from pocketface.tools.hostile.run import CLEAN, Job, Outcome, opened
from pocketface.tools.hostile_models import FORMATS, mutated, rows

SLOW = "2.5 GB"
"""What takes seconds to write."""

QUICK = (None, "onnx", "openvino", "torchscript")
"""What is converted and opened in a few seconds."""

SUFFIXES = [
    pytest.param(suffix, marks=[] if exporter in QUICK else [pytest.mark.full])
    for suffix, exporter in FORMATS.items()
]


@pytest.fixture
def sound(request: pytest.FixtureRequest, exported: Path, converted: Callable[[str], Path]) -> Path:
    suffix = request.param
    exporter = FORMATS[suffix]
    return converted(exporter) / f"model{suffix}" if exporter else exported / f"weights{suffix}"


@pytest.mark.parametrize("sound", SUFFIXES, indirect=True)
def test_hostile_files_are_refused_or_harmless(sound: Path, tmp_path: Path) -> None:
    damaged = mutated(sound, tmp_path / "damaged", 10, seed=5)
    forged = (forged_one(sound, tmp_path, name) for name in names_for(sound.suffix))
    found = list(opened(Job(sound, "sound", False), chain(damaged, filter(None, forged))))
    assert len(found) >= 40
    assert [(one.job.what, one.kind, one.message) for one in found if one.kind not in CLEAN] == []


def forged_one(sound: Path, folder: Path, name: str) -> Job | None:
    if SLOW in name:
        return None
    place = folder / str(names_for(sound.suffix).index(name))
    place.mkdir()
    copy = place / f"model{sound.suffix}"
    forge(sound, copy, name)
    return Job(copy, name, True)


def test_what_happens_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child that crashes, hangs or answers otherwise: none of it counts as clean."""
    child = tmp_path / "child.py"
    child.write_text(CHILD)
    monkeypatch.setattr("pocketface.tools.hostile.run._CHILD", child)
    monkeypatch.setattr("pocketface.tools.hostile.run.SECONDS", 0.5)
    jobs = [Job(Path(one), one, False) for one in ("same", "hang", "crash", "large", "other")]
    jobs += [Job(Path("other"), "other", True), Job(Path("unclear"), "unclear", False)]
    found = list(opened(Job(Path("same"), "sound", False), jobs))
    assert [one.kind for one in found] == [
        "same answer",
        "hang",
        "crash",
        "memory",
        "other answer",
        "other answer, sealed anew",
        "unclear",
    ]
    (row,) = rows([(".onnx", found, list[Outcome]())])
    assert row[:7] == ["`.onnx`", "damaged", "7", "2", "0", "1", "1"]
    assert "crash: crash" in row[-1]


CHILD = """
import json, os, sys, time
for line in sys.stdin:
    what = json.loads(line)["path"]
    if what == "crash":
        os.abort()
    if what == "hang":
        time.sleep(60)
    kind = "unclear" if what == "unclear" else "opened"
    answer = {"a": [2.0 if what == "other" else 1.0]}
    memory = 2 << 30 if what == "large" else 0
    print(json.dumps({"kind": kind, "answer": answer, "memory": memory}), flush=True)
"""
