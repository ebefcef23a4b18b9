"""Time and memory of galleries: to open and save one, and to look for a face in it.

    OPENBLAS_NUM_THREADS=1 python tools/gallery_speed.py 10000 100000 1000000

Prints the table of docs/guide/recognize.md. The faces are random vectors, ten of each person. Times
are those of the processor, so that other work on the machine counts less; of 20 searches the
fastest counts.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from pocketface import Embedding
from pocketface.apps.gallery import Gallery
from pocketface.apps.gallery_file import EnrolledPhoto, GalleryContent, write_gallery
from pocketface.apps.gallery_model import EmbeddingModel

_EACH = 10
_SEARCHES = 20


def main() -> None:
    """Measure galleries of some sizes, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("faces", nargs="+", type=int)
    parser.add_argument("--size", type=int, default=256, help="components of an embedding")
    args = parser.parse_args()
    print(
        f"| faces x {args.size} | file, MB | open, s | save, s | find one face, ms | memory, MiB |"
    )
    print("|---|---|---|---|---|---|")
    for count in args.faces:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "random.gallery")
            _alone(_write, path, count, args.size)
            print(_alone(_row, path, count, args.size), flush=True)


def _alone(work: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives in a process of its own, whose memory is nobody else's."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def _row(path: Path, count: int, size: int) -> str:
    before = _peak()
    started = time.process_time()
    gallery = Gallery.open(path)
    opened = time.process_time() - started
    rng = np.random.default_rng(1)
    times = []
    for _ in range(_SEARCHES):
        face = _unit(rng.standard_normal((1, size), np.float32))[0]
        started = time.process_time()
        gallery.find(Embedding(face))
        times.append(time.process_time() - started)
    memory = _peak() - before
    gallery.add("somebody", Embedding(face))
    started = time.process_time()
    gallery.save()
    saved = time.process_time() - started
    megabytes = path.stat().st_size / 1e6
    found = 1000 * min(times)
    return (
        f"| {count:,} | {megabytes:,.0f} | {opened:.2f} | {saved:.2f} | {found:.2f} | "
        f"{memory:,.0f} |"
    )


def _write(path: Path, count: int, size: int) -> None:
    rng = np.random.default_rng(0)
    photos = [
        EnrolledPhoto(f"person {place // _EACH}", f"{place}.jpg", place, place, place)
        for place in range(count)
    ]
    content = GalleryContent(
        photos,
        np.arange(count, dtype=np.int32),
        _unit(rng.standard_normal((count, size), np.float32)),
        np.zeros((count, 4), np.float32),
    )
    model = EmbeddingModel(name="random", checkpoint_sha256=None, input_sha256="0", size=size)
    write_gallery(path, model, content)


def _unit(rows: np.ndarray) -> np.ndarray:
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _peak() -> float:
    """The most memory of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


if __name__ == "__main__":
    main()
