"""`pocketface select`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import NothingFitsError
from .console import print_table
from .parser import a_path, fraction, positive, positive_count

if TYPE_CHECKING:
    from ..benchmarks.results import Row

_RUNNERS_UP = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    parser.add_argument(
        "--task",
        required=True,
        choices=("face-detection", "glasses-classification"),
        help="what the file is for",
    )
    for name in ("easy", "medium", "hard"):
        parser.add_argument(
            f"--min-ap-{name}", type=fraction, metavar="0..1", help=f"WIDER FACE, {name}"
        )
    parser.add_argument("--min-ap50", type=fraction, metavar="0..1", help="COCO's AP at IoU 0.5")
    parser.add_argument(
        "--min-accuracy", type=fraction, metavar="0..1", help="balanced, of a classifier"
    )
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
    """Print the choice, or why there is none."""
    from ..benchmarks.machine import differences, fingerprint
    from ..benchmarks.results import RESULTS_FILE, read_results
    from ..benchmarks.select import FIGURES, LIMITS, select

    if args.results.is_dir():
        args.results /= RESULTS_FILE
    results = read_results(args.results)
    limits, figures = (
        {flag: getattr(args, flag) for flag in flags if getattr(args, flag) is not None}
        for flags in (LIMITS, FIGURES)
    )
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
        print(f"{args.results}: the benchmark was interrupted: not all files are in it")
    here = fingerprint(gpu="gpu" in results.host)
    for one in differences(results.host, here):
        print(f"measured on another machine: {one} here")
    if choice.nearest is not None:
        row, misses = choice.nearest
        _print("nearest", [row], FIGURES)
        raise NothingFitsError(
            f"none of the files measured meets this; nearest is {row.name} ({row.runtime}): "
            + "; ".join(str(miss) for miss in misses)
        )
    best, *others = choice.fitting
    _print("chosen", [best], FIGURES)
    if others:
        _print("next", others[:_RUNNERS_UP], FIGURES)


def _print(title: str, rows: list[Row], figures: dict[str, str]) -> None:
    known = [
        key for key in figures.values() if any(row.figures.get(key) is not None for row in rows)
    ]
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
