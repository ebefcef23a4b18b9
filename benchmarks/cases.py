"""The cases to measure: each file in each way to run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from ..errors import UserError
from ..runtimes import DEFAULT_RUNTIMES, RUNTIMES, WAYS, models_at, ways_to_open
from ..tasks import TASKS, task_of
from ..tasks.timing import Peer

_ON_CUDA_ONLY = ("cuda-graph",)
_PROVIDERS = {"cpu": ("cpu", "openvino"), "cuda": ("cuda", "tensorrt")}
"""ONNX Runtime's execution providers by device; others have one of the device's name."""

DEVICES = tuple(sorted({one for runtime in RUNTIMES.values() for one in runtime.devices}))


@dataclass(frozen=True)
class Target:
    """A file to be measured.

    Attributes:
        name: Name for reports: folder and file.
        path: The model file, as `tasks.load` takes it.
        peer_of: Task of a third party's model; None for our own files.
        precision: Precision of a third party's weights.
    """

    name: str
    path: Path
    peer_of: str | None = None
    precision: str | None = None


@dataclass(frozen=True)
class Case:
    """One way to run one file.

    Attributes:
        target: The file to run.
        runtime: Runtime as `tasks.load` takes it, or another way to run a peer.
        provider: The runtime's name for the device; ONNX Runtime has several for one device.
        device: Device to run on.
        threads: Threads for one inference.
        batch: Number of photos that go through the network at once.
    """

    target: Target
    runtime: str
    provider: str
    device: str
    threads: int
    batch: int

    @property
    def way(self) -> str:
        """The runtime, with the provider if its name is not the device's."""
        return self.runtime if self.provider == self.device else f"{self.runtime}:{self.provider}"

    def answers(self, sha256: str) -> tuple[str, ...]:
        """Key that is equal for cases with the same answers; see `Measurement.answers`."""
        return (sha256, self.way, self.device)


def targets_of(artefacts: Sequence[Path]) -> list[Target]:
    """The model files of the paths that a user names.

    Args:
        artefacts: Model files, and folders with model files in them.

    Raises:
        UserError: A path is missing or given twice, or a folder has no model file.
    """
    files: list[Path] = []
    for path in artefacts:
        found = models_at(path)
        if not found:
            raise UserError(f"{path}: no model file in it ({', '.join(DEFAULT_RUNTIMES)})")
        files += found
    for path in files:
        if not path.exists() or path.suffix not in DEFAULT_RUNTIMES:
            raise UserError(
                f"{path}: expected a model file ({', '.join(DEFAULT_RUNTIMES)}), or a folder of "
                "such files"
            )
    whole = [path.resolve() for path in files]
    for path, one in zip(files, whole, strict=True):
        if whole.count(one) > 1:
            raise UserError(f"{path}: stands there twice")
    return [Target(_name(one, whole), path) for path, one in zip(files, whole, strict=True)]


def peers_in(folder: Path, names: Sequence[str] | None = None) -> list[Target]:
    """Third-party models of all tasks.

    Args:
        folder: Folder with the peers' files.
        names: Names of the peers to take; None for all that are there.

    Raises:
        UserError: The folder has no peer, or not the one named.
    """
    known = _peers()
    for name in names or ():
        if name not in known:
            raise UserError(f"--peers-only {name}: expected some of {', '.join(known)}")
        if not (folder / known[name][1].file).is_file():
            raise UserError(f"--peers {folder}: has no {known[name][1].file}")
    found = [
        Target(name, folder / peer.file, task, peer.precision)
        for name, (task, peer) in known.items()
        if (names is None or name in names) and (folder / peer.file).is_file()
    ]
    if not found:
        files = ", ".join(peer.file for _, peer in known.values())
        raise UserError(f"--peers {folder}: has none of {files}")
    return found


def _peers() -> dict[str, tuple[str, Peer]]:
    """Task and peer by name."""
    return {
        name: (task, peer)
        for task in TASKS
        if (part := task_of(task).peers) is not None
        for name, peer in part.PEERS.items()
    }


def _other_ways() -> list[str]:
    """Ways to run peers other than our runtimes."""
    parts = [part for task in TASKS if (part := task_of(task).peers) is not None]
    return [way for part in parts for way in part.WAYS]


def cases_of(
    targets: Sequence[Target],
    *,
    devices: Sequence[str],
    threads: Sequence[int],
    batches: Sequence[int],
    runtimes: Sequence[str] | None = None,
) -> list[Case]:
    """Every combination of file, runtime and mode, device, threads and batch size.

    Args:
        targets: The files to run.
        devices: Names from `DEVICES`.
        threads: Numbers of threads for one inference; devices other than the CPU use the first.
        batches: Batch sizes, in photos.
        runtimes: Runtimes to use, such as "torch", or with a mode, "torch:compile"; None for all.

    Raises:
        UserError: A runtime or device is unknown, or none opens any of the files.
    """
    known = [*_other_ways(), *WAYS]
    known += [
        f"onnxruntime:{one}" for name, many in _PROVIDERS.items() for one in many if one != name
    ]
    for text, given, allowed in (("devices", devices, DEVICES), ("runtimes", runtimes, known)):
        for one in given or ():
            if one not in allowed:
                raise UserError(f"--{text} {one}: expected some of {', '.join(allowed)}")
    found = [
        case
        for target, batch, device in product(
            targets, dict.fromkeys(batches), dict.fromkeys(devices)
        )
        for way in _ways(target)
        for provider in _providers(way, device)
        for count in (dict.fromkeys(threads) if device == "cpu" else threads[:1])
        for case in [Case(target, way, provider, device, count, batch)]
        if runtimes is None or way in runtimes or case.way in runtimes
    ]
    if not found:
        asked = {"runtimes": runtimes, "devices": devices}
        said = ", ".join(f"--{flag} {','.join(some)}" for flag, some in asked.items() if some)
        raise UserError(f"{said}: opens none of these files")
    # Cases that compete are neighbours, so that they take turns.
    return sorted(found, key=lambda case: (case.batch, case.device, case.threads, case.way))


def _name(path: Path, others: Sequence[Path]) -> str:
    """The file's name with its folder's, and more folders if another file has the same name."""
    for count in range(2, len(path.parts)):
        name = "/".join(path.parts[-count:])
        if sum(other.parts[-count:] == path.parts[-count:] for other in others) == 1:
            return name
    return str(path)


def _ways(target: Target) -> list[str]:
    ways = ways_to_open(target.path)
    peers = None if target.peer_of is None else task_of(target.peer_of).peers
    return ways if peers is None else [*ways, *peers.ways_of(target.name)]


def _providers(way: str, device: str) -> tuple[str, ...]:
    name, _, mode = way.partition(":")
    devices = RUNTIMES[name].devices if name in RUNTIMES else ("cpu",)
    if device not in devices or (mode in _ON_CUDA_ONLY and device != "cuda"):
        return ()
    return _PROVIDERS.get(device, (device,)) if name == "onnxruntime" else (device,)
