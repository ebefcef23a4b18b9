"""`pocketface select`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..benchmarks.select import LIMITS, budgets, select
from ..errors import NothingFitsError
from ..tasks import TASKS
from .console import print_table, tell
from .parser import a_path, fraction, positive, positive_count

if TYPE_CHECKING:
    from ..benchmarks.results import Measurement

_RUNNERS_UP = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument(
        "--task",
        required=True,
        choices=tuple(TASKS),
        help="what the file is for",
    )
    for flag, figure in budgets().items():
        parser.add_argument(f"--{flag}", type=fraction, metavar="0..1", help=figure.title)
    parser.add_argument(
        "--max-ms", type=positive, metavar="MS", help="from pixels to answers, median"
    )
    parser.add_argument("--max-mb", type=positive, metavar="MB", help="on disk")
    parser.add_argument("--max-memory", type=positive, metavar="MIB", help="of the process")
    parser.add_argument("--runtime", help="only this one, as openvino")
    parser.add_argument("--device", help="only this one, as cpu")
    parser.add_argument("--threads", type=positive_count, metavar="N", help="only so many")
    parser.add_argument("--peers", action="store_true", help="other people's files too")
    parser.add_argument(
        "--results",
        type=a_path,
        default=Path("report/results.json"),
        metavar="RESULTS",
        help="of `pocketface benchmark`, or its folder (default: report/results.json)",
    )


def run(args: argparse.Namespace) -> None:
    """Print the chosen file, or why there is none."""
    from ..benchmarks.machine import differences, fingerprint
    from ..benchmarks.results import RESULTS_FILE, read_results

    if args.results.is_dir():
        args.results /= RESULTS_FILE
    results = read_results(args.results)
    limits = {flag: value for flag in LIMITS if (value := getattr(args, flag)) is not None}
    figures = {
        figure.key: value
        for flag, figure in budgets().items()
        if (value := getattr(args, flag.replace("-", "_"))) is not None
    }
    choice = select(
        results.rows,
        task=args.task,
        limits=limits,
        figures=figures,
        runtime=args.runtime,
        device=args.device,
        threads=args.threads,
        peers=args.peers,
    )
    if not results.finished:
        tell(f"{args.results}: the benchmark was interrupted: not all files are in it")
    here = fingerprint(gpu="gpu" in results.host)
    for one in differences(results.host, here):
        tell(f"measured on another machine: {one} here")
    if choice.nearest is not None:
        row, misses = choice.nearest
        _print("nearest", [row])
        raise NothingFitsError(
            f"none of the files measured meets this; nearest is {row.name} ({row.runtime}): "
            + "; ".join(str(miss) for miss in misses)
        )
    best, *others = choice.fitting
    _print("chosen", [best])
    if others:
        _print("next", others[:_RUNNERS_UP])


def _print(title: str, rows: list[Measurement]) -> None:
    keys = [figure.key for figure in budgets().values()]
    known = [key for key in keys if any(row.figures.get(key) is not None for row in rows)]
    print_table(
        title,
        ("file", "precision", "runtime", "device", "threads", "MB", "ms", "MiB", *known),
        [
            (
                row.name,
                row.precision or "",
                row.runtime,
                row.device,
                str(row.threads),
                f"{row.mb:.2f}",
                f"{row.ms.value:.2f}",
                f"{row.memory / 2**20:.0f}",
                *(
                    "" if (value := row.figures.get(key)) is None else f"{value:.4f}"
                    for key in known
                ),
            )
            for row in rows
        ],
        numbers=range(4, 8 + len(known)),
    )
