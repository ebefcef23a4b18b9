"""Tables of results, as text."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..evaluation.figures import Figure
from ..tasks import TASKS, task_of
from .charts import main_figure
from .results import Absent, Estimate, Measurement, Results, places

ENOUGH_FOR_P99 = 100
NOISY = 0.1
"""Spread of the probe, as a share of its median, above which the report warns."""

_CASE = ("file", "runtime", "device", "threads", "batch")


@dataclass(frozen=True)
class Table:
    """A heading, an explanation and the cells; `text` has the left-aligned columns' indices."""

    title: str
    about: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text: frozenset[int] = frozenset({0})


def tables(results: Results) -> list[Table]:
    """All tables of the report, the overview first."""
    found = [overview(results), _time(results), _cost(results)]
    int8 = _int8(results.rows)
    if int8:
        columns = ("int8 file", "runtime", "float file", "times as fast", "points lost", "size")
        about = (
            "Medians of the ratios of rounds, or of the files' (~) where they did not take turns; "
            "points of the figure that the plot shows, none where the float file may be of another "
            "training; size as a share of the float file's."
        )
        found.append(Table("int8 against float", about, columns, int8, frozenset({0, 1, 2})))
    if results.absent:
        rows = [(*_case(one), one.reason) for one in results.absent]
        columns = (*_CASE, "why")
        about = "What could have been measured elsewhere."
        found.append(Table("Absent here", about, columns, rows, frozenset({0, 1, 2, 5})))
    host = [*results.host.items(), *_probe_rows(results)]
    found.append(Table("Machine", "", ("", ""), host, frozenset({0, 1})))
    return found


def overview(results: Results) -> Table:
    """One row for each case: accuracy, size, speed."""
    rows = _sorted(results)
    figures = [
        figure
        for figure in _columns(rows)
        if any(row.figures.get(figure.key) is not None for row in rows)
    ]
    drift = _drift(results)
    # Only rows of one task and batch size compete.
    place: dict[tuple[str, ...], str] = {}  # keys are unique: targets have names of their own
    for group in {(row.task, row.batch) for row in rows}:
        some = [row for row in rows if (row.task, row.batch) == group]
        times = [_widened(row.ms, drift) for row in some]
        for row, (first, last) in zip(some, places(times), strict=True):
            place[row.key] = str(first) if first == last else f"{first}-{last}"
    cells = [
        (
            row.name,
            row.precision or "",
            *_case(row)[1:],
            f"{row.mb:.2f}",
            "" if row.gflops is None else f"{row.gflops:.2f}",
            *(_points(row.figures.get(figure.key)) for figure in figures),
            _ms(row.ms),
            place[row.key],
            f"{row.throughput:.0f}",
        )
        for row in rows
    ]
    columns = (
        *("file", "precision", *_CASE[1:], "MB", "GFLOPs"),
        *(str(figure.column) for figure in figures),
        *("ms", "place", "photos/s"),
    )
    about = (
        "`ms`: from pixels to answers, median of a batch with its 95 % interval. `place`: by that, "
        "among rows of the same task and batch; 2-4 where intervals overlap, so that this machine "
        "cannot tell. Figures of accuracy are those of the file, run so; of files with NMS inside, "
        "which show no face below their own threshold, there are none."
    )
    if drift:
        about += (
            f" Not all rows took turns: for places, intervals are wider by {100 * drift:.0f} %, as "
            "far as the machine's speed moved meanwhile."
        )
    return Table("Files", about, columns, cells, frozenset({0, 1, 2, 3}))


def _columns(rows: Sequence[Measurement]) -> list[Figure]:
    """Figures with a column, for the tasks of these rows; each key once."""
    tasks = [task for task in TASKS if any(row.task == task for row in rows)]
    found = {
        figure.key: figure
        for task in tasks
        for figure in task_of(task).measure.FIGURES
        if figure.column is not None
    }
    return list(found.values())


def _drift(results: Results) -> float:
    """Change of the machine's speed between groups of rows, as a share, by the probes."""
    groups = len({row.group for row in results.rows})
    if groups < 2:
        return 0.0
    found = [0.0]
    for values in results.probes.values():
        means = [statistics.median(part) for part in np.array_split(values, groups) if len(part)]
        found.append((max(means) - min(means)) / statistics.median(means))
    return max(found)


def _widened(one: Estimate, share: float) -> Estimate:
    low, high = one.low * (1 - share / 2), one.high * (1 + share / 2)
    return Estimate(value=one.value, low=low, high=high)


def noise(results: Results) -> str | None:
    """A warning if the probe's speed varied too much; else None."""
    for key, values in results.probes.items():
        quartiles = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
        spread = (quartiles[2] - quartiles[0]) / statistics.median(values)
        if spread > NOISY:
            return (
                f"The machine was busy: half of all probes ({key} threads) spread over "
                f"{100 * spread:.0f} % of their median. Ratios mean more than milliseconds."
            )
    return None


def _sorted(results: Results) -> list[Measurement]:
    return sorted(results.rows, key=lambda row: (row.task, row.batch, row.ms.value))


def _resident(row: Measurement) -> str:
    return "" if row.resident is None else f"{row.resident.p50.value:.2f}"


def _case(row: Measurement | Absent) -> tuple[str, ...]:
    return (row.name, row.runtime, row.device, str(row.threads), str(row.batch))


def _time(results: Results) -> Table:
    cells = []
    rows = _sorted(results)
    on_device = any(row.resident is not None for row in rows)
    for row in rows:
        steps = {name: one.p50.value for name, one in row.steps.items()}
        predict = row.steps["predict"]
        own = (steps["prepare"] + steps["finish"]) / steps["predict"]
        cells.append(
            (
                *_case(row),
                *(
                    f"{steps[name]:.2f}" if name in steps else ""
                    for name in ("decode", "prepare", "network", "finish", "end_to_end")
                ),
                *([_resident(row)] if on_device else []),
                f"{100 * own:.0f} %",
                _ms(predict.p90),
                _ms(predict.p99) if row.runs >= ENOUGH_FOR_P99 else "",
            )
        )
    columns = (
        *_CASE,
        *("decode", "prepare", "network", "finish", "end to end"),
        *(["network, on device"] if on_device else []),
        *("prepare + finish", "p90", "p99"),
    )
    about = (
        "Medians in ms of a batch. `prepare` brings pixels to the network's input, `finish` its "
        "outputs to answers (threshold, NMS); their share, p90 and p99 (from 100 runs on) are of "
        "both and the network."
    )
    return Table("Where the time goes", about, columns, cells, frozenset({0, 1, 2}))


def _cost(results: Results) -> Table:
    cells = [
        (
            *_case(row),
            f"{row.load_ms:.0f}",
            f"{row.first_ms:.0f}",
            f"{row.cpu_ms:.1f}",
            f"{row.memory / 2**20:.0f}",
            "" if row.peak_share is None else f"{100 * row.peak_share:.0f} %",
        )
        for row in _sorted(results)
    ]
    columns = (
        *_CASE,
        *("load, ms", "first answer, ms", "CPU ms/photo", "memory, MiB", "of peak"),
    )
    about = (
        "`load`: opening the file, not for the first time. `memory`: the most that the process "
        "had, Python and packages included, in the CPU's memory. `of peak`: operations of the "
        "network against those of a large matrix product on this CPU in the same precision."
    )
    return Table("What it costs", about, columns, cells, frozenset({0, 1, 2}))


def _int8(rows: Sequence[Measurement]) -> list[tuple[str, ...]]:
    """Each int8 row beside a float row of the same network, runtime and settings."""
    found: list[tuple[str, ...]] = []
    for row in rows:
        if row.precision != "int8":
            continue
        kin = [
            other
            for other in rows
            if other.precision in ("fp32", "fp16")
            and _family(other) == _family(row)
            and (other.input, other.nms) == (row.input, row.nms)
            and (other.runtime, other.device, other.threads, other.batch)
            == (row.runtime, row.device, row.threads, row.batch)
        ]
        kin.sort(
            key=lambda other: (
                other.precision != "fp32",
                Path(other.name).suffix != Path(row.name).suffix,
                other.model != row.model,
            )
        )
        for other in kin[:1]:
            times = f"~{other.ms.value / row.ms.value:.2f}"
            if other.group == row.group:  # they took turns, so the ratio is not approximate
                rounds = zip(other.rounds, row.rounds, strict=False)
                times = f"{statistics.median(a / b for a, b in rounds):.2f}"
            main = main_figure([row], row.task)
            before, after = (one.figures.get(main[0]) if main else None for one in (other, row))
            lost = ""
            if before is not None and after is not None and other.model == row.model:
                lost = f"{100 * (before - after):.2f}"
            found.append(
                (
                    row.name,
                    row.runtime,
                    other.name,
                    times,
                    lost,
                    f"{row.bytes / other.bytes:.2f}",
                )
            )
    return found


def _family(row: Measurement) -> str:
    return row.model.removesuffix("-int8")


def _probe_rows(results: Results) -> list[tuple[str, str]]:
    return [
        (
            probe_name(key),
            f"{max(values):.0f} GFLOPs/s at most, {statistics.median(values):.0f} median",
        )
        for key, values in results.probes.items()
    ]


def probe_name(key: str) -> str:
    """Readable name of a key of `Results.probes`."""
    precision, threads = key.split(", ")
    return f"{precision} product, {threads} threads"


def _ms(one: Estimate) -> str:
    return f"{one.value:.2f} ({one.low:.2f}-{one.high:.2f})"


def _points(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f}"
