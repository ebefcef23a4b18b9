"""Which devices a training runs on."""

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
    """Nodes, and devices of each, one process a device; `accelerator` as Lightning names it."""

    nodes: int
    devices: int
    accelerator: Literal["gpu", "cpu"]

    @property
    def processes(self) -> int:
        """In all."""
        return self.nodes * self.devices


def choose_machine(gpu_num: int | None, *, template_gpus: int) -> Machine:
    """Follow --gpu-num, and torchrun where it started this process.

    Args:
        gpu_num: GPUs per node; 0 for the CPU; None for torchrun's processes, else the template's,
            as far as there are GPUs.
        template_gpus: The template's `gpu_num`.

    Raises:
        UserError: More GPUs than present, or another number than torchrun's processes.
    """
    present = torch.cuda.device_count()
    # Only torchrun sets this one; Lightning's own child processes have WORLD_SIZE too.
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
    """Bytes that this process can still have: the machine's, and what its containers allow.

    What the kernel keeps of files and gives back when asked counts as free. Of containers, the
    limits of control groups count (cgroups v2, "Memory" in the kernel's documentation).
    """
    import psutil

    return min([psutil.virtual_memory().available, *_left_in_groups()])


def _left_in_groups() -> Iterator[int]:
    try:
        lines = _OWN_GROUP.read_text().splitlines()
    except OSError:  # another system
        return
    for own in (line.removeprefix("0::/") for line in lines if line.startswith("0::/")):
        for group in (_GROUPS / own, *(_GROUPS / own).parents):
            try:
                limit = int((group / "memory.max").read_text())
                used = int((group / "memory.current").read_text())
                parts = dict(map(str.split, (group / "memory.stat").read_text().splitlines()))
            except (OSError, ValueError):  # no limit is the word "max"
                continue
            yield max(0, limit - used + int(parts["inactive_file"]))


def keep_freed_memory() -> None:
    """Let glibc keep what a batch frees for the next one, as PyTorch does on a GPU.

    By default it gives feature maps back to the kernel, which then clears every page of the next
    batch's anew (mallopt(3)). Those of up to 32 MiB stay with the process now, until it ends. Other
    C libraries are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS; Windows
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
    mallopt(_M_TRIM_THRESHOLD, _INT_MAX)
