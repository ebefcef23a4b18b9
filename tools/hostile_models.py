"""Open damaged and forged model files of every format, and count what becomes of them.

    python tools/hostile_models.py --mutations 400

Prints a table in Markdown. The exit code is 1 if a file was neither refused in one clear line nor
harmless: a crash, a hang, more than 1 GiB of memory, another exception, or, with the seal as it
was, another answer.
"""

from __future__ import annotations

import argparse
import runpy
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from random import Random

from pocketface.exporting import EXPORTERS, ExportRequest, export_model
from pocketface.models.weights import read_weights, write_weights
from pocketface.tools.hostile.forgeries import forge, names_for
from pocketface.tools.hostile.mutations import mutate
from pocketface.tools.hostile.run import CLEAN, Job, Outcome, opened

TINY = Path(__file__).resolve().parents[1] / "tests" / "tiny_network.py"

FORMATS = {
    ".xml": "openvino",
    ".onnx": "onnx",
    ".mlmodel": "coreml",
    ".mlpackage": "coreml",
    ".tflite": "litert",
    ".savedmodel": "tensorflow",
    ".keras": "tensorflow",
    ".pt": "torchscript",
    ".pth": None,
    ".safetensors": None,
}
"""By suffix, the exporter that writes it; None for weights."""


COLUMNS = (
    "format", "files", "tried", "clean", *CLEAN, "s CPU at most", "MiB at most", "not clean"
)  # fmt: skip
"""Of the table."""


def make_models(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Write the network of tests/tiny_template.yaml, with random weights, in these formats."""
    tiny = runpy.run_path(str(TINY))
    source = tiny["write_tiny_weights"](folder)
    weights = read_weights(source)
    write_weights(
        folder / "weights.pth",
        template_text=weights.template_text,
        state_dict=weights.state_dict,
        epochs=weights.epochs,
    )
    names = {FORMATS[suffix] for suffix in suffixes}
    wanted = [name for name in EXPORTERS if name in names]
    if wanted:
        export_model(ExportRequest(weights=weights, folder=folder, formats=wanted, verify=False))
    stems = {suffix: "model" if FORMATS[suffix] else "weights" for suffix in suffixes}
    return {suffix: folder / f"{stem}{suffix}" for suffix, stem in stems.items()}


def mutated(path: Path, folder: Path, count: int, seed: int) -> Iterator[Job]:
    """Damaged copies of a model, every other one sealed anew; each is removed after its turn."""
    for index in range(count):
        random = Random(f"{seed} {path.suffix} {index}")
        place = folder / str(index)
        place.mkdir(parents=True)
        copy = place / f"model{path.suffix}"
        reseal = index % 2 == 1
        what = mutate(path, copy, random, reseal=reseal)
        yield Job(copy, f"{index}: {what}", reseal)
        shutil.rmtree(place)


def forged(path: Path, folder: Path) -> Iterator[Job]:
    """Forged copies of a model; each is removed after its turn."""
    for index, name in enumerate(names_for(path.suffix)):
        place = folder / f"f{index}"
        place.mkdir(parents=True)
        copy = place / f"model{path.suffix}"
        forge(path, copy, name)
        yield Job(copy, name, True)
        shutil.rmtree(place)


def outcomes(
    models: dict[str, Path], folder: Path, *, mutations: int, seed: int = 0
) -> Iterator[tuple[str, list[Outcome], list[Outcome]]]:
    """For each format, what became of its damaged and of its forged files.

    Args:
        models: A sound model for each suffix, of `make_models`.
        folder: Where the files are written, one at a time.
        mutations: Number of damaged files for each format.
        seed: Says what is damaged.
    """
    for suffix, path in models.items():
        jobs = chain(mutated(path, folder / suffix, mutations, seed), forged(path, folder / suffix))
        found = list(opened(Job(path, "sound", False), jobs))
        yield suffix, found[:mutations], found[mutations:]


def rows(found: Iterable[tuple[str, list[Outcome], list[Outcome]]]) -> Iterator[list[str]]:
    """The rows of a table with `COLUMNS`, two for each format."""
    for suffix, damaged, forgeries in found:
        for kind, some in (("damaged", damaged), ("forged", forgeries)):
            if not some:
                continue
            count = Counter(one.kind for one in some)
            bad = [one for one in some if one.kind not in CLEAN]
            yield [
                f"`{suffix}`",
                kind,
                str(len(some)),
                str(len(some) - len(bad)),
                *(str(count[one]) for one in CLEAN),
                f"{max(one.seconds for one in some):.1f}",
                f"{max(one.memory for one in some) / 2**20:.0f}",
                "; ".join(f"{one.job.what}: {one.kind} {one.message[:80]!r}" for one in bad),
            ]


def print_table(suffixes: Sequence[str], *, mutations: int, seed: int = 0) -> bool:
    """Print what becomes of damaged and forged files of these formats; returns if all is clean."""
    print(f"| {' | '.join(COLUMNS)} |")
    print(f"|{' --- |' * len(COLUMNS)}")
    clean = True
    with tempfile.TemporaryDirectory() as name:
        models = make_models(Path(name), suffixes)
        found = outcomes(models, Path(name, "hostile"), mutations=mutations, seed=seed)
        for row in rows(found):
            print(f"| {' | '.join(row)} |", flush=True)
            clean = clean and not row[-1]
    return clean


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mutations", type=int, default=400, help="number for each format")
    parser.add_argument("--seed", type=int, default=0, help="says what is damaged")
    parser.add_argument("--formats", nargs="*", choices=FORMATS, default=list(FORMATS))
    asked = parser.parse_args()
    return 0 if print_table(asked.formats, mutations=asked.mutations, seed=asked.seed) else 1


if __name__ == "__main__":
    sys.exit(main())
