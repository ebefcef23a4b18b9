"""results.json: everything that a report is drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ..errors import DataError
from ..files import atomic_write
from ..model_templates.spec import Spec

RESULTS_FILE = "results.json"

STEPS = ("decode", "prepare", "network", "finish")
"""Of the way from a file to an answer, in their order."""

_DRAWS = 1000
_CONFIDENCE = (2.5, 97.5)
_QUANTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0}


class Estimate(Spec):
    """A figure, and where it lies with 95 % confidence."""

    value: float
    low: float
    high: float

    def surely_below(self, other: Estimate) -> bool:
        """The intervals do not overlap."""
        return self.high < other.low


class Latency(Spec):
    """Milliseconds of a batch: median, and what 90 and 99 of 100 stay below."""

    p50: Estimate
    p90: Estimate
    p99: Estimate


class Measurement(Spec):
    """Of one file, run in one way.

    Attributes:
        name: The file's, for people.
        peer: It is other people's.
        model: What network it is.
        runtime: With mode and provider.
        input: Of the network.
        bytes: On disk, all parts.
        sha256: Of all parts, in turn.
        load_ms: Opening it, not for the first time.
        first_ms: The network's first answer; a compiler's work is in it.
        steps: Of a batch: "decode", "prepare", "network", "finish"; "predict" is the last three
            together, "end_to_end" all four. Without "decode" and "end_to_end" where several
            callers keep the device busy.
        resident: The network on arrays that are on the device already.
        throughput: Photos a second, decoding apart.
        cpu_ms: Time of all cores per photo, decoding apart.
        memory: Most bytes that the process had.
        gflops: 2 x MAC of convolutions for one photo.
        peak_share: Of the operations that the machine can do at most in this precision, while
            the network runs; 0 to 1.
        figures: Accuracy; shares of 1.
        rounds: Median milliseconds of "predict" in each round.
        runs: In all rounds.
        group: Rows of one group took turns.
        nms: It is inside the file, which shows no faces below its own threshold: its accuracy
            cannot be compared, and is not measured.
    """

    name: str
    peer: bool
    model: str
    task: str
    precision: str | None
    runtime: str
    device: str
    threads: int
    batch: int
    input: str
    bytes: int
    sha256: str
    load_ms: float
    first_ms: float
    steps: dict[str, Latency]
    resident: Latency | None
    throughput: float
    cpu_ms: float
    memory: int
    gflops: float | None
    peak_share: float | None
    figures: dict[str, float | None]
    rounds: tuple[float, ...]
    runs: int
    group: int
    nms: bool = False

    @property
    def key(self) -> tuple[str, ...]:
        """What is the same row in another run."""
        return (self.name, self.runtime, self.device, f"{self.threads}", f"{self.batch}")

    @property
    def answers(self) -> tuple[str, ...]:
        """Rows that are alike in this give the same answers."""
        return (self.sha256, self.runtime, self.device)

    @property
    def ms(self) -> Estimate:
        """Median of "predict": from pixels to answers."""
        return self.steps["predict"].p50

    @property
    def mb(self) -> float:
        """On disk, 1e6 bytes."""
        return self.bytes / 1e6


class Absent(Spec):
    """What could not be measured, and why."""

    name: str
    runtime: str
    device: str
    threads: int
    batch: int
    reason: str


class Results(Spec):
    """Of one run.

    Attributes:
        results_version: Of this file's shape.
        finished: Nothing was interrupted.
        command: What the user typed.
        host: See `machine.fingerprint`.
        protocol: How it was measured; what the accuracy of a task was measured on, by its name.
        probes: Operations a second, 2 x MAC in 1e9, by "precision, threads", of each round.
    """

    results_version: Literal[2] = 2
    finished: bool
    command: str
    date: str
    host: dict[str, str]
    protocol: dict[str, str]
    probes: dict[str, tuple[float, ...]]
    rows: tuple[Measurement, ...]
    absent: tuple[Absent, ...]


def write_results(results: Results, path: Path) -> None:
    """Write them, whole or not at all."""
    with atomic_write(path, "w") as handle:
        handle.write(results.model_dump_json(indent=1) + "\n")


def read_results(path: Path) -> Results:
    """Read what `write_results` wrote.

    Raises:
        DataError: It cannot be read, or is nothing of the kind.
    """
    try:
        return Results.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{path}: no results of `pocketface benchmark`: {where or 'content'}: {first['msg']}"
        ) from error


def latency_of(rounds: Sequence[NDArray[np.float64]], *, seed: int = 0) -> Latency:
    """Quantiles with their uncertainty, of seconds measured in several rounds.

    What slows a machine lasts for many runs, so runs of one round are not independent: rounds are
    drawn with replacement, not runs (Davison and Hinkley 1997, section 3.8).

    Args:
        rounds: float64 (N,) each, not empty, seconds.
        seed: Of the draws.
    """
    generator = np.random.default_rng(seed)
    quantiles = list(_QUANTILES.values())
    draws = [
        np.percentile(np.concatenate([rounds[i] for i in drawn]), quantiles)
        for drawn in generator.integers(len(rounds), size=(_DRAWS, len(rounds)))
    ]
    values = 1e3 * np.percentile(np.concatenate(rounds), quantiles)
    low, high = 1e3 * np.percentile(draws, _CONFIDENCE, axis=0)
    found = {
        name: Estimate(value=float(v), low=float(a), high=float(b))
        for name, v, a, b in zip(_QUANTILES, values, low, high, strict=True)
    }
    return Latency(**found)


def places(estimates: Sequence[Estimate]) -> list[tuple[int, int]]:
    """Between which places each stands, the lowest first: 1 to 3 where three cannot be told apart.

    Args:
        estimates: Lower is better.
    """
    return [
        (
            1 + sum(other.surely_below(one) for other in estimates),
            len(estimates) - sum(one.surely_below(other) for other in estimates),
        )
        for one in estimates
    ]
