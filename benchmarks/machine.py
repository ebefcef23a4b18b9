"""The machine that was measured on, its load, and its peak speed of multiplication."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..errors import MissingPackageError
from ..interrupts import signal_stack_kept
from ..runtimes import RUNTIMES

_OPENCV = ("opencv-python", "opencv-python-headless")
PACKAGES = tuple(
    dict.fromkeys(("numpy", *_OPENCV, *(one for way in RUNTIMES.values() for one in way.packages)))
)
"""Packages that answers and speed depend on; a fingerprint has those that are installed."""

_FLAGS = ("avx2", "fma", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "asimddp")
"""CPU flags that decide which kernels runtimes choose."""

OF_POCKETFACE = ("pocketface", "git revision")
"""Fingerprint entries that must be equal for our own code to be the same."""

DECISIVE = ("cpu", "cores", "flags", "gpu")
"""Fingerprint entries that must be equal for two machines to be the same."""

_SIDE = 1024
_REPEATS = 5


def fingerprint(*, gpu: bool = True) -> dict[str, str]:
    """What the figures depend on, by name.

    Args:
        gpu: Whether to ask PyTorch for the GPU's name; its import takes a second.

    Raises:
        MissingPackageError: psutil or py-cpuinfo is not installed.
    """
    try:
        import psutil
    except ImportError as error:
        raise MissingPackageError("psutil") from error
    cpu = _cpu()
    flags = [flag for flag in _FLAGS if flag in cpu.get("flags", ())]
    frequency = psutil.cpu_freq()
    facts = {
        "cpu": cpu.get("brand_raw", platform.processor() or "unknown"),
        "flags": " ".join(flags),
        "cores": f"{psutil.cpu_count(logical=False)}, {os.cpu_count()} threads",
        "MHz": f"{frequency.current:.0f}" if frequency else "unknown",
        "memory": f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load at start": " ".join(f"{one:.2f}" for one in psutil.getloadavg()),
        "python": platform.python_version(),
        "pocketface": __version__,
        "git revision": _revision(),
    }
    name = _cuda() if gpu else None
    if name is not None:
        facts["gpu"] = name
    return facts | {name: found for name in PACKAGES if (found := _version(name))}


@cache
def _cpu() -> dict[str, Any]:
    """The processor's name and abilities; to ask for them takes a second and a half."""
    try:
        import cpuinfo  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingPackageError("cpuinfo") from error
    found: dict[str, Any] = cpuinfo.get_cpu_info()
    return found


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Differences of two fingerprints that affect speed, in words."""
    return [
        f"{key}: {one.get(key, 'none')} and {other.get(key, 'none')}"
        for key in DECISIVE
        if one.get(key) != other.get(key)
    ]


class Probe:
    """Multiplies matrices to find the machine's peak speed, and to notice a busy machine.

    Args:
        threads: Number of threads of the multiplication.
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._runs: dict[str, Callable[[], Any]] | None = None

    @signal_stack_kept()
    def measure(self) -> dict[str, float]:
        """Operations per second, 2 x MAC in 1e9, by precision; the best of a few runs."""
        if self._runs is None:
            self._runs = _products(self.threads)
        found = {}
        for precision, run in self._runs.items():
            taken = []
            for _ in range(_REPEATS):
                begun = time.perf_counter()
                run()
                taken.append(time.perf_counter() - begun)
            found[precision] = 2e-9 * _SIDE**3 / min(taken)
        return found


def _products(threads: int) -> dict[str, Callable[[], Any]]:
    generator = np.random.default_rng(0)
    left: NDArray[np.float32] = generator.uniform(0, 1, (_SIDE, _SIDE)).astype(np.float32)
    right = generator.integers(-127, 128, (_SIDE, _SIDE), dtype=np.int8)
    try:
        import openvino  # type: ignore[import-untyped]
    except ImportError:
        return {}  # numpy's product cannot be held to a number of threads
    config = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    runs = {}
    for precision in ("fp32", "int8"):
        model = _product(openvino, right, quantized=precision == "int8")
        request = openvino.Core().compile_model(model, "CPU", config).create_infer_request()
        request.infer({0: left})
        runs[precision] = request.infer
    return runs


def _product(openvino: Any, right: NDArray[np.int8], *, quantized: bool) -> Any:
    """A product with a constant; if `quantized`, in NNCF's form, which runs in 8 bits."""
    from openvino import opset13 as ops

    image = ops.parameter([_SIDE, _SIDE], np.float32)
    left, weights = image, ops.constant(right.astype(np.float32) / 127)
    if quantized:
        low, high = (ops.constant(np.float32(one)) for one in (0.0, 1.0))
        left = ops.fake_quantize(image, low, high, low, high, 256)
        weights = ops.multiply(
            ops.convert(ops.constant(right), np.float32), ops.constant(np.float32(1 / 127))
        )
    product = ops.matmul(left, weights, False, True)
    return openvino.Model([ops.relu(product)], [image])


def _revision() -> str:
    """The commit, with a digest of uncommitted changes if there are any."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return "unknown"  # git would report a repository around an installed copy
    try:
        commit = _git(root, "describe", "--always", "--dirty")
        change = _git(root, "diff", "HEAD") if commit.endswith("-dirty") else ""
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return f"{commit}-{hashlib.sha256(change.encode()).hexdigest()[:8]}" if change else commit


def _git(root: Path, *arguments: str) -> str:
    answer = subprocess.run(
        ["git", "-C", str(root), *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
        timeout=10,
    )
    return answer.stdout.strip()


def _cuda() -> str | None:
    try:
        import torch
    except ImportError:
        return None
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
