"""One case in a process of its own: nothing else uses its memory, threads and caches."""

from __future__ import annotations

import atexit
import hashlib
import importlib
import itertools
import os
import shutil
import signal
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..data.images import read_image
from ..errors import PocketfaceError, UserError
from ..files import sha256_file
from ..quiet import quiet
from ..runtimes.seal import model_files
from ..tasks.timing import Item
from .cases import Case
from .pipelines import Pipeline, open_pipeline

_HERE = Path(__file__).resolve().parents[1]

_PACKAGES = {
    "torch": "torch",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "litert": "ai_edge_litert.interpreter",
    "tensorflow": "tensorflow",
}
"""Imported before the clock for loading starts."""


@dataclass(frozen=True)
class Opened:
    """What is known of a case once it is open.

    Attributes:
        task: Of the network.
        precision: Of its weights.
        name: What network it is.
        size: Height and width of its input.
        resize: How a photo comes to that.
        bytes: On disk, all parts.
        sha256: Of all parts, in turn.
        load_ms: Opening the file, not for the first time.
        first_ms: The first answer of the network.
        callers: That ask at once when it is timed.
        nms: It is inside the file.
    """

    task: str
    precision: str | None
    name: str
    size: tuple[int, int]
    resize: str
    bytes: int
    sha256: str
    load_ms: float
    first_ms: float
    callers: int
    nms: bool


@dataclass(frozen=True, eq=False)
class Turn:
    """What one turn of a case took.

    Attributes:
        seconds: float64 (N, 4): of each batch, by `STEPS`. Where several callers keep the device
            busy, photos are decoded beforehand: NaN.
        cpu: Of the process, per photo, decoding apart.
        memory: Most bytes that the process had so far.
        resident: float64 (M,): of the network alone on arrays that are on the device; empty where
            nothing is copied.
    """

    seconds: NDArray[np.float64]
    cpu: float
    memory: int
    resident: NDArray[np.float64]


def serve(pipe: Connection, job: Callable[[], Any]) -> None:
    """Call methods of what `job` makes, as the other end of the pipe asks, until it closes.

    Every question is a method's name and its arguments; the answer is its result, or a
    `PocketfaceError`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the other end's business
    made = None
    with suppress(EOFError, ConnectionError):
        while True:
            name, arguments = pipe.recv()
            try:
                if made is None:
                    made = job()
                pipe.send(getattr(made, name)(*arguments))
            except Exception as error:
                pipe.send(_told(error))


class CaseWorker:
    """A case, opened.

    Args:
        case: What.
        items: To time it on, by task.
    """

    def __init__(self, case: Case, items: Mapping[str, Sequence[Item]]) -> None:
        self.case = case
        self._of_tasks = items

    def open(self) -> Opened:
        """Load the file, and get a first answer."""
        cv2.setNumThreads(self.case.threads)  # of resizing, beside the runtime's
        name = self.case.runtime.partition(":")[0]
        if name in _PACKAGES:
            with suppress(ImportError), quiet():  # the runtime says it better
                importlib.import_module(_PACKAGES[name])
        if self.case.runtime == "torch:compile":  # what another row compiled is no help
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp(prefix="pocketface-")
            atexit.register(shutil.rmtree, os.environ["TORCHINDUCTOR_CACHE_DIR"], True)
        # Twice: much of a runtime is only imported by its first use.
        open_pipeline(self.case)
        begun = time.perf_counter()
        self.pipeline = open_pipeline(self.case)
        loaded = time.perf_counter()
        self.items = self._of_tasks.get(self.pipeline.task, ())
        if not self.items:
            raise UserError(f"no photos for {self.pipeline.task}: expected --data with them")
        self._next = itertools.cycle(self.items)
        session = self.pipeline.session
        self.callers = 1 if session is None else session.at_once
        batch, _ = self.pipeline.steps.prepare(*self._batch())
        ready = time.perf_counter()
        self.pipeline.steps.infer(batch)
        answered = time.perf_counter()
        parts = model_files(self.case.target.path)
        digest = hashlib.sha256("".join(map(sha256_file, parts)).encode())
        pipeline = self.pipeline
        return Opened(
            task=pipeline.task,
            precision=pipeline.precision,
            name=pipeline.name,
            size=pipeline.size,
            resize=pipeline.resize,
            bytes=sum(part.stat().st_size for part in parts),
            sha256=digest.hexdigest(),
            load_ms=1e3 * (loaded - begun),
            first_ms=1e3 * (answered - ready),
            callers=self.callers,
            nms=pipeline.is_final,
        )

    def turn(self, seconds: float) -> Turn:
        """Run for a while, one batch at least."""
        if self.callers == 1:
            rows, cpu = _run(self.pipeline, self._decoded(), seconds)
        else:
            rows, cpu = self._run_at_once(seconds)
        photos = len(rows) * self.case.batch
        return Turn(np.array(rows), cpu / photos, _peak_memory(), self._resident(seconds))

    def accuracy(self, measure: Callable[[Pipeline], dict[str, float | None]]) -> Any:
        """What `measure` makes of the pipeline."""
        return measure(self.pipeline)

    def _run_at_once(self, seconds: float) -> tuple[list[tuple[float, ...]], float]:
        photos = [self._batch() for _ in self.items]

        def one(_: int) -> tuple[list[tuple[float, ...]], float]:
            ready = ((float("nan"), *batch) for batch in itertools.cycle(photos))
            return _run(self.pipeline, ready, seconds)

        before = time.process_time()
        with ThreadPoolExecutor(self.callers) as pool:
            rows = [row for some, _ in pool.map(one, range(self.callers)) for row in some]
        return rows, time.process_time() - before

    def _resident(self, seconds: float) -> NDArray[np.float64]:
        session = self.pipeline.session
        if session is None or session.place is None:
            return np.zeros(0)
        answer = session.place(self.pipeline.steps.prepare(*self._batch())[0])
        taken: list[float] = []
        end = time.perf_counter() + seconds
        while not taken or time.perf_counter() < end:
            begun = time.perf_counter()
            answer()
            taken.append(time.perf_counter() - begun)
        return np.array(taken)

    def _decoded(self) -> Iterator[tuple[float, list[Any], list[Any]]]:
        while True:
            begun = time.perf_counter()
            images, points = self._batch()
            yield time.perf_counter() - begun, images, points

    def _batch(self) -> tuple[list[Any], list[Any]]:
        some = list(itertools.islice(self._next, self.case.batch))
        return [read_image(item.path) for item in some], [item.landmarks for item in some]


def _run(
    pipeline: Pipeline, batches: Iterator[tuple[float, list[Any], list[Any]]], seconds: float
) -> tuple[list[tuple[float, ...]], float]:
    """Seconds of each step of each batch, and of the CPU for all but decoding."""
    rows: list[tuple[float, ...]] = []
    cpu = 0.0
    end = time.perf_counter() + seconds
    while not rows or time.perf_counter() < end:
        decoding, images, points = next(batches)
        busy = time.process_time()
        clock = [time.perf_counter()]
        batch, aside = pipeline.steps.prepare(images, points)
        clock.append(time.perf_counter())
        outputs = pipeline.steps.infer(batch)
        clock.append(time.perf_counter())
        pipeline.steps.finish(outputs, aside)
        clock.append(time.perf_counter())
        cpu += time.process_time() - busy
        rows.append((decoding, *np.diff(clock)))
    return rows, cpu


def _peak_memory() -> int:
    """Most bytes that this process had in memory."""
    with suppress(OSError), open("/proc/self/status", encoding="ascii") as status:
        # Not `getrusage`: on Linux it knows of the parent's memory too.
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _told(error: Exception) -> PocketfaceError:
    """An error that can be sent: others may need arguments to be made again."""
    if isinstance(error, PocketfaceError):
        return PocketfaceError(str(error))
    # Where this is installed is nobody's business who reads the report.
    said = str(error).replace(f"{_HERE}{os.sep}", "")
    return PocketfaceError(textwrap.shorten(f"{type(error).__name__}: {said}", 300))
