"""A report as one HTML file and as PDF."""

from __future__ import annotations

import html
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.image import imread

Table = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Heading and rows."""

_A4 = (11.69, 8.27)
_LONGEST = 24
"""Characters of a cell on paper; the end of a longer one is kept, which tells paths apart."""

_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; display: block; overflow-x: auto }
td, th { border: 1px solid #ccc; padding: .2rem .5rem; text-align: left }
img { max-width: 100% }
"""


@dataclass(frozen=True)
class Page:
    """What is reported.

    Attributes:
        title: The heading.
        settings: Text that is shown as it is.
        tables: By title.
        pictures: PNG files by title; one that is not there is left out.
    """

    title: str
    settings: str
    tables: Mapping[str, Table]
    pictures: Mapping[str, Path]

    def drawn(self) -> list[tuple[str, Path]]:
        """Titles and files of the pictures that are there."""
        return [(title, path) for title, path in self.pictures.items() if path.exists()]


def write_html(page: Page, path: Path) -> None:
    """Write a page that needs no other file."""
    parts = [f"<h1>{html.escape(page.title)}</h1>"]
    for title, (head, rows) in page.tables.items():
        lines = [_row("th", head), *(_row("td", row) for row in rows)]
        parts += [f"<h2>{html.escape(title)}</h2>", f"<table>{''.join(lines)}</table>"]
    for title, picture in page.drawn():
        data = b64encode(picture.read_bytes()).decode()
        parts.append(
            f"<h2>{html.escape(title)}</h2><img src='data:image/png;base64,{data}' alt=''>"
        )
    parts.append(f"<h2>Settings</h2><pre>{html.escape(page.settings)}</pre>")
    head = f"<meta charset='utf-8'><title>{html.escape(page.title)}</title><style>{_STYLE}</style>"
    path.write_text(f"<!doctype html>{head}{''.join(parts)}", encoding="utf-8")


def _row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"


def write_pdf(page: Page, path: Path) -> None:
    """Write a sheet for each table and picture, without a date, so that equal reports are equal."""
    with PdfPages(path, metadata={"Title": page.title, "CreationDate": None}) as pdf:
        for title, (head, rows) in page.tables.items():
            figure = _sheet(f"{page.title}\n{title}")
            axes = figure.add_axes((0.03, 0.05, 0.94, 0.8), frameon=False, xticks=[], yticks=[])
            cells = [[_short(cell) for cell in row] for row in rows]
            table = axes.table(cells, colLabels=[_short(cell) for cell in head], loc="upper center")
            table.auto_set_font_size(False)
            table.set_fontsize(8)
            table.scale(1, 1.3)
            table.auto_set_column_width(range(len(head)))
            pdf.savefig(figure)
        for title, picture in page.drawn():
            figure = _sheet(title)
            axes = figure.add_axes((0.05, 0.05, 0.9, 0.83), frameon=False, xticks=[], yticks=[])
            axes.imshow(imread(picture))
            pdf.savefig(figure)


def _sheet(title: str) -> Figure:
    figure = Figure(figsize=_A4)
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    return figure


def _short(cell: str) -> str:
    return cell if len(cell) <= _LONGEST else f"…{cell[1 - _LONGEST :]}"
