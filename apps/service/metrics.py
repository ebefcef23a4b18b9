"""Figures of the service for Prometheus, of one process or of all that share the port."""

from __future__ import annotations

import os
import re
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable by which prometheus-client finds the folder of all processes' figures. It
reads it once, as it is imported."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper ends of the histogram's buckets."""

_LIVE = re.compile(r"gauge_live\w+_(\d+)\.db")


class Metrics:
    """What is counted. Labels are the service's own words, never a client's.

    Args:
        folder: Where several processes keep their figures; None for one process.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._registry = own = CollectorRegistry()
        self._requests = Counter(
            "pocketface_requests", "Requests answered", ["endpoint", "code"], registry=own
        )
        self._seconds = Histogram(
            "pocketface_request_seconds",
            "Time from a request's head to the end of its answer",
            ["endpoint"],
            registry=own,
            buckets=_SECONDS,
        )
        self._photos = Counter("pocketface_photos", "Photos looked at", ["endpoint"], registry=own)
        self._faces = Counter("pocketface_faces", "Faces found in them", ["endpoint"], registry=own)
        self._at_work = Gauge(
            "pocketface_requests_at_work",
            "Requests whose photos a thread works at",
            registry=own,
            multiprocess_mode="livesum",
        )
        self._waiting = Gauge(
            "pocketface_requests_waiting",
            "Requests that wait for a thread, or are arriving",
            registry=own,
            multiprocess_mode="livesum",
        )

    def answered(self, endpoint: str, code: int, seconds: float) -> None:
        """Count a request.

        Args:
            endpoint: Template of its path.
            code: Status of the answer.
            seconds: From its head to the end of the answer.
        """
        self._requests.labels(endpoint, str(code)).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def seen(self, endpoint: str, photos: int, faces: int) -> None:
        """Count photos and the faces in them."""
        self._photos.labels(endpoint).inc(photos)
        self._faces.labels(endpoint).inc(faces)

    def queue(self, at_work: int, waiting: int) -> None:
        """Note how many requests are at work and how many wait."""
        self._at_work.set(at_work)
        self._waiting.set(waiting)

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        if self._folder is None:
            return generate_latest(self._registry)
        _forget_dead(self._folder)
        of_all = CollectorRegistry()
        MultiProcessCollector(of_all, str(self._folder))  # type: ignore[no-untyped-call]
        return generate_latest(of_all)


def _forget_dead(folder: Path) -> None:
    """Drop gauges of processes that ended: they have no queue."""
    for path in folder.glob("gauge_live*_*.db"):
        found = _LIVE.fullmatch(path.name)
        if found and not _lives(int(found[1])):
            mark_process_dead(int(found[1]), str(folder))  # type: ignore[no-untyped-call]


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
