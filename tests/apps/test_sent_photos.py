"""What the service and `classify` make of all kinds of files.

`python tools/sent_photos.py > docs/reports/sent-photos.md` writes it down.
"""

from __future__ import annotations

import csv
import re
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from sent_photos import Case, photos
from service_client import form, post, running

CASES = list(photos())

DOCUMENT = Path(__file__).parents[2] / "docs/reports/sent-photos.md"
ROWS = [
    line.strip("| ").split(" | ")
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines()
    if re.match(r"\| \d", line)
]
"""The document's cells: number, what, name, bytes, status, answer, `classify`'s."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running() as port:
        yield port


@pytest.fixture(scope="module")
def told() -> list[str]:
    return by_classify(CASES)


def by_service(port: int, case: Case) -> tuple[int, str]:
    """Its status, and its answer or reason."""
    _, name, content, _, _ = case
    status, answer, _ = post(port, form(content, name=name))
    return status, answer["detail"] if "detail" in answer else answer["answer"]


def by_classify(cases: list[Case]) -> list[str]:
    """What `pocketface classify` says of each as a file, in one run: an answer or a warning."""
    from pocketface.cli import main

    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for index, (_, name, content, _, _) in enumerate(cases):
            paths.append(Path(folder, f"{index:02}{Path(name).suffix}"))
            paths[-1].write_bytes(content)
        table = Path(folder, "answers.csv")
        said = StringIO()
        with redirect_stderr(said), redirect_stdout(StringIO()):
            assert main(["classify", *map(str, paths), "--csv", str(table)]) == 0
        with table.open(newline="") as handle:
            answers = {row["image"]: row["answer"] for row in csv.DictReader(handle)}
        lines = said.getvalue().splitlines()
        more = [line for line in lines if line.endswith("of which the first picture is taken")]
        assert len(more) == sum("animated" in name for name, *_ in cases)
        for line in (one for one in lines if one not in more):
            path, _, reason = line.removeprefix("pocketface: warning: left out: ").partition(": ")
            assert path not in answers
            answers[path] = reason
        assert len(answers) == len(cases)
        return [answers[str(path)] for path in paths]


def ours(answer: str) -> str:
    """An answer without what Pillow's version of the day says of damaged files."""
    return re.sub("(damaged or cut-off image): .*", r"\1", answer)


@pytest.mark.parametrize("index", range(len(CASES)), ids=[case[0] for case in CASES])
def test_service(index: int, port: int) -> None:
    case = CASES[index]
    *_, code, says = case
    status, answer = by_service(port, case)
    assert status == code
    assert says in answer
    assert case[1] not in answer
    assert ours(ROWS[index][5]) == ours(answer)


@pytest.mark.parametrize("index", range(len(CASES)), ids=[case[0] for case in CASES])
def test_classify(index: int, told: list[str]) -> None:
    _, _, content, code, says = CASES[index]
    if code == 422:
        assert told[index] == "no_face"
    elif len(content) > 10_000_000:  # no limit for files
        assert told[index] == "glass"
    else:
        assert says in told[index]
    assert ours(ROWS[index][6]) == ours(told[index])


def test_an_unreadable_file_alone_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pocketface.cli import main

    path = tmp_path / "photo.jpeg"
    path.write_bytes(next(case[2] for case in CASES if case[0] == "half a JPEG"))
    assert main(["classify", str(path)]) == 2
    assert "none of the 1 photos could be read" in capsys.readouterr().err


def test_all_are_written_down() -> None:
    assert [row[:2] for row in ROWS] == [
        [str(index), case[0]] for index, case in enumerate(CASES, start=1)
    ]
