"""A run on a cluster that writes down what it does: `driver.py ADDRESS CALM POISON`.

It works in the current folder, from in/ to out/. Each line of seen.txt is a process and the photo
that it is given; CALM are the seconds before its work, POISON a photo that ends the process.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from pocketface.apps.archive import cluster
from pocketface.apps.archive.job import Answer, Job, Photo, Worker
from pocketface.apps.archive.request import ArchiveRequest
from pocketface.apps.archive.run import blur_archive
from pocketface.apps.blur.request import BlurRequest
from pocketface.errors import PocketfaceError

ADDRESS, CALM, POISON = sys.argv[1], float(sys.argv[2]), sys.argv[3]
SEEN = Path("seen.txt").absolute()


class Seen(Worker):
    """Ray takes it along by value, as it is of the main module."""

    def __init__(self, job: Job) -> None:
        if POISON == "everything":
            raise PocketfaceError("another version")
        super().__init__(job)

    def answer(self, photo: Photo) -> Answer:
        with SEEN.open("a") as file:
            file.write(f"{os.getpid()} {ascii(photo.name)[1:-1]}\n")
        if photo.name == POISON:
            os._exit(1)
        time.sleep(CALM)
        return super().answer(photo)


if __name__ == "__main__":
    cluster.Worker = Seen  # type: ignore[misc]
    try:
        done = blur_archive(
            ArchiveRequest(
                settings=BlurRequest(sources=(), detector=Path("three.onnx")),
                source="in",
                output="out",
                ray=ADDRESS,
            )
        )
    except PocketfaceError as error:
        sys.exit(f"error: {error}")
    print(done.photos, done.skipped, *(f"{one.source}: {one.failed}" for one in done.failed))
