"""What each way of compressing a network gives, in one table.

    python tools/compression.py --template NAME --save-checkpoints-to DIR \
        --train-ann-files A --train-data-roots DIR --val-ann-files B --val-data-roots DIR

takes the flags of `pocketface compress`, runs it once for each way (or those of `--ways`), each in
a folder of its own in DIR, and prints Markdown. Started again, it goes on where it was interrupted;
what was made with other flags, or of other weights, is refused.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pocketface.compressing.report import RECORD, CompressionReport, FileMeasured
from pocketface.errors import UserError
from pocketface.tasks.weights import open_weights
from pocketface.tools.compressed import compressed
from pocketface.tools.running import digested, ended, keep_settings

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


def main() -> None:
    """Compress in every way, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--save-checkpoints-to", type=Path, required=True, metavar="DIR")
    parser.add_argument("--ways", nargs="+", metavar="WAY", choices=WAYS, default=[*WAYS])
    parser.add_argument("--template")
    parser.add_argument("--load-weights")
    asked, others = parser.parse_known_args()
    folder = asked.save_checkpoints_to
    weights = open_weights(asked.template, asked.load_weights)
    settings = {"weights": weights.sha256, "flags": digested(others)}
    keep_settings(folder, settings, begun=any(_folder(folder, way).exists() for way in WAYS))
    source = ["--template", asked.template] if asked.template else []
    source += ["--load-weights", asked.load_weights] if asked.load_weights else []
    reports = {}
    for way in asked.ways:
        place = _folder(folder, way)
        if way in TRAINED and not (place / RECORD).exists():
            other, training = TRAINED[way]
            trained = _folder(folder, other) / training
            if trained.exists():
                shutil.copytree(trained, place / training, dirs_exist_ok=True)
        # Trainings alone can be resumed.
        resumed = [] if way == "after training" else ["--resume"]
        reports[way] = compressed(place, *source, *others, *WAYS[way], *resumed)
        if reports[way].name != weights.template.name:
            raise UserError(
                f"{place / RECORD}: is of {reports[way].name}: expected {weights.template.name}"
            )
    first = next(iter(reports.values()))
    print(f"# {first.name}, compressed\n")
    print(f"    python tools/compression.py {shlex.join(sys.argv[1:])}\n")
    for way, report in reports.items():
        zeros = f", {100 * report.sparsity:.1f} % zeros" if report.sparsity is not None else ""
        print(f"- {way}: {report.method or 'the weights as they are'}{zeros}")
        for name, reason in report.no_float.items():
            print(f"- {way}: nothing for {name}: {reason}")
    print()
    for line in table(reports):
        print(f"| {' | '.join(line)} |")
    host = ", ".join(f"{key} {value}" for key, value in first.host.items())
    print(
        "\nTimes are medians of runs in turn with the float file, on one core. Ways were timed one "
        f"after the other: compare how many times as fast they are. {host}"
    )


def table(reports: Mapping[str, CompressionReport]) -> list[list[str]]:
    """Headings, and a row for each float file and each outcome, by way."""
    rows = [row for report in reports.values() for row in report.rows]
    keys = list(rows[0].before.figures)
    heads = ["file", "way", "MB", "zipped", "ms", "times as fast", *keys, "float layers", "written"]
    lines = [heads, ["---"] * len(heads)]
    floats: dict[str, FileMeasured] = {}
    for row in rows:
        floats.setdefault(row.before.file, row.before)
    for file, before in floats.items():
        lines.append([*_cells(file, "float", before, keys), "", ""])
        for way, report in reports.items():
            for one in report.rows:
                if one.before.file != file:
                    continue
                title = f"{way}: {one.precision}"
                cells = [file, title, *[""] * (4 + len(keys))]
                if one.after is not None:
                    cells = _cells(file, title, one.after, keys)
                if one.faster:
                    cells[5] = f"{one.faster:.2f}"
                cells += [f"{len(one.kept_float)} of {one.layers}" if one.after else ""]
                cells += ["yes" if one.status == "compressed" else f"no: {one.reason}"]
                lines.append(cells)
    return lines


def _folder(folder: Path, way: str) -> Path:
    return folder / way.replace(",", "").replace(" ", "-")


def _cells(file: str, way: str, one: FileMeasured, keys: Sequence[str]) -> list[str]:
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
    ended(main)
