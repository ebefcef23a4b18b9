"""Reports of results in Markdown, HTML and plots."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from ..files import atomic_write
from ..tasks import TASKS
from .charts import charts_html, save_pareto
from .results import Results
from .tables import Table, noise, tables

_BEGINS = "# Benchmark"

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1250px; padding: 0 1rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-size: 13px; white-space: nowrap }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: right }
th:first-child, td:first-child, .text { text-align: left }
pre { white-space: pre-wrap }
"""


def write_report(results: Results, output: Path) -> list[Path]:
    """Write report.md, report.html, and a plot for each task with measured accuracy.

    Args:
        results: The results to report.
        output: Folder for the report; made if missing.

    Returns:
        The files written.
    """
    files = [output / "report.md", output / "report.html"]
    is_ours = _is_report(output)
    parts = tables(results)
    texts = (_markdown(results, parts), _html(results, parts))
    for path, text in zip(files, texts, strict=True):
        with atomic_write(path, "w") as handle:
            handle.write(text)
    for task in TASKS:
        picture = output / f"{task}.png"
        if save_pareto(results.rows, task, picture):
            files.append(picture)
        elif is_ours:
            picture.unlink(missing_ok=True)  # left from an earlier report
    return files


def check_report(output: Path, *, force: bool) -> None:
    """Refuse to write a report over files that are none of an earlier one.

    Args:
        output: Folder for the report.
        force: Whether they may be replaced.

    Raises:
        UserError: There are such files.
    """
    if force or _is_report(output):
        return
    names = ["report.md", "report.html", *(f"{task}.png" for task in TASKS)]
    for name in names:
        if os.path.lexists(output / name):
            raise UserError(
                f"--output {output}: holds a {name} that is of no earlier run",
                hint="name another folder; or --force replaces it",
            )


def _is_report(output: Path) -> bool:
    """Whether the files of a folder that have a report's names are of an earlier one."""
    try:
        with open(output / "report.md", "rb") as handle:
            return handle.read(len(_BEGINS)) == _BEGINS.encode()
    except OSError:
        return False


def report_files(output: Path) -> list[Path]:
    """The files of a folder that `write_report` wrote."""
    pictures = [output / f"{task}.png" for task in TASKS]
    return [output / "report.md", output / "report.html", *filter(Path.exists, pictures)]


def _facts(results: Results) -> list[str]:
    facts = [] if results.finished else ["Interrupted: not all rows are here."]
    warning = noise(results)
    facts += [] if warning is None else [warning]
    facts += [f"{name[0].upper()}{name[1:]}: {text}." for name, text in results.protocol.items()]
    return [*facts, f"Measured {results.date}."]


def _markdown(results: Results, parts: Sequence[Table]) -> str:
    lines = [_BEGINS, "", *(f"- {fact}" for fact in _facts(results)), ""]
    lines += ["    " + results.command, ""]
    for part in parts:
        lines += [f"## {part.title}", "", *([part.about, ""] if part.about else [])]
        marks = ["---" if index in part.text else "---:" for index in range(len(part.columns))]
        for cells in (part.columns, marks, *part.rows):
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _code(text: str) -> str:
    """Turn Markdown's backticks into HTML."""
    return re.sub("`(.+?)`", r"<code>\1</code>", html.escape(text))


def _html(results: Results, parts: Sequence[Table]) -> str:
    body = ["<h1>Benchmark</h1>", "<ul>"]
    body += [f"<li>{html.escape(fact)}</li>" for fact in _facts(results)]
    body += ["</ul>", f"<pre>{html.escape(results.command)}</pre>", charts_html(results.rows)]
    for part in parts:
        body += [f"<h2>{html.escape(part.title)}</h2>", f"<p>{_code(part.about)}</p>"]
        body.append('<div class="wide"><table>')
        for tag, row in [("th", part.columns), *(("td", row) for row in part.rows)]:
            cells = (
                f"<{tag}{' class=text' if index in part.text else ''}>{html.escape(cell)}</{tag}>"
                for index, cell in enumerate(row)
            )
            body.append(f"<tr>{''.join(cells)}</tr>")
        body.append("</table></div>")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Benchmark</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )
