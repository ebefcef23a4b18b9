"""Which devices a training runs on."""

from __future__ import annotations

import ctypes
import logging
import os
from dataclasses import dataclass
from typing import Literal

import torch

from ..errors import UserError

_log = logging.getLogger(__name__)

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_MMAP_THRESHOLD = 32 * 2**20
_INT_MAX = 2**31 - 1


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
