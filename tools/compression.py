"""What each way of compressing a network gives, in one table.

    python tools/compression.py --template NAME --save-checkpoints-to DIR \
        --train-ann-files A --train-data-roots DIR --val-ann-files B --val-data-roots DIR

takes the flags of `pocketface compress`, runs it once for each way (or those of `--ways`), each in
a folder of its own in DIR, and prints Markdown. Started again, it goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pocketface.cli
from pocketface.compressing.report import CompressionReport, FileMeasured

WAYS = {
    "after training": ["--post-training", "--precision", "fp16,int8"],
    "during training": ["--nncf-quantization"],
    "sparse": ["--nncf-sparsity"],
    "sparse, then after training": ["--nncf-sparsity", "--post-training"],
    "pruned": ["--filter-pruning"],
    "pruned, then after training": ["--filter-pruning", "--post-training"],
}
TRAINED = {
    "sparse, then after training": ("sparse", "sparsity"),
    "pruned, then after training": ("pruned", "pruning"),
}
"""For a way, another way whose training it shares, and that training's name."""

REPORT = "compression.json"


def main() -> None:
    """Compress in every way, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--save-checkpoints-to", type=Path, required=True, metavar="DIR")
    parser.add_argument("--ways", nargs="+", metavar="WAY", choices=WAYS, default=[*WAYS])
    asked, others = parser.parse_known_args()
    folder = asked.save_checkpoints_to
    reports = {}
    for way in asked.ways:
        place_of_way = _folder(folder, way)
        written = place_of_way / REPORT
        if way in TRAINED and not written.exists():
            other, training = TRAINED[way]
            trained = _folder(folder, other) / training
            if trained.exists():
                shutil.copytree(trained, place_of_way / training, dirs_exist_ok=True)
        if not written.exists():
            command = ["compress", *others, "--save-checkpoints-to", str(place_of_way), *WAYS[way]]
            with redirect_stdout(sys.stderr):
                pocketface.cli.main([*command, "--resume"])  # returns 1 if some stay float
        if not written.exists():
            raise SystemExit(f"{way}: no {written}")
        reports[way] = CompressionReport.model_validate_json(written.read_text())
    first = next(iter(reports.values()))
    print(f"# {first.name}, compressed\n")
    print(f"    python tools/compression.py {shlex.join(sys.argv[1:])}\n")
    for way, report in reports.items():
        zeros = f", {100 * report.sparsity:.1f} % zeros" if report.sparsity is not None else ""
        print(f"- {way}: {report.method or 'the weights as they are'}{zeros}")
    keys = list(first.rows[0].before.figures)
    heads = ["file", "way", "MB", "zipped", "ms", "times as fast", *keys, "float layers", "written"]
    print()
    for line in (heads, ["---"] * len(heads)):
        print(f"| {' | '.join(line)} |")
    for row in first.rows[:: len({row.precision for row in first.rows})]:
        file = row.before.file
        print(f"| {' | '.join(_cells(file, 'float', row.before, keys))} | | |")
        for way, report in reports.items():
            for one in report.rows:
                if one.before.file == file and one.after is not None:
                    cells = _cells(file, f"{way}: {one.precision}", one.after, keys)
                    if one.faster:
                        cells[5] = f"{one.faster:.2f}"
                    cells += [f"{len(one.kept_float)} of {one.layers}"]
                    cells += ["yes" if one.status == "compressed" else f"no: {one.reason}"]
                    print(f"| {' | '.join(cells)} |")
    host = ", ".join(f"{key} {value}" for key, value in first.host.items())
    print(
        "\nTimes are medians of runs in turn with the float file, on one core. Ways were timed one "
        f"after the other: compare how many times as fast they are. {host}"
    )


def _folder(folder: Path, way: str) -> Path:
    return folder / way.replace(",", "").replace(" ", "-")


def _cells(file: str, way: str, one: FileMeasured, keys: list[str]) -> list[str]:
    figures = [one.figures.get(key) for key in keys]
    return [
        file,
        way,
        f"{one.bytes / 1e6:.3f}",
        f"{one.zipped / 1e6:.3f}",
        "" if one.ms is None else f"{one.ms:.2f}",
        "",
        *["" if value is None else f"{100 * value:.2f}" for value in figures],
    ]


if __name__ == "__main__":
    main()
