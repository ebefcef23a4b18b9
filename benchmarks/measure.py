"""Run cases side by side and keep what they take."""

from __future__ import annotations

import datetime
import logging
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PocketfaceError
from .cases import Case
from .flops import gflops_of
from .machine import Probe, fingerprint
from .pipelines import Pipeline
from .results import RESULTS_FILE, Absent, Results, Row, latency_of, write_results
from .worker import STEPS, CaseWorker, Item, Opened, Turn, serve

_log = logging.getLogger(__name__)

ROUNDS = 10
_TOGETHER = 16
"""Processes that take turns; each holds its network in memory all the while."""

_SPARE_MEMORY = 3 * 2**30
"""Bytes that must be free before one more is started."""

_WARM_UP = 0.3
_ENDS_IN = 10.0

Measure = Callable[[Pipeline], dict[str, float | None]]


@dataclass(frozen=True)
class Plan:
    """What is to be measured.

    Attributes:
        cases: In any order.
        items: What to time a task on.
        accuracy: What tells how good a task's pipeline is; a task without one has no figures.
        duration: Seconds of timing of each case.
        score_floor: Of a detector's accuracy.
        protocol: For the report.
        known: Accuracy that need not be measured again, by `Row.answers`.
        command: What the user typed.
    """

    cases: Sequence[Case]
    items: dict[str, Sequence[Item]]
    accuracy: dict[str, Measure]
    duration: float
    score_floor: float
    protocol: dict[str, str]
    command: str
    known: dict[tuple[str, ...], dict[str, float | None]] = field(default_factory=dict)


@dataclass
class _Job:
    """A case at work."""

    case: Case
    call: Callable[..., Any]
    opened: Opened
    turns: list[Turn] = field(default_factory=list)
    figures: dict[str, float | None] = field(default_factory=dict)


def measure(
    plan: Plan, *, output: Path, on_progress: Callable[[int, int], None] | None = None
) -> Results:
    """Measure all cases, and write results.json as it grows.

    Cases run in processes of their own, a few of them at a time, and take turns in rounds, now
    forwards, now backwards: a machine that is slow for a while slows all of them alike. A probe
    takes its turn too.

    Args:
        plan: What.
        output: Folder; made if missing.
        on_progress: Called with the number of cases done and of all.

    Raises:
        PocketfaceError: A case failed after it had been opened.
        KeyboardInterrupt: Interrupted; what was measured is in results.json.
    """
    host = fingerprint()
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    rows: list[Row] = []
    absent: list[Absent] = []
    probes: dict[str, list[float]] = {}
    known = dict(plan.known)
    waiting, done = list(plan.cases), 0

    def keep(*, finished: bool) -> Results:
        results = Results(
            finished=finished,
            command=plan.command,
            date=date,
            host=host,
            protocol=plan.protocol,
            probes={key: tuple(values) for key, values in probes.items()},
            rows=tuple(rows),
            absent=tuple(absent),
        )
        write_results(results, output / RESULTS_FILE)
        return results

    keep(finished=False)
    while waiting:
        with _processes() as start:
            jobs: list[_Job] = []
            while waiting and len(jobs) < _TOGETHER and (not jobs or _memory_is_free()):
                case = waiting.pop(0)
                opened = _opened(case, plan, start)
                if isinstance(opened, Absent):
                    absent.append(opened)
                else:
                    jobs.append(opened)
            threads = sorted({job.case.threads for job in jobs if job.case.device == "cpu"})
            seen: dict[str, list[float]] = {}
            try:
                _take_turns(jobs, {n: start(partial(Probe, n)) for n in threads}, seen, plan)
                for job in jobs:
                    same = job.case.answers(job.opened.sha256)
                    if same not in known and job.opened.task in plan.accuracy:
                        known[same] = job.call("accuracy", plan.accuracy[job.opened.task])
                    job.figures = known.get(same, {})
                    done += 1
                    if on_progress is not None:
                        on_progress(done + len(absent), len(plan.cases))
            finally:  # whatever ends it early, what was timed is kept
                for key, values in seen.items():
                    probes.setdefault(key, []).extend(values)
                rows += [_row(job, seen) for job in jobs if job.turns]
                keep(finished=False)
    return keep(finished=True)


@contextmanager
def _processes() -> Iterator[Callable[[Callable[[], Any]], Callable[..., Any]]]:
    """Starts processes that live as long as the block; gives what calls methods in one."""
    # "spawn": a fork would inherit threads, and memory that is none of the case's.
    context = multiprocessing.get_context("spawn")
    running: list[tuple[Any, Any]] = []

    def start(job: Callable[[], Any]) -> Callable[..., Any]:
        here, there = context.Pipe()
        process = context.Process(target=serve, args=(there, job), daemon=True)
        process.start()
        there.close()
        running.append((here, process))

        def call(method: str, *arguments: Any) -> Any:
            try:
                here.send((method, arguments))
                answer = here.recv()
            except (EOFError, ConnectionError) as error:
                process.join(_ENDS_IN)
                raise PocketfaceError(f"its process ended with {process.exitcode}") from error
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call

    try:
        yield start
    finally:
        for pipe, _ in running:
            pipe.close()
        for _, process in running:
            process.join(_ENDS_IN)
            if process.is_alive():
                process.kill()


def _opened(case: Case, plan: Plan, start: Callable[..., Any]) -> _Job | Absent:
    call = start(partial(CaseWorker, case, plan.items, plan.score_floor))
    try:
        return _Job(case, call, call("open"))
    except PocketfaceError as error:
        _log.debug("absent: %s %s: %s", case.target.name, case.way, error)
        return Absent(
            name=case.target.name,
            runtime=case.way,
            device=case.device,
            threads=case.threads,
            batch=case.batch,
            reason=str(error),
        )


def _memory_is_free() -> bool:
    import psutil

    return bool(psutil.virtual_memory().available > _SPARE_MEMORY)


def _take_turns(
    jobs: Sequence[_Job],
    probes: dict[int, Callable[..., Any]],
    seen: dict[str, list[float]],
    plan: Plan,
) -> None:
    """All rounds; what the probes see goes to `seen`, by precision and threads."""
    for job in jobs:
        job.call("turn", _WARM_UP)
    for index in range(ROUNDS):
        for threads, probe in probes.items():
            for precision, found in probe("measure").items():
                seen.setdefault(f"{precision}, {threads}", []).append(found)
        for job in jobs if index % 2 else reversed(jobs):
            job.turns.append(job.call("turn", plan.duration / ROUNDS))


def _row(job: _Job, probes: dict[str, list[float]]) -> Row:
    case, opened = job.case, job.opened
    rounds = [turn.seconds for turn in job.turns]
    wanted: dict[str, list[NDArray[np.float64]]] = {
        name: [one[:, index] for one in rounds] for index, name in enumerate(STEPS)
    }
    wanted["predict"] = [one[:, 1:].sum(1) for one in rounds]
    wanted["end_to_end"] = [one.sum(1) for one in rounds]
    steps = {name: latency_of(some) for name, some in wanted.items() if np.isfinite(some[0]).all()}
    # By Little's law: as many are on their way as there are callers.
    callers = opened.callers
    mean = float(np.concatenate(wanted["predict"]).mean())
    gflops = gflops_of(case.target.path, height=opened.size[0], width=opened.size[1])
    # Weights of 16 bits are multiplied as floats of 32.
    computed = "int8" if opened.precision == "int8" else "fp32"
    most = max(probes.get(f"{computed}, {case.threads}", [0.0])) if case.device == "cpu" else 0.0
    share = None
    if gflops is not None and most and callers == 1:
        share = 1e3 * gflops * case.batch / steps["network"].p50.value / most
    resident = [turn.resident for turn in job.turns]
    return Row(
        name=case.target.name,
        peer=case.target.preprocessing is not None,
        model=opened.model,
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
        figures=job.figures,
        rounds=tuple(float(1e3 * np.median(some)) for some in wanted["predict"]),
    )
