"""Run cases in turn and record their time, memory and accuracy."""

from __future__ import annotations

import datetime
import logging
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..cores import cores
from ..errors import PocketfaceError
from ..evaluation.figures import Figures
from ..tasks.measuring import Progress
from ..tasks.timing import Item
from .cases import Case
from .flops import gflops_of
from .machine import Probe, fingerprint
from .pipelines import Pipeline
from .results import RESULTS_FILE, STEPS, Absent, Measurement, Results, latency_of, write_results
from .worker import CaseWorker, Opened, Turn, serve

_log = logging.getLogger(__name__)

ROUNDS = 10
_TOGETHER = 24
"""Most processes that take turns; each holds its network in memory meanwhile."""

_SPARE_MEMORY = 3 * 2**30
"""Bytes of memory that must be free before another process is started."""

_WARM_UP = 0.3
_ENDS_IN = 10.0

Judge = Callable[[Pipeline], Figures]
"""Measures a pipeline's accuracy; must work in any process."""


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        cases: The cases, in any order.
        items: Photos to time on, by task.
        accuracy: Function that measures accuracy, by task; a task without one has no figures.
        duration: Seconds of timing for each case.
        protocol: Description of the measurement for the report.
        known: Known accuracy, not measured again, by `Measurement.answers`.
        command: The command that the user typed.
    """

    cases: Sequence[Case]
    items: Mapping[str, Sequence[Item]]
    accuracy: Mapping[str, Judge]
    duration: float
    protocol: dict[str, str]
    command: str
    known: dict[tuple[str, ...], Figures] = field(default_factory=dict)


@dataclass
class _Job:
    """A case and its process."""

    case: Case
    call: Callable[..., Any]
    opened: Opened
    turns: list[Turn] = field(default_factory=list)


def measure(plan: Plan, *, output: Path, on_progress: Progress | None = None) -> Results:
    """Measure all cases, and write results.json as it grows.

    Each case runs in its own process. A few at a time take turns in rounds, alternately forwards
    and backwards, so that a machine that is slow for a while slows all alike. A probe takes its
    turn too. Accuracy is measured afterwards, for several files at once.

    Args:
        plan: What to measure. A case that fails is listed as absent, with the reason.
        output: Folder for results.json; made if missing.
        on_progress: Called with the number of cases done and the total.

    Returns:
        The content of results.json. After Ctrl-C its `finished` is False; if nothing was timed,
        an older results.json stays as it is.
    """
    run = _Run(plan, output, on_progress)
    waiting = list(plan.cases)
    try:
        while waiting:
            with _Processes() as processes:
                jobs: list[_Job] = []
                while waiting and len(jobs) < _TOGETHER and (not jobs or _memory_is_free()):
                    case = waiting.pop(0)
                    process = processes.start(partial(CaseWorker, case, plan.items))
                    with run.absent_if_it_fails(case):
                        jobs.append(_Job(case, process.call, process.call("open")))
                    if not jobs or jobs[-1].case is not case:
                        process.end()
                threads = sorted({job.case.threads for job in jobs if job.case.device == "cpu"})
                probes = {count: processes.start(partial(Probe, count)) for count in threads}
                run.group(jobs, {count: probe.call for count, probe in probes.items()})
    except KeyboardInterrupt:
        return run.keep(finished=False)
    return run.keep(finished=True)


class _Run:
    """A run in progress, and what it has measured so far."""

    def __init__(self, plan: Plan, output: Path, on_progress: Progress | None) -> None:
        self.plan = plan
        self.file = output / RESULTS_FILE
        self.on_progress = on_progress
        self.host = fingerprint()
        self.date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self.rows: list[Measurement] = []
        self.absent: list[Absent] = []
        self.probes: dict[str, list[float]] = {}
        self.known = dict(plan.known)
        self.groups = 0

    def keep(self, *, finished: bool) -> Results:
        """Write the results so far to results.json, and return them."""
        results = Results(
            finished=finished,
            command=self.plan.command,
            date=self.date,
            host=self.host,
            protocol=self.plan.protocol,
            probes={key: tuple(values) for key, values in self.probes.items()},
            rows=tuple(self.rows),
            absent=tuple(self.absent),
        )
        if self.rows:
            write_results(results, self.file)
        return results

    @contextmanager
    def absent_if_it_fails(self, case: Case) -> Iterator[None]:
        """Record a case that fails as absent, so that the run goes on."""
        try:
            yield
        except PocketfaceError as error:
            _log.debug("absent: %s %s: %s", case.target.name, case.way, error)
            self.absent.append(
                Absent(
                    name=case.target.name,
                    runtime=case.way,
                    device=case.device,
                    threads=case.threads,
                    batch=case.batch,
                    reason=str(error),
                )
            )

    def group(self, jobs: list[_Job], probes: dict[int, Callable[..., Any]]) -> None:
        """Time some cases in turn, then measure their accuracy."""
        seen: dict[str, list[float]] = {}
        try:
            self._take_turns(jobs, probes, seen)
        finally:  # keep what was timed, even if the run ends early
            for key, values in seen.items():
                self.probes.setdefault(key, []).extend(values)
            start = len(self.rows)
            self.rows += [_row(job, seen, group=self.groups) for job in jobs if job.turns]
            self.groups += 1
            self.keep(finished=False)
        self._judge(jobs, range(start, len(self.rows)))

    def _take_turns(
        self, jobs: list[_Job], probes: dict[int, Callable[..., Any]], seen: dict[str, list[float]]
    ) -> None:
        """Run all rounds; the probes' speeds go to `seen`, by precision and threads."""

        def turn(job: _Job, seconds: float) -> Turn | None:
            with self.absent_if_it_fails(job.case):
                taken: Turn = job.call("turn", seconds)
                return taken
            jobs.remove(job)
            return None

        for job in [*jobs]:
            turn(job, _WARM_UP)
        for index in range(ROUNDS):
            for threads, probe in probes.items():
                for precision, found in probe("measure").items():
                    seen.setdefault(f"{precision}, {threads}", []).append(found)
            for job in [*jobs] if index % 2 else [*reversed(jobs)]:
                taken = turn(job, self.plan.duration / ROUNDS)
                if taken is not None:
                    job.turns.append(taken)

    def _judge(self, jobs: Sequence[_Job], places: Sequence[int]) -> None:
        """Measure each file once in each runtime, and fill in the rows at these places."""
        pool = ThreadPoolExecutor(cores())
        first: dict[tuple[str, ...], Future[Figures]] = {}
        try:
            for job in jobs:
                key, judge = _answers(job), self.plan.accuracy.get(job.opened.task)
                if judge is not None and key not in self.known and key not in first:
                    first[key] = pool.submit(job.call, "accuracy", judge)
            for job, place in zip(jobs, places, strict=True):
                key = _answers(job)
                if key in first:
                    try:
                        self.known[key] = first[key].result()
                    except PocketfaceError as error:
                        said = f"{error}; {error.hint}" if error.hint else str(error)
                        _log.warning("%s, %s: %s", job.case.target.name, job.case.way, said)
                figures = self.known.get(key, {})
                self.rows[place] = self.rows[place].model_copy(update={"figures": figures})
                self.keep(finished=False)
                if self.on_progress is not None:
                    self.on_progress(place + 1 + len(self.absent), len(self.plan.cases))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


class _Process:
    """Makes an object in a new process, and calls its methods there."""

    def __init__(self, job: Callable[[], Any]) -> None:
        # "spawn": a fork would inherit threads, and memory that is not the case's.
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=serve, args=(there, job), daemon=True)
        with _interrupts_held_back(), _without_main():
            self._process.start()
        there.close()

    def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the object, and return its result.

        Raises:
            PocketfaceError: The method raised it, or the process ended.
        """
        try:
            self._pipe.send((method, arguments))
            answer = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            self._process.join(_ENDS_IN)
            raise PocketfaceError(f"its process ended with {self._process.exitcode}") from error
        if isinstance(answer, Exception):
            raise answer
        return answer

    def end(self, *, at_once: bool = False) -> None:
        """End the process; `at_once` terminates it first, as it may be at work."""
        if at_once:
            self._process.terminate()
        self._pipe.close()
        self._process.join(_ENDS_IN)
        if self._process.is_alive():
            self._process.kill()


class _Processes:
    """The processes of a `with` block; they end with it."""

    def __init__(self) -> None:
        self._running: list[_Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for process in self._running:
            process.end(at_once=kind is not None)

    def start(self, job: Callable[[], Any]) -> _Process:
        """Start a process."""
        self._running.append(_Process(job))
        return self._running[-1]


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Block Ctrl-C, which a terminal sends to all its processes, while a process starts."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep a new process from importing the caller's script, which would begin to measure again.

    multiprocessing names that script to it by these two; nothing that is sent is defined there.
    """
    main = sys.modules["__main__"]
    names = [name for name in ("__file__", "__spec__") if hasattr(main, name)]
    kept = {name: getattr(main, name) for name in names}
    for name in names:
        setattr(main, name, None)
    try:
        yield
    finally:
        for name, value in kept.items():
            setattr(main, name, value)


def _answers(job: _Job) -> tuple[str, ...]:
    return job.case.answers(job.opened.sha256)


def _memory_is_free() -> bool:
    import psutil

    return bool(psutil.virtual_memory().available > _SPARE_MEMORY)


def _row(job: _Job, probes: dict[str, list[float]], *, group: int) -> Measurement:
    case, opened = job.case, job.opened
    rounds = [turn.seconds for turn in job.turns]
    wanted: dict[str, list[NDArray[np.float64]]] = {
        name: [one[:, index] for one in rounds] for index, name in enumerate(STEPS)
    }
    wanted["predict"] = [one[:, 1:].sum(1) for one in rounds]
    wanted["end_to_end"] = [one.sum(1) for one in rounds]
    steps = {name: latency_of(some) for name, some in wanted.items() if np.isfinite(some[0]).all()}
    # Little's law: the batches in flight are as many as the callers.
    callers = opened.callers
    mean = float(np.concatenate(wanted["predict"]).mean())
    gflops = gflops_of(case.target.path, height=opened.size[0], width=opened.size[1])
    # Weights of 16 bits are multiplied as 32-bit floats.
    computed = "int8" if opened.precision == "int8" else "fp32"
    most = max(probes.get(f"{computed}, {case.threads}", [0.0])) if case.device == "cpu" else 0.0
    share = None
    if gflops is not None and most and callers == 1 and "bf16" not in case.runtime:
        share = 1e3 * gflops * case.batch / steps["network"].p50.value / most
    resident = [turn.resident for turn in job.turns]
    return Measurement(
        name=case.target.name,
        peer=case.target.peer_of is not None,
        model=opened.name,
        task=opened.task,
        precision=opened.precision,
        runtime=case.way,
        device=case.device,
        threads=case.threads,
        batch=case.batch,
        input=f"{opened.size[1]}x{opened.size[0]} {opened.resize}",
        bytes=opened.bytes,
        sha256=opened.sha256,
        load_ms=opened.load_ms,
        first_ms=opened.first_ms,
        steps=steps,
        resident=latency_of(resident) if len(resident[0]) else None,
        throughput=callers * case.batch / mean,
        cpu_ms=1e3 * float(np.median([turn.cpu for turn in job.turns])),
        memory=max(turn.memory for turn in job.turns),
        gflops=gflops,
        peak_share=share,
        figures={},
        rounds=tuple(float(1e3 * np.median(some)) for some in wanted["predict"]),
        runs=sum(len(one) for one in rounds),
        group=group,
        nms=opened.nms,
    )
