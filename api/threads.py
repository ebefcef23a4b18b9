"""How PyTorch's threads wait for each other."""

from __future__ import annotations

import os


def wait_passively() -> None:
    """Let threads sleep while they wait, unless the user has set `OMP_WAIT_POLICY`.

    Threads that spin while they wait make PyTorch up to fifty times slower where other programs
    want the cores too. OpenMP reads the variable once, as PyTorch loads: later calls have no effect
    but on processes that are started then.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
