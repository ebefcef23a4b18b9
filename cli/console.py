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
        title: A line above it.
        columns: Headings.
        rows: Cells; a short row is empty at its end.
        numbers: Indices of the columns that stand to the right.
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
    # As wide as the table is: a narrow terminal breaks long lines, but Rich would cut words out
    # of the cells.
    screen = Console(highlight=False, markup=False, emoji=False, width=_MOST_WIDTH)
    screen.width = Measurement.get(screen, screen.options, made).maximum
    print(title)
    screen.print(made)


@contextmanager
def progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, where that is a terminal; moved by calling it with done and total.

    What is printed meanwhile goes to standard output as it is: above the bar where both are the
    same terminal, and never into the bar's stream where only that is one.
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
