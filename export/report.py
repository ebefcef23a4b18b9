"""What an export tells of itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..model_templates.contract import Contract


@dataclass(frozen=True)
class Parity:
    """How far a written file's raw outputs are from PyTorch's: the largest difference of all.

    Attributes:
        file: The file that was run.
        runtime: What ran it.
        box_px: Box corners and landmarks, network-input pixels.
        score: 0 to 1.
    """

    file: Path
    runtime: str
    box_px: float
    score: float


@dataclass(frozen=True)
class ExportReport:
    """Files that an export wrote, their contract, and their parity; none where not verified."""

    files: tuple[Path, ...]
    contract: Contract
    parity: tuple[Parity, ...]
