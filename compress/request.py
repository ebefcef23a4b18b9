"""What a compression is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..model_templates.schema import PruningSpec, SparsitySpec
from ..models.weights import Weights
from ..tasks.measuring import Labels
from .calibration import COUNT
from .report import Goal
from .stage import Training


@dataclass(frozen=True, kw_only=True, eq=False)
class CompressRequest:
    """One compression.

    Attributes:
        weights: What is compressed, described by the template whose recipes count.
        train: For the ranges, and to train on.
        validation: To measure on.
        folder: Where to; made if missing.
        quantization: Fine-tune with the rounding in place. OpenVINO's file has the trained ranges;
            those of other formats come from photos, for the trained weights.
        sparsity: Fine-tune until so many weights are zero, before that.
        pruning: Drop so many channels and fine-tune, before that.
        post_training: Quantize files. Without it they are int8 only after `quantization`.
        training: How; by default as the template says, in `folder`.
        formats: Of `QUANTIZERS`; by default all whose packages are installed.
        precisions: "fp16"; where files are quantized "int8", which is the default then, and of Core
            ML "palette6" and "palette4". By default else, files stay FP32.
        max_drop: Points of the metric, 0 to 100.
        goal: What compressed files must be better at.
        photos: For the ranges, from the training photos.
        seed: Of their choice.
    """

    weights: Weights
    train: Labels
    validation: Labels
    folder: Path
    quantization: bool = False
    sparsity: SparsitySpec | None = None
    pruning: PruningSpec | None = None
    post_training: bool = False
    training: Training | None = None
    formats: Sequence[str] | None = None
    precisions: Sequence[str] | None = None
    max_drop: float = 0.5
    goal: Goal = "speed"
    photos: int = COUNT
    seed: int = 0
