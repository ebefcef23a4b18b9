"""Tables on standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

_MOST_WIDTH = 10_000


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
        made.add_row(*row)
    # The table's own width: a narrow terminal wraps long lines, but Rich would cut words out of
    # the cells.
    screen = Console(highlight=False, markup=False, emoji=False, width=_MOST_WIDTH)
    screen.width = Measurement.get(screen, screen.options, made).maximum
    print(title)
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
