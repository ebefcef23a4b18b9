"""Lines and tables on standard output."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import TextIO, cast

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
        columns: Headings, which may have several lines.
        rows: Cells of each row; missing ones at the end stay empty.
        numbers: Indices of the right-aligned columns.
    """
    import tabulate

    tabulate.MIN_PADDING = 0  # a heading needs no room beside it: tables fit into 80 columns
    text = tabulate.tabulate(
        [[*map(printable, row)] for row in rows],
        headers=[*columns],
        tablefmt="simple",
        colalign=["right" if index in numbers else "left" for index in range(len(columns))],
        disable_numparse=True,
    )
    tell(title)
    print()
    for line in text.splitlines():
        print(line.rstrip())
    print()


@contextmanager
def progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr if that is a terminal; call the result with done and total.

    Text printed meanwhile still goes to standard output: above the bar if both are the same
    terminal, and never to stderr.
    """
    from tqdm import tqdm

    shown = sys.stderr is not None and sys.stderr.isatty()
    both = shown and sys.stdout is not None and sys.stdout.isatty()
    size = shutil.get_terminal_size()  # tqdm shows nothing on terminals that say 0 x 0
    with ExitStack() as stack:
        bar = stack.enter_context(
            tqdm(
                # tqdm moves its bar out of the way of what is written to the bar's own file alone.
                file=sys.stdout if both else sys.stderr,
                unit=f" {unit}",
                disable=not shown,
                ncols=size.columns,
                nrows=size.lines,
            )
        )
        if both:
            from tqdm.contrib import DummyTqdmFile  # it brings asyncio

            above = cast("TextIO", DummyTqdmFile(sys.stdout))
            stack.enter_context(redirect_stdout(above))

        def on_progress(done: int, total: int) -> None:
            if bar.total != total:
                bar.reset(total)
            bar.update(done - bar.n)

        yield on_progress
