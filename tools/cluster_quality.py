"""How well `pocketface recognize cluster` puts people's photos together, against their names.

    python tools/cluster_quality.py LIST.identities.json --data-roots DIR --load-weights FILE \
        --calibration FILE

Of all pairs of photos: precision is the share of one person's among those in one folder, recall the
share in one folder among those of one person. "whole" are people whose photos are in one folder,
with nobody else's. The calibration should be of other people than the list.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pocketface.apps.recognize_calibrate import embedded
from pocketface.apps.recognize_calibration import use_calibration
from pocketface.apps.recognize_linkage import average_linkage
from pocketface.data.identities import read_identities
from pocketface.tasks.load import load_as
from pocketface.tasks.recognition.model import FaceRecognizer


def main() -> None:
    """Print a row for each false match rate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("list", type=Path)
    parser.add_argument("--data-roots", type=Path, required=True)
    parser.add_argument("--load-weights", required=True)
    parser.add_argument("--calibration", type=Path)
    parser.add_argument("--max-fmr", type=float, nargs="+", default=[1e-2, 3e-3, 1e-3])
    args = parser.parse_args()
    model = load_as(FaceRecognizer, args.load_weights)
    if args.calibration is not None:
        use_calibration(args.calibration, model)
    rows, known = embedded(model, read_identities([args.list], [args.data_roots]).photos)
    names, people = np.unique(known, return_inverse=True)
    print(f"{len(rows):,} photos of {len(names):,} people")
    print("| max FMR | folders | alone | precision, % | recall, % | whole | s |")
    print("|---|---|---|---|---|---|---|")
    for rate in args.max_fmr:
        started = time.perf_counter()
        groups = average_linkage(rows, model.threshold(max_fmr=rate))
        seconds = time.perf_counter() - started
        precision, recall = quality(groups, people)
        sizes = np.bincount(groups)
        print(
            f"| {rate:g} | {(sizes > 1).sum():,} | {(sizes == 1).sum():,} | {100 * precision:.2f} "
            f"| {100 * recall:.2f} | {whole(groups, people):,} | {seconds:.1f} |"
        )


def quality(groups: NDArray[np.int64], people: NDArray[np.int64]) -> tuple[float, float]:
    """Precision and recall of pairs, shares of 1; NaN without pairs.

    Args:
        groups: The group of each photo, (N,).
        people: The person of each.
    """
    both = _pairs(Counter(zip(groups.tolist(), people.tolist(), strict=True)).values())
    together = _pairs(Counter(groups.tolist()).values())
    same = _pairs(Counter(people.tolist()).values())
    return (both / together if together else np.nan), (both / same if same else np.nan)


def whole(groups: NDArray[np.int64], people: NDArray[np.int64]) -> int:
    """Number of people whose photos are in one group with nobody else's; see `quality`."""
    there = set(zip(groups.tolist(), people.tolist(), strict=True))
    of_group = Counter(group for group, _ in there)
    of_person = Counter(person for _, person in there)
    return sum(of_group[group] == of_person[person] == 1 for group, person in there)


def _pairs(counts: Iterable[int]) -> int:
    return sum(count * (count - 1) // 2 for count in counts)


if __name__ == "__main__":
    main()
