"""What an application waits for besides the network: starting, and decoding photos.

    python tools/figures.py [--repeats 7]

Prints Markdown; medians, the rows of photos in turn.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib
import skimage

import pocketface
from pocketface.exporting import ExportRequest, export_model
from pocketface.tasks.weights import open_weights

PHOTOS = 24
IMPORT = "from time import perf_counter as now; a = now(); import pocketface; print(now() - a)"


def import_seconds() -> float:
    """Seconds for `import pocketface` in a new process, without Python's own start."""
    command = [sys.executable, "-c", IMPORT]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def seconds_of(action: Callable[[], object]) -> float:
    """Seconds that an action takes."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7)
    repeats = range(parser.parse_args().repeats)
    hopper = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    astronaut = Path(skimage.__path__[0]) / "data" / "astronaut.png"
    photos = [hopper, astronaut] * (PHOTOS // 2)
    weights = open_weights("face-detection-n", None)
    with tempfile.TemporaryDirectory() as folder:
        report = export_model(
            ExportRequest(weights=weights, folder=Path(folder), formats=["openvino"], verify=False)
        )
        model = pocketface.load(report.paths[0])
    assert isinstance(model, pocketface.FaceDetector)
    model.predict_batch(photos)  # a warm-up
    asking = [sys.executable, "-m", "pocketface", "--help"]
    rows: dict[str, Callable[[], float]] = {
        "`import pocketface`": import_seconds,
        "`pocketface --help`": lambda: seconds_of(
            lambda: subprocess.run(asking, capture_output=True, check=True)
        ),
        f"{PHOTOS} photos by `predict`, one file after another": lambda: seconds_of(
            lambda: [model.predict(photo) for photo in photos]
        ),
        "the same by `predict_batch`": lambda: seconds_of(lambda: model.predict_batch(photos)),
    }
    found = [{what: measure() for what, measure in rows.items()} for _ in repeats]
    print("| | ms |\n|---|---|")
    for what in rows:
        print(f"| {what} | {1e3 * statistics.median(one[what] for one in found):.0f} |")


if __name__ == "__main__":
    main()
