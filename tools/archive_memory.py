"""Does a long run over an archive stay within its memory? Prints a table, and photos per second.

    python tools/archive_memory.py [--photos 5000] [--side 320]

Photos in the public domain, cut and scaled at random, are blurred by Ray on this machine with as
many processes as it has cores. After each tenth it says how much memory the process that holds the
manifest and those that hold a model take.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import matplotlib
import numpy as np
import psutil
import skimage
from PIL import Image

from pocketface.apps.archive.request import ArchiveRequest
from pocketface.apps.archive.run import blur_archive
from pocketface.apps.blur.manifest import Done, open_manifest
from pocketface.apps.blur.request import BlurRequest
from pocketface.model_templates.catalogue import DETECTOR
from pocketface.tasks.named import model_path


def write_photos(folder: Path, number: int, side: int) -> None:
    """Write JPEGs of `side` pixels, no two alike, a thousand in each folder."""
    paths = (
        Path(skimage.__path__[0], "data/astronaut.png"),
        Path(matplotlib.get_data_path(), "sample_data/grace_hopper.jpg"),
    )
    photos = [Image.open(path).convert("RGB") for path in paths]
    random = np.random.default_rng(0)
    for one in range(number):
        photo = photos[one % len(photos)]
        longest = int(min(photo.size) * random.uniform(0.8, 1.0))
        left, top = (int(random.integers(0, room - longest + 1)) for room in photo.size)
        place = folder / str(one // 1000) / f"{one:06}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        photo.crop((left, top, left + longest, top + longest)).resize((side, side)).save(place)


def megabytes() -> tuple[float, list[float]]:
    """Memory of this process, and of each actor, that is theirs alone (USS)."""
    here = psutil.Process()
    actors = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if line.startswith("ray::") and "Worker" in line and process.uids() == here.uids():
            actors.append(process.memory_full_info().uss / 1e6)
    return here.memory_full_info().uss / 1e6, actors


def manifest_speed(folder: Path, lines: int = 3200) -> float:
    """Lines of the manifest per second, 32 at once, each time synced to the disk."""
    done = [
        Done(f"s3://bucket/photos/{one}.jpg", "1" * 64, "2" * 64, f"{one}.jpg", "3" * 64, 1, 1)
        for one in range(lines)
    ]
    with open_manifest(folder) as manifest:
        begun = time.monotonic()
        for start in range(0, lines, 32):
            manifest.add(*done[start : start + 32])
        return lines / (time.monotonic() - begun)


def main() -> None:
    """Blur them all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("--side", type=int, default=320, help="of each photo, in pixels")
    arguments = parser.parse_args()
    started = time.monotonic()
    tenth = max(1, arguments.photos // 10)
    told = 0

    def tell(done: int, total: int) -> None:
        nonlocal told
        if done // tenth > told or done == total:
            told = done // tenth
            here, actors = megabytes()
            each = ", ".join(f"{size:.0f}" for size in actors)
            row = f"| {done} | {time.monotonic() - started:.0f} | {here:.0f} | {each} |"
            print(row, flush=True)

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_photos(folder / "in", arguments.photos, arguments.side)
        print(f"{manifest_speed(folder / 'speed'):.0f} lines of the manifest per second")
        print("| photos | seconds | MB here | MB of each actor |\n|---|---|---|---|", flush=True)
        started = time.monotonic()
        summary = blur_archive(
            ArchiveRequest(
                settings=BlurRequest(sources=(), detector=model_path(DETECTOR)),
                source=str(folder / "in"),
                output=str(folder / "out"),
                ray="",
                on_progress=tell,
            )
        )
    rate = summary.photos / summary.seconds
    print(f"{summary.photos} photos, {len(summary.failed)} failed, {rate:.1f} per second, with ")
    print(f"the start of Ray, on {os.cpu_count()} cores; load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
