"""Charts of results: accuracy against time, and the time of each step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import MissingPackageError
from ..files import atomic_write
from ..tasks import TASKS, task_of
from .results import STEPS, Measurement

_WIDTH = 640

_LEAST_RANGE = 1.0
"""Smallest height of a chart, in percentage points, so that near-equal files look equal."""


def charts_html(rows: Sequence[Measurement]) -> str:
    """All charts as an HTML fragment that needs no network; empty without rows."""
    charts = [pareto(rows, task) for task in TASKS]
    charts = [chart for chart in [*charts, _steps(rows)] if chart is not None]
    if not charts:
        return ""
    whole = _altair().vconcat(*charts).resolve_scale(color="independent", shape="independent")
    text: str = whole.to_html(
        inline=True, fullhtml=False, output_div="charts", json_kwds={"cls": _InScript}
    )
    return f'<div class="wide">{text}</div>'


class _InScript(json.JSONEncoder):
    """JSON for a script tag, which names from model files must not be able to close."""

    def encode(self, o: Any) -> str:
        """Encode as usual, but escape "<", which occurs only in strings."""
        return super().encode(o).replace("<", "\\u003c")


def save_pareto(rows: Sequence[Measurement], task: str, path: Path) -> bool:
    """Save the chart of accuracy against time as a PNG.

    Args:
        rows: Measurements; those of other tasks are ignored.
        task: A key of `tasks.TASKS`.
        path: The PNG file to write.

    Returns:
        Whether there was something to draw.
    """
    chart = pareto(rows, task)
    if chart is None:
        return False
    with atomic_write(path) as handle:
        chart.save(handle, format="png", scale_factor=1.5)
    return True


def main_figure(rows: Sequence[Measurement], task: str) -> tuple[str, str] | None:
    """Key and name of the figure that ranks these rows; None if none was measured."""
    for figure in task_of(task).measure.FIGURES:
        key = figure.key
        if figure.chart and any(
            row.task == task and row.figures.get(key) is not None for row in rows
        ):
            return key, figure.chart
    return None


def frontier(rows: Sequence[Measurement], key: str) -> list[Measurement]:
    """The rows that no other beats in both accuracy and time, fastest first."""
    best, found = -1.0, []
    for row in sorted(rows, key=lambda row: (row.ms.value, -(row.figures[key] or 0.0))):
        figure = row.figures[key]
        if figure is not None and figure > best:
            best = figure
            found.append(row)
    return found


def pareto(rows: Sequence[Measurement], task: str) -> Any:
    """Chart with a mark for each row of batch 1, and the frontier; None if it would be empty."""
    main = main_figure(rows, task)
    if main is None:
        return None
    alt = _altair()
    key, name = main
    some = [
        row
        for row in rows
        if row.task == task and row.batch == 1 and row.figures.get(key) is not None
    ]
    if not some:
        return None
    figures = [100 * (row.figures[key] or 0.0) for row in some]
    marks = [
        {
            "file": row.name,
            "model": row.model,
            "runtime": row.runtime,
            "precision": row.precision or "?",
            "ms": row.ms.value,
            "low": row.ms.low,
            "high": row.ms.high,
            "figure": figure,
            "MB": row.mb,
            "threads": row.threads,
            "device": row.device,
        }
        for row, figure in zip(some, figures, strict=True)
    ]
    edge = [
        {"ms": row.ms.value, "figure": 100 * (row.figures[key] or 0.0)}
        for row in frontier(some, key)
    ]
    x = alt.X(
        "ms:Q",
        scale=alt.Scale(type="log", nice=False, padding=20),
        title="ms from pixels to answers, median (log)",
    )
    around = max(0.0, _LEAST_RANGE - (max(figures) - min(figures))) / 2
    y = alt.Y(
        "figure:Q",
        scale=alt.Scale(domain=[min(figures) - around, max(figures) + around], nice=True),
        title=name,
    )
    shown = ["file", "model", "runtime", "precision", "device", "threads", "ms", "figure", "MB"]
    line = (
        alt.Chart(alt.Data(values=edge))
        .mark_line(interpolate="step-after", color="#999", strokeDash=[4, 3])
        .encode(x=x, y=y)
    )
    spread = (
        alt.Chart(alt.Data(values=marks))
        .mark_rule(opacity=0.4)
        .encode(x=alt.X("low:Q"), x2="high:Q", y=y, color=alt.Color("model:N"))
    )
    points = (
        alt.Chart(alt.Data(values=marks))
        .mark_point(filled=True, size=90, opacity=0.9)
        .encode(
            x=x,
            y=y,
            color=alt.Color("model:N", scale=alt.Scale(scheme="tableau20")),
            shape=alt.Shape("precision:N"),
            tooltip=[alt.Tooltip(one, type=_type_of(marks[0][one])) for one in shown],
        )
    )
    title = f"{task}: accuracy against time, batch 1; dashed: the frontier"
    return alt.layer(line, spread, points).properties(width=_WIDTH, height=420, title=title)


def _steps(rows: Sequence[Measurement]) -> Any:
    """Chart with a bar of steps for each row of batch 1."""
    alt = _altair()
    parts = [
        {
            "row": f"{row.name}, {row.runtime}, {row.device} x {row.threads}",
            "step": step,
            "order": STEPS.index(step),
            "ms": row.steps[step].p50.value,
        }
        for row in rows
        if row.batch == 1
        for step in STEPS
        if step in row.steps
    ]
    if not parts:
        return None
    return (
        alt.Chart(alt.Data(values=parts))
        .mark_bar()
        .encode(
            x=alt.X("ms:Q", title="ms of one photo, medians"),
            y=alt.Y("row:N", title=None, sort="x", axis=alt.Axis(labelLimit=330)),
            color=alt.Color("step:N", sort=list(STEPS)),
            order="order:Q",
            tooltip=["row:N", "step:N", alt.Tooltip("ms:Q", format=".2f")],
        )
        .properties(width=_WIDTH - 120, title="Where the time goes, batch 1")
    )


def _type_of(value: object) -> str:
    return "nominal" if isinstance(value, str) else "quantitative"


def check_packages() -> None:
    """Check for the drawing packages, before anything is measured.

    Raises:
        MissingPackageError: altair or vl-convert is not installed.
    """
    _altair()


def _altair() -> Any:
    try:
        import altair
        import vl_convert  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(error.name or "altair") from error
    return altair
