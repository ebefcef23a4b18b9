"""Lines and tables on standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_MOST_WIDTH = 10_000

_DIRECTIONS = (*range(0x200E, 0x2010), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
"""Letters that turn the direction of writing, or end a line."""

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
_CONTROLS |= {code: f"\\u{code:04x}" for code in _DIRECTIONS}


def printable(text: str) -> str:
    r"""The text with control characters as `\x1b`: in a file's name they could steer a terminal."""
    return text.translate(_CONTROLS)


def tell(text: str) -> None:
    """Print a line to standard output, without control characters."""
    print(printable(text))


def tell_path(path: Path) -> None:
    """Print a path at once; other programs that read the list get it as it is."""
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    print(printable(str(path)) if on_terminal else path, flush=True)


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    numbers: Sequence[int] = (),
) -> None:
    """Print a table.

    Args:
        title: The line above the table.
        columns: Headings.
        rows: Cells of each row; missing ones at the end stay empty.
        numbers: Indices of the right-aligned columns.
    """
    from rich import box
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        made.add_column(column, justify="right" if index in numbers else "left", no_wrap=True)
    for row in rows:
        made.add_row(*map(printable, row))
    # The table's own width: a narrow terminal wraps long lines, but Rich would cut words out of
    # the cells.
    screen = Console(highlight=False, markup=False, emoji=False, width=_MOST_WIDTH)
    screen.width = Measurement.get(screen, screen.options, made).maximum
    tell(title)
    screen.print(made)


@contextmanager
def progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr if that is a terminal; call the result with done and total.

    Text printed meanwhile still goes to standard output: above the bar if both are the same
    terminal, and never to stderr.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True, soft_wrap=True)
    columns = (BarColumn(), MofNCompleteColumn(), unit, TimeRemainingColumn())
    with Progress(
        *columns,
        console=console,
        disable=not console.is_terminal,
        redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
    ) as shown:
        task = shown.add_task(unit)
        yield lambda done, total: shown.update(task, completed=done, total=total)
