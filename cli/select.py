"""`pocketface select`."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..benchmarks.select import LIMITS, Miss, budgets, select
from ..errors import NothingFitsError, UserError
from ..tasks import TASKS, task_of
from .console import print_table, tell
from .json_lines import add_json, print_json
from .parser import a_path, percentage, positive, positive_count

if TYPE_CHECKING:
    from ..benchmarks.results import Measurement

_log = logging.getLogger(__name__)

_RUNNERS_UP = 2
_COLUMNS = ("file", "precision", "runtime", "device", "threads", "MB", "ms", "MiB")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument(
        "--task",
        required=True,
        choices=tuple(TASKS),
        help="what the file is for",
    )
    for flag, figure in budgets().items():
        parser.add_argument(f"--{flag}", type=percentage, metavar="PERCENT", help=figure.title)
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
    add_json(parser, "file chosen")


def run(args: argparse.Namespace) -> None:
    """Print the chosen file, or why there is none."""
    from ..benchmarks.machine import differences, fingerprint
    from ..benchmarks.results import RESULTS_FILE, read_results

    if args.results.is_dir():
        args.results /= RESULTS_FILE
    if not args.results.exists():
        raise UserError(
            f"{args.results}: no such file: there are no results to choose from",
            hint="measure first, as `pocketface benchmark DIR --data A.json --root PHOTOS`; or "
            "name results by --results",
        )
    known = {figure.key for figure in task_of(args.task).measure.FIGURES}
    for flag, figure in budgets().items():
        if getattr(args, flag.replace("-", "_")) is not None and figure.key not in known:
            raise UserError(f"--{flag}: files for {args.task} have no {figure.title}")
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
    remark = _log.warning if args.json else tell
    if not results.finished:
        remark(f"{args.results}: the benchmark was interrupted: not all files are in it")
    here = fingerprint(gpu="gpu" in results.host)
    for one in differences(results.host, here):
        remark(f"measured on another machine: {one} here")
    show = _print_json if args.json else _print
    if choice.nearest is not None:
        row, misses = choice.nearest
        show("nearest", [row], misses)
        raise NothingFitsError(
            f"none of the files measured meets this; nearest is {row.name} ({row.runtime}): "
            + "; ".join(str(miss) for miss in misses)
        )
    best, *others = choice.fitting
    show("chosen", [best])
    if others:
        show("next", others[:_RUNNERS_UP])


def _print_json(title: str, rows: Sequence[Measurement], misses: Sequence[Miss] = ()) -> None:
    for row in rows:
        print_json(
            {
                "rank": title,
                "file": row.name,
                "model": row.model,
                "task": row.task,
                "precision": row.precision,
                "runtime": row.runtime,
                "device": row.device,
                "threads": row.threads,
                "mb": round(row.mb, 3),
                "ms": round(row.ms.value, 3),
                "memory_mib": round(row.memory / 2**20, 1),
                "figures": {
                    key: None if value is None else round(100 * value, 4)
                    for key, value in row.figures.items()
                },
                "misses": [str(miss) for miss in misses],
            }
        )


def _print(title: str, rows: Sequence[Measurement], _: Sequence[Miss] = ()) -> None:
    keys = [figure.key for figure in budgets().values()]
    known = [key for key in keys if any(row.figures.get(key) is not None for row in rows)]
    print_table(
        title,
        (*_COLUMNS, *(f"{key} %" for key in known)),
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
                    "" if (value := row.figures.get(key)) is None else f"{100 * value:.2f}"
                    for key in known
                ),
            )
            for row in rows
        ],
        numbers=range(4, 8 + len(known)),
    )
