"""The request for a compression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..model_templates.schema import PruningSpec, SparsitySpec
from ..models.weights import Weights
from ..tasks.measuring import Labels, Progress
from .calibration import COUNT
from .report import CompressedFile, Goal
from .stage import Training


@dataclass(frozen=True, kw_only=True, eq=False)
class CompressRequest:
    """One compression.

    Attributes:
        weights: The weights to compress; the recipes of their template apply.
        train: Labelled photos to train on, and to measure ranges on.
        validation: Labelled photos to measure accuracy on.
        folder: Folder for the files; made if missing.
        quantization: Whether to fine-tune with int8 rounding. OpenVINO's file has the trained
            ranges; for other formats they are measured on photos, with the trained weights.
        sparsity: Recipe to make weights zero and fine-tune, before quantization.
        pruning: Recipe to drop channels and fine-tune, before the other two.
        post_training: Whether to quantize files; if not they are int8 only after `quantization`.
        training: Settings of fine-tuning; by default the template's, in `folder`.
        formats: Names from `QUANTIZERS`; by default all whose packages are installed.
        precisions: "fp16", and if files are quantized "int8" (then the default) and for Core ML
            "palette6" and "palette4". The default is FP32 if nothing is quantized.
        max_drop: Percentage points of the metric that may be lost, 0 to 100.
        goal: What compressed files must improve.
        photos: Number of training photos to measure ranges on.
        seed: Seed of the choice of these photos.
        on_file: Called with what became of each file, as soon as that is known.
        on_progress: Called with the number of files judged and of all, from when the trainings are
            over.
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
    on_file: Callable[[CompressedFile], object] | None = None
    on_progress: Progress | None = None
