"""What reports say, and that nothing in them needs a network."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from pocketface.benchmarks.charts import frontier, pareto, save_pareto
from pocketface.benchmarks.compare import compare
from pocketface.benchmarks.machine import differences
from pocketface.benchmarks.report import check_report, write_report
from pocketface.benchmarks.results import Absent, Measurement, Results
from pocketface.benchmarks.tables import noise, overview, tables
from pocketface.errors import UserError

MakeRow = Callable[..., Measurement]
MakeResults = Callable[..., Results]


def test_rows_that_cannot_be_told_apart_share_places(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    rows = [make_row("a", ms=10.0), make_row("b", ms=10.5), make_row("c", ms=20.0)]
    table = overview(make_results(*rows))
    place = table.columns.index("place")
    assert [(row[0], row[place]) for row in table.rows] == [("a", "1-2"), ("b", "1-2"), ("c", "3")]


def test_rows_that_did_not_take_turns_are_less_certain(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    """By as much as the probe says that the machine was another one meanwhile."""
    rows = [make_row("a", ms=10.0), make_row("b", ms=12.0, group=1)]
    for probe, places in ((105.0, ["1", "2"]), (130.0, ["1-2", "1-2"])):
        table = overview(make_results(*rows, probes={"fp32, 1": (100.0,) * 10 + (probe,) * 10}))
        assert [row[table.columns.index("place")] for row in table.rows] == places
        assert "Not all rows took turns" in table.about


def test_other_batches_and_tasks_do_not_compete(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    rows = [
        make_row("a", ms=10.0),
        make_row("a", ms=50.0, batch=8),
        make_row("g", ms=1.0, task="face-classification", figures={"balanced_accuracy": 0.99}),
    ]
    table = overview(make_results(*rows))
    place = table.columns.index("place")
    assert [row[place] for row in table.rows] == ["1", "1", "1"]


def test_int8_stands_beside_the_float_file_of_its_network(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    float_row = make_row("net.xml", model="net", ms=10.0, figures={"ap50": 0.5})
    with_nms = make_row("net_nms.xml", model="net", ms=10.0, figures={}, nms=True)
    same_network = make_row("net.onnx", model="net", ms=20.0)
    small = make_row(
        "net-int8.xml",
        model="net",
        precision="int8",
        ms=4.0,
        bytes=250_000,
        figures={"ap50": 0.496},
    )
    trained = small.model_copy(update={"name": "other.xml", "model": "net-int8", "group": 1})
    elsewhere = make_row("net", model="net", runtime="torch", ms=1.0)
    (table,) = [
        table
        for table in tables(
            make_results(with_nms, same_network, float_row, small, trained, elsewhere)
        )
        if table.title.startswith("int8")
    ]
    assert table.rows == [
        ("net-int8.xml", "openvino", "net.xml", "2.50", "0.40", "0.25"),
        # Perhaps not of the same weights; and they did not take turns.
        ("other.xml", "openvino", "net.xml", "~2.50", "", "0.25"),
    ]


def test_says_when_the_machine_was_busy(make_row: MakeRow, make_results: MakeResults) -> None:
    assert noise(make_results(make_row())) is None
    said = noise(make_results(make_row(), probes={"fp32, 2": (100.0, 50.0, 90.0, 60.0)}))
    assert said is not None
    assert "fp32, 2 threads" in said


def test_the_report_is_whole_and_needs_no_network(
    tmp_path: Path, make_row: MakeRow, make_results: MakeResults
) -> None:
    absent = Absent(
        name="a|b", runtime="torch", device="cuda", threads=1, batch=1, reason="no <CUDA> here"
    )
    results = make_results(make_row(), make_row("b", ms=20.0), absent=(absent,))
    files = write_report(results, tmp_path)
    names = [path.name for path in files]
    assert names == ["report.md", "report.html", "face-detection.png"]
    markdown, page = (path.read_text() for path in files[:2])
    assert "| a\\|b | torch | cuda | 1 | 1 | no <CUDA> here |" in markdown
    assert "<td class=text>no &lt;CUDA&gt; here</td>" in page
    for part in tables(results):
        assert part.title in markdown
        assert part.title in page
    scripts = re.findall(r"<script[^>]*>", page)
    assert len(scripts) == 2  # the library, and the charts
    assert not [tag for tag in scripts if "src=" in tag]
    outside = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href)=|@import|url\(", outside)


def test_names_do_not_become_scripts(
    tmp_path: Path, make_row: MakeRow, make_results: MakeResults
) -> None:
    bad = "</script><script>alert(1)</script>"
    _, page, _ = write_report(make_results(make_row(bad, model=bad)), tmp_path)
    text = page.read_text()
    assert bad not in text
    assert len(re.findall(r"<script[^>]*>", text)) == 2
    assert "\\u003c/script>" in text


def test_a_report_without_anything_to_plot(
    tmp_path: Path, make_row: MakeRow, make_results: MakeResults
) -> None:
    for rows in ((), (make_row(batch=8),), (make_row(figures={}),)):
        files = write_report(make_results(*rows), tmp_path)
        assert [path.name for path in files] == ["report.md", "report.html"]


def test_the_frontier_is_of_rows_that_no_other_beats(make_row: MakeRow) -> None:
    rows = [
        make_row("slow and good", ms=30.0, figures={"ap50": 0.7}),
        make_row("fast", ms=5.0, figures={"ap50": 0.4}),
        make_row("slow and bad", ms=31.0, figures={"ap50": 0.6}),
        make_row("middle", ms=10.0, figures={"ap50": 0.5}),
        make_row("unmeasured", ms=1.0, figures={"ap50": None}),
    ]
    found = [row.name for row in frontier(rows, "ap50")]
    assert found == ["fast", "middle", "slow and good"]


def test_the_plot_is_a_picture(tmp_path: Path, make_row: MakeRow) -> None:
    rows = [make_row("a"), make_row("b", ms=20.0, figures={"wider_medium": 0.9})]
    save_pareto(rows, "face-detection", tmp_path / "plot.png")
    picture = cv2.imread(str(tmp_path / "plot.png"))
    assert picture is not None
    assert picture.std() > 5


def test_equal_files_are_drawn_at_one_height_of_a_chart_that_shows_their_figure(
    make_row: MakeRow,
) -> None:
    for figures, wanted in (((0.6, 0.6), (59.5, 60.5)), ((0.5, 0.6), (50, 60))):
        rows = [make_row(figures={"wider_medium": figure}) for figure in figures]
        layers = pareto(rows, "face-detection").to_dict()["layer"]
        for layer in layers:
            assert layer["encoding"]["y"]["scale"]["domain"] == pytest.approx(list(wanted))


def test_compare_tells_only_what_is_beyond_noise(
    make_row: MakeRow, make_results: MakeResults
) -> None:
    before = make_results(
        make_row("a", ms=10.0), make_row("b", ms=10.0), make_row("c", ms=10.0), make_row("gone")
    )
    after = make_results(
        make_row("a", ms=5.0, figures={"ap50": 0.49, "wider_medium": 0.8}),
        make_row("b", ms=10.4),
        make_row("c", ms=20.0),
        make_row("new"),
    )
    found = compare(before, after)
    verdicts = [(change.after.name, change.verdict, round(change.ratio, 2)) for change in found]
    assert verdicts == [("a", "faster", 2.0), ("b", "not told apart", 0.96), ("c", "slower", 0.5)]
    assert {key: round(value, 6) for key, value in found[0].moved.items()} == {"ap50": -1.0}
    assert not found[1].moved
    slow = {"fp32, 1": (50.0,) * 10}  # the machine is half as fast
    found = compare(before, make_results(*after.rows, probes=slow))
    assert [change.verdict for change in found] == ["faster", "faster", "not told apart"]
    elsewhere = {"face-detection": "20 photos of mine"}
    found = compare(before, make_results(*after.rows, protocol=elsewhere))
    assert not any(change.moved for change in found)
    other = {"cpu": "another", "cores": "2, 2 threads", "load": "9"}
    assert differences(before.host, other) == ["cpu: a CPU and another"]
    assert differences(before.host, before.host | {"gpu": "one"}) == ["gpu: none and one"]


def test_a_report_takes_no_place_of_others(
    tmp_path: Path, make_row: MakeRow, make_results: MakeResults
) -> None:
    for name in ("report.md", "report.html", "face-detection.png"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises(UserError, match=f"--output .*: holds a {name} that is of no earlier"):
            check_report(folder, force=False)
        check_report(folder, force=True)
    picture = tmp_path / "face-detection.png" / "face-detection.png"
    write_report(make_results(make_row(figures={})), picture.parent)
    assert picture.read_text() == "mine"  # nothing takes its place
    older = tmp_path / "older"
    write_report(make_results(make_row(), make_row("b", ms=20.0)), older)
    assert (older / "face-detection.png").exists()
    check_report(older, force=False)
    write_report(make_results(make_row(figures={})), older)
    assert not (older / "face-detection.png").exists()
