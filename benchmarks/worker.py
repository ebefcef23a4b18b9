"""One case in its own process, so that nothing else uses its memory, threads and caches."""

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
from ..runtimes import RUNTIMES
from ..runtimes.seal import model_files
from ..tasks.timing import Item
from .cases import Case
from .pipelines import Pipeline, open_pipeline

_HERE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Opened:
    """Facts about a case once it is open.

    Attributes:
        task: Task of the network.
        precision: Precision of the weights.
        name: Name of the network.
        size: Height and width of the input, in pixels.
        resize: How a photo is brought to that size.
        bytes: Size on disk of all parts together.
        sha256: SHA-256 over all parts, in order.
        load_ms: Milliseconds to open the file when it is not the first time.
        first_ms: Milliseconds to the network's first answer.
        callers: Number of callers at once while it is timed.
        nms: Whether NMS is inside the file.
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
    """Time and memory of one turn of a case.

    Attributes:
        seconds: Seconds of each batch in each of `STEPS`, float64 (N, 4). Decoding is NaN if
            several callers keep the device busy, as photos are then decoded beforehand.
        cpu: CPU seconds of the process per photo, without decoding.
        memory: Peak memory of the process so far, in bytes.
        resident: Seconds of the network alone on arrays that are on the device, float64 (M,);
            empty if nothing is copied.
    """

    seconds: NDArray[np.float64]
    cpu: float
    memory: int
    resident: NDArray[np.float64]


def serve(pipe: Connection, job: Callable[[], Any]) -> None:
    """Call methods of the object that `job` makes, on request through the pipe, until it closes.

    A request is a method's name and its arguments; the answer is its result or a
    `PocketfaceError`.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles Ctrl-C
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
    """Opens and times one case.

    Args:
        case: The case to measure.
        items: Photos to time on, by task.
    """

    def __init__(self, case: Case, items: Mapping[str, Sequence[Item]]) -> None:
        self.case = case
        self._of_tasks = items

    def open(self) -> Opened:
        """Load the file, and run the network once."""
        cv2.setNumThreads(self.case.threads)  # for resizing; the runtime has its own threads
        runtime = RUNTIMES.get(self.case.runtime.partition(":")[0])
        if runtime is not None and runtime.imports is not None:
            with suppress(ImportError), quiet():  # the runtime's own error is clearer
                importlib.import_module(runtime.imports)
        if self.case.runtime == "torch:compile":  # must not reuse another row's compilation
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp(prefix="pocketface-")
            atexit.register(shutil.rmtree, os.environ["TORCHINDUCTOR_CACHE_DIR"], True)
        # Opened twice, because the first use of a runtime imports much of it.
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
        """Time batches for some seconds, at least one batch."""
        if self.callers == 1:
            rows, cpu = _run(self.pipeline, self._decoded(), seconds)
        else:
            rows, cpu = self._run_at_once(seconds)
        photos = len(rows) * self.case.batch
        return Turn(np.array(rows), cpu / photos, _peak_memory(), self._resident(seconds))

    def accuracy(self, measure: Callable[[Pipeline], dict[str, float | None]]) -> Any:
        """The result of `measure` for this pipeline."""
        return measure(self.pipeline)

    def _run_at_once(self, seconds: float) -> tuple[list[tuple[float, ...]], float]:
        # Each photo is in memory once, as what is told is the memory that a model takes.
        decoded = itertools.cycle([(read_image(one.path), one.landmarks) for one in self.items])
        some = [[next(decoded) for _ in range(self.case.batch)] for _ in self.items]
        photos = [([one for one, _ in batch], [two for _, two in batch]) for batch in some]

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
    """Seconds of each step of each batch, and CPU seconds of all steps but decoding."""
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
    """Peak memory of this process in bytes."""
    with suppress(OSError), open("/proc/self/status", encoding="ascii") as status:
        # Not `getrusage`, which on Linux counts the parent's memory too.
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
    """The error as one that survives pickling; others may need arguments to be remade."""
    if isinstance(error, PocketfaceError):
        return PocketfaceError(str(error), hint=error.hint)
    # The report need not reveal where the package is installed.
    said = str(error).replace(f"{_HERE}{os.sep}", "")
    return PocketfaceError(textwrap.shorten(f"{type(error).__name__}: {said}", 300))
