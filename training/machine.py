"""Choose the devices for a training."""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from ..errors import UserError

_log = logging.getLogger(__name__)

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 * 2**20
_INT_MAX = 2**31 - 1

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUP = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Machine:
    """Numbers of nodes and of devices per node, one process each; Lightning's `accelerator`."""

    nodes: int
    devices: int
    accelerator: Literal["gpu", "cpu"]

    @property
    def processes(self) -> int:
        """Total number of processes."""
        return self.nodes * self.devices


def choose_machine(gpu_num: int | None, *, template_gpus: int) -> Machine:
    """Choose devices by --gpu-num, and by torchrun if it started this process.

    Args:
        gpu_num: GPUs per node, 0 for the CPU; None for torchrun's number of processes, or else
            the template's number, limited to the GPUs present.
        template_gpus: The template's `gpu_num`.

    Raises:
        UserError: There are fewer GPUs, or torchrun has another number of processes.
    """
    present = torch.cuda.device_count()
    # Only torchrun sets LOCAL_WORLD_SIZE; Lightning's own child processes have WORLD_SIZE too.
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "0"))
    if gpu_num is None:
        gpu_num = min(local or template_gpus, present)
        if gpu_num == 0:
            _log.info("no CUDA GPU here: training on the CPU")
    if gpu_num > present:
        raise UserError(f"--gpu-num {gpu_num}: this machine has {present} CUDA GPUs")
    nodes, processes = 1, max(1, gpu_num)
    if local:
        nodes, processes = int(os.environ["WORLD_SIZE"]) // local, local
    if gpu_num and processes != gpu_num:
        raise UserError(f"--gpu-num {gpu_num}: torchrun started {processes} processes a node")
    return Machine(nodes=nodes, devices=processes, accelerator="gpu" if gpu_num else "cpu")


def available_memory() -> int:
    """Bytes that this process can still use, limited by the machine and by its containers.

    Reclaimable file caches count as free. Limits of containers are those of control groups
    (cgroups v2, "Memory" in the kernel's documentation).
    """
    import psutil

    return min([psutil.virtual_memory().available, *_left_in_groups()])


def _left_in_groups() -> Iterator[int]:
    try:
        lines = _OWN_GROUP.read_text().splitlines()
    except OSError:  # not Linux
        return
    for own in (line.removeprefix("0::/") for line in lines if line.startswith("0::/")):
        for group in (_GROUPS / own, *(_GROUPS / own).parents):
            try:
                limit = int((group / "memory.max").read_text())
                used = int((group / "memory.current").read_text())
                parts = dict(map(str.split, (group / "memory.stat").read_text().splitlines()))
            except (OSError, ValueError):  # without a limit the file holds the word "max"
                continue
            yield max(0, limit - used + int(parts["inactive_file"]))


def keep_freed_memory() -> None:
    """Let glibc keep memory that a batch frees for the next one, as PyTorch does on a GPU.

    By default it returns feature maps to the kernel, which must clear every page again for the
    next batch (mallopt(3)). Blocks of up to 32 MiB now stay with the process until it ends. Other
    C libraries are not changed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS; Windows
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
    mallopt(_M_TRIM_THRESHOLD, _INT_MAX)
