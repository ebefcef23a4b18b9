"""`pocketface benchmark`."""

from __future__ import annotations

import argparse
from argparse import SUPPRESS
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.class_names import ClassNames
from ..errors import UserError
from ..places import check_place
from .console import print_table, progress, tell
from .labels import ANNOTATIONS, add_classes
from .parser import a_path, names, paths, positive, positive_counts

if TYPE_CHECKING:
    from ..benchmarks.results import Results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's flags."""
    parser.add_argument(
        "artefacts",
        nargs="*",
        metavar="ARTEFACT",
        help="model files, folders of them, and templates whose weights ship",
    )
    parser.add_argument(
        "--data",
        nargs="+",
        metavar="FILE",
        help=f"labels for accuracy, and photos to time on: {ANNOTATIONS} (default: two photos, no "
        "accuracy)",
    )
    parser.add_argument(
        "--root", nargs="+", metavar="DIR", help="folders of the photos, one each or one for all"
    )
    add_classes(parser)
    parser.add_argument(
        "--wider-dir", type=a_path, metavar="DIR", help="WIDER FACE, for easy, medium and hard AP"
    )
    parser.add_argument(
        "--accuracy-from",
        nargs="+",
        type=a_path,
        default=[],
        metavar="RESULTS",
        help="earlier results.json on the same labels: files in them are not measured again",
    )
    parser.add_argument(
        "--devices",
        type=names,
        default=["cpu"],
        metavar="A,B",
        help="cpu (default), cuda, gpu, npu, coreml, mps, ...",
    )
    parser.add_argument(
        "--threads",
        type=positive_counts,
        default=[1],
        metavar="1,2",
        help="of one inference on the CPU (default: 1)",
    )
    parser.add_argument(
        "--batch", type=positive_counts, default=[1], metavar="1,8", help="photos at once"
    )
    parser.add_argument(
        "--runtimes",
        type=names,
        metavar="A,B",
        help="only these, as torch or torch:compile (default: all that open a file)",
    )
    parser.add_argument(
        "--duration",
        type=positive,
        default=3.0,
        metavar="S",
        help="seconds of timing of each row (default 3)",
    )
    parser.add_argument(
        "--peers", type=a_path, metavar="DIR", help="other people's detectors, beside ours"
    )
    parser.add_argument("--peers-only", type=names, metavar="A,B", help="some of them")
    parser.add_argument(
        "--output",
        type=a_path,
        metavar="DIR",
        help="for results.json, report.md and report.html (default: report)",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace the results of an earlier run there"
    )
    parser.set_defaults(measuring=_defaults(parser))
    parser.add_argument(
        "--redraw", type=a_path, metavar="RESULTS", help="draw the report of a results.json again"
    )
    parser.add_argument(
        "--compare",
        nargs=2,
        type=a_path,
        metavar="RESULTS",
        help="say what got faster or slower from the first results.json to the second",
    )


def run(args: argparse.Namespace) -> None:
    """Measure and report, or only one of the two."""
    given = [args.redraw is not None, args.compare is not None, bool(args.artefacts or args.peers)]
    if sum(given) != 1:
        raise UserError("expected model files or --peers, or --redraw, or --compare, one of them")
    if not (args.artefacts or args.peers):
        _refuse_settings(args)
    if args.compare is not None:
        _compare(*args.compare)
    elif args.redraw is not None:
        _redraw(args)
    else:
        _measure(args)


def _defaults(parser: argparse.ArgumentParser) -> dict[str, tuple[str, Any]]:
    """Each flag so far and its default, by the name of its value."""
    flags = (one for one in parser._actions if one.option_strings and one.default != SUPPRESS)
    return {one.dest: (one.option_strings[-1], one.default) for one in flags}


def _refuse_settings(args: argparse.Namespace) -> None:
    """Refuse what says how to measure where nothing is to be measured.

    Raises:
        UserError: There is such a flag.
    """
    alone = "--redraw" if args.compare is None else "--compare"
    for name, (flag, default) in args.measuring.items():
        is_set = getattr(args, name, default) != default
        if is_set and not (name in ("output", "force") and alone == "--redraw"):
            raise UserError(f"{flag}: {alone} measures nothing, and takes no such flag")


def _measure(args: argparse.Namespace) -> None:
    from ..api.benchmark import benchmark
    from ..benchmarks.report import report_files
    from ..benchmarks.results import RESULTS_FILE
    from ..data.pairs import check_there
    from ..tasks.measuring import Labels

    output = args.output or Path("report")
    files, roots = paths(args.data), paths(args.root)
    check_there(files, roots, flags=("--data", "--root"))
    classes = ClassNames.parse(args.classes)
    check_place(output, "--output", folder=True)
    with progress("rows") as on_progress:
        results = benchmark(
            args.artefacts,
            output,
            annotations=Labels(files, roots, args.wider_dir, classes),
            accuracy_from=args.accuracy_from,
            devices=args.devices,
            threads=args.threads,
            batch=args.batch,
            runtimes=args.runtimes,
            duration=args.duration,
            peers=args.peers,
            peers_only=args.peers_only,
            force=args.force,
            command=args.command_line,
            on_progress=on_progress,
        )
    if results.rows:
        _show(results, [*report_files(output), output / RESULTS_FILE])
    if not results.finished:
        raise KeyboardInterrupt


def _redraw(args: argparse.Namespace) -> None:
    from ..benchmarks.report import check_report, write_report
    from ..benchmarks.results import RESULTS_FILE, read_results

    results = read_results(args.redraw)
    output = args.output or args.redraw.parent
    other = output / RESULTS_FILE
    if not args.force and other.exists() and not other.samefile(args.redraw):
        raise UserError(
            f"--output {output}: holds the {RESULTS_FILE} of another run",
            hint="name another folder; or --force replaces its report",
        )
    check_report(output, force=args.force)
    _show(results, write_report(results, output))


def _show(results: Results, files: Sequence[Path]) -> None:
    from ..benchmarks.tables import noise, overview

    table = overview(results)
    numbers = [index for index in range(len(table.columns)) if index not in table.text]
    print_table(f"{len(results.rows)} rows", table.columns, table.rows, numbers=numbers)
    if results.absent:
        tell(f"absent here: {len(results.absent)}; the report says why")
    warning = noise(results)
    if warning is not None:
        tell(warning)
    for path in files:
        tell(f"written: {path}")


def _compare(before: Path, after: Path) -> None:
    from ..benchmarks.compare import compare, probe_ratios
    from ..benchmarks.machine import differences
    from ..benchmarks.results import read_results
    from ..benchmarks.tables import noise, probe_name

    first, second = read_results(before), read_results(after)
    changes = compare(first, second)
    if not changes:
        raise UserError(f"{before} and {after} have no row in common")
    print_table(
        f"{before} -> {after}",
        (
            "file",
            "runtime",
            "device",
            "threads",
            "batch",
            "ms",
            "ms",
            "times as fast",
            "",
            "points",
        ),
        [
            (
                *change.after.key,
                f"{change.before.ms.value:.2f}",
                f"{change.after.ms.value:.2f}",
                f"{change.ratio:.2f}",
                change.verdict,
                ", ".join(f"{key} {value:+.2f}" for key, value in change.moved.items()),
            )
            for change in changes
        ],
        numbers=range(3, 8),
    )
    for path, results, other in ((before, first, second), (after, second, first)):
        for key in sorted({row.key for row in results.rows} - {row.key for row in other.rows}):
            tell(f"only in {path}: {', '.join(key)}")
        warning = noise(results)
        if warning is not None:
            tell(f"{path}: {warning}")
    for one in differences(first.host, second.host):
        tell(f"another machine: {one}")
    for probe, ratio in probe_ratios(first, second).items():
        tell(f"{probe_name(probe)}: {ratio:.2f} times as fast in {after}")
    for name in sorted({*first.protocol, *second.protocol}):
        was, is_ = (one.protocol.get(name, "none") for one in (first, second))
        if was != is_:
            tell(f"another protocol: {name}: {was}; and {is_}")
