"""The table of compressions has whole runs of what was asked for alone, and each outcome."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pocketface.compressing.report import CompressedFile, CompressionReport, FileMeasured
from pocketface.errors import PocketfaceError, UserError
from pocketface.tools import compressed, compression

from ..tiny_network import write_tiny_weights

FLOAT = FileMeasured(
    file="model.xml", precision="fp32", bytes=10**6, zipped=10**6, figures={"ap50": 0.5}
)
INT8 = FLOAT.model_copy(update={"file": "model_int8.xml", "precision": "int8"})
ROW = CompressedFile(
    format="openvino", precision="int8", status="compressed", goal="speed", before=FLOAT,
    after=INT8, faster=2.0, layers=9,
)  # fmt: skip
FAILED = ROW.model_copy(
    update={"status": "failed", "after": None, "faster": None, "reason": "RuntimeError: no"}
)
REPORT = CompressionReport(
    name="tiny", input_size=(64, 96), limits={"ap50": 0.5}, goal="speed", calibration=1, asked=1,
    unreadable=0, validation=1, rows=(ROW, FAILED), host={}, date="today",
    no_float={"coreml": "differs"},
)  # fmt: skip

Start = Callable[..., None]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_tiny_weights(tmp_path)


@pytest.fixture
def start(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Start the script, with what `pocketface compress` would write in each of its runs."""

    def begin(*reports: CompressionReport, flags: tuple[str, ...] = ()) -> None:
        left = iter(reports)

        def run(*arguments: object, accepted: tuple[int, ...]) -> int:
            assert accepted == (0, 1)
            # Which `compress` refuses where nothing is trained.
            assert ("--resume" in arguments) == ("--nncf-sparsity" in arguments)
            folder = Path(str(arguments[arguments.index("--save-checkpoints-to") + 1]))
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "compression.json").write_text(next(left).model_dump_json())
            return 1

        monkeypatch.setattr(compressed, "run", run)
        given = ["--load-weights", str(weights), "--save-checkpoints-to", str(tmp_path / "out")]
        monkeypatch.setattr(
            sys, "argv", ["compression", *given, *flags, "--ways", "after training", "sparse"]
        )
        compression.main()
        assert not list(left)

    return begin


def test_each_outcome_has_a_row(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    start(REPORT, REPORT)
    printed = capsys.readouterr().out
    rows = [
        "| model.xml | float | 1.000 | 1.000 |  |  | 50.00 |  |  |",
        "| model.xml | after training: int8 | 1.000 | 1.000 |  | 2.00 | 50.00 | 0 of 9 | yes |",
        "| model.xml | after training: int8 |  |  |  |  |  |  | no: RuntimeError: no |",
        "| model.xml | sparse: int8 | 1.000 | 1.000 |  | 2.00 | 50.00 | 0 of 9 | yes |",
    ]
    assert "\n".join(rows) in printed
    assert "- sparse: nothing for coreml: differs\n" in printed
    start()  # what is there is not made again
    assert capsys.readouterr().out == printed


def test_an_interrupted_run_goes_on(start: Start) -> None:
    part = REPORT.model_copy(update={"finished": False})
    with pytest.raises(PocketfaceError, match=r"compression\.json: expected the report of a whole"):
        start(part)
    start(REPORT, REPORT)


def test_a_report_of_something_else_is_refused(start: Start, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is of glasses-n: expected tiny"):
        start(REPORT.model_copy(update={"name": "glasses-n"}))
    with pytest.raises(UserError, match="made with other flags"):
        start(flags=("--goal", "size"))
    write_tiny_weights(tmp_path, seed=1)
    assert weights.parent == tmp_path
    with pytest.raises(UserError, match="made with other weights"):
        start()


@pytest.mark.parametrize(
    ("update", "says"),
    [
        ({"no_float": {}}, "model.xml: failed: RuntimeError: no"),
        ({"rows": (ROW,)}, "coreml: differs"),
        ({"rows": (ROW,), "no_float": {}}, None),
    ],
)
def test_what_cannot_be_made_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, update: dict[str, object], says: str | None
) -> None:
    content = REPORT.model_copy(update=update).model_dump_json()
    (tmp_path / "compression.json").write_text(content)
    monkeypatch.setattr(sys, "argv", ["compressed", str(tmp_path), "--goal", "size"])
    if says is None:
        compressed.main()
    else:
        with pytest.raises(PocketfaceError, match=says):
            compressed.main()
