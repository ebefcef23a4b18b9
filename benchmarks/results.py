"""results.json: the data of a report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ..errors import DataError
from ..files import atomic_write, reading
from ..model_templates.spec import Spec

RESULTS_FILE = "results.json"

STEPS = ("decode", "prepare", "network", "finish")
"""The steps from a photo's file to an answer, in order."""

_VERSION: Final = 2
_DRAWS = 1000
_CONFIDENCE = (2.5, 97.5)
_QUANTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0}


class Estimate(Spec):
    """A figure with its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def surely_below(self, other: Estimate) -> bool:
        """Whether this interval lies wholly below the other."""
        return self.high < other.low


class Latency(Spec):
    """Milliseconds for a batch: median, and 90th and 99th percentile."""

    p50: Estimate
    p90: Estimate
    p99: Estimate


class Measurement(Spec):
    """The measurement of one file, run in one way.

    Attributes:
        name: Name of the file, for reports.
        peer: Whether it is a third party's model.
        model: Name of the network.
        runtime: Runtime with mode and provider.
        input: The network's input, in words.
        bytes: Size on disk of all parts together.
        sha256: SHA-256 over all parts, in order.
        load_ms: Milliseconds to open the file when it is not the first time.
        first_ms: Milliseconds to the network's first answer, compilation included.
        steps: Latency for a batch of "decode", "prepare", "network" and "finish"; "predict" is the
            last three together, "end_to_end" all four. Without "decode" and "end_to_end" if
            several callers keep the device busy.
        resident: Latency of the network on arrays that are on the device already.
        throughput: Photos per second, without decoding.
        cpu_ms: Milliseconds of all cores together per photo, without decoding.
        memory: Peak memory of the process in bytes.
        gflops: 2 x MAC of the convolutions for one photo, in 1e9.
        peak_share: Speed of the network as a share of the machine's peak in this precision,
            0 to 1.
        figures: Accuracy by figure, 0 to 1.
        rounds: Median milliseconds of "predict" in each round.
        runs: Number of timed runs in all rounds.
        group: Number of the group; rows of one group took turns.
        nms: Whether NMS is inside the file. It then hides faces below its threshold, so its
            accuracy cannot be compared and is not measured.
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
        """Key of the same row in another run."""
        return (self.name, self.runtime, self.device, f"{self.threads}", f"{self.batch}")

    @property
    def answers(self) -> tuple[str, ...]:
        """Key that is equal for rows with the same answers."""
        return (self.sha256, self.runtime, self.device)

    @property
    def ms(self) -> Estimate:
        """Median milliseconds of "predict", from pixels to answers."""
        return self.steps["predict"].p50

    @property
    def mb(self) -> float:
        """Size on disk in units of 1e6 bytes."""
        return self.bytes / 1e6


class Absent(Spec):
    """A case that could not be measured, and the reason."""

    name: str
    runtime: str
    device: str
    threads: int
    batch: int
    reason: str


class Results(Spec):
    """The results of one run.

    Attributes:
        results_version: Version of this file's schema.
        finished: Whether the run was not interrupted.
        command: The command that the user typed.
        host: The machine; see `machine.fingerprint`.
        protocol: How the run measured; under a task's name, the labels of its accuracy.
        probes: Operations per second, 2 x MAC in 1e9, in each round, by "precision, threads".
    """

    results_version: Literal[2] = _VERSION
    finished: bool
    command: str
    date: str
    host: dict[str, str]
    protocol: dict[str, str]
    probes: dict[str, tuple[float, ...]]
    rows: tuple[Measurement, ...]
    absent: tuple[Absent, ...]


def write_results(results: Results, path: Path) -> None:
    """Write results.json atomically."""
    with atomic_write(path, "w") as handle:
        handle.write(results.model_dump_json(indent=1) + "\n")


def read_results(path: Path) -> Results:
    """Read what `write_results` wrote.

    Raises:
        DataError: The file cannot be read, is not a results.json, or one of another version.
    """
    with reading(path, DataError):
        content = path.read_bytes()
    try:
        return Results.model_validate_json(content)
    except ValidationError as error:
        first, *others = error.errors()
        for one in (first, *others):
            if one["loc"] == ("results_version",) and isinstance(one["input"], int):
                age = "an older" if one["input"] < _VERSION else "a newer"
                raise DataError(
                    f"{path}: results of {age} pocketface: version {one['input']}, expected "
                    f"{_VERSION}",
                    hint="measure again by `pocketface benchmark`",
                ) from error
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{path}: no results of `pocketface benchmark`: {where or 'content'}: {first['msg']}"
        ) from error


def latency_of(rounds: Sequence[NDArray[np.float64]], *, seed: int = 0) -> Latency:
    """Latency quantiles with uncertainty, from seconds measured in several rounds.

    A slowdown of the machine lasts for many runs, so runs of one round are not independent:
    rounds are drawn with replacement, not runs (Davison and Hinkley 1997, section 3.8).

    Args:
        rounds: Seconds of the runs of each round, float64 (N,), not empty.
        seed: Seed of the draws.
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
    """Best and worst possible rank of each estimate: (1, 3) if three cannot be told apart.

    Args:
        estimates: The estimates; lower is better.
    """
    return [
        (
            1 + sum(other.surely_below(one) for other in estimates),
            len(estimates) - sum(one.surely_below(other) for other in estimates),
        )
        for one in estimates
    ]
