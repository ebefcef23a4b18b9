"""Training on, so that compressed weights lose less: quantization-aware, and sparse."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import UserError
from ..model_templates.schema import QuantizationSpec
from ..models.network import Network
from ..models.nncf_hooks import import_nncf, without_hooks
from ..models.weights import Weights, read_weights, write_weights
from ..quiet import quiet
from ..training.fit import Precision, fit
from .calibration import Calibration
from .quantizers import Tuned

_BATCH = 8
"""Photos at once where batch normalisation adapts: of single ones, the variance is too small."""


@dataclass(frozen=True)
class Training:
    """How to train on.

    Attributes:
        annotations: Training annotations, and the folders of their photos.
        folder: For latest.pth, curves.png, receipt.yaml and logs/.
        resume_from: The checkpoint of such a training that was interrupted, or has ended.
        epochs: By default the template's.
        base_learning_rate: Likewise.
        batch_size: Likewise, that of the training from scratch.
        gpu_num: 0 for the CPU; by default the template's, as far as the machine has them.
        seed: Of order and augmentation.
        workers: Processes that cut samples.
        arithmetic: While training.
        command: For the receipt: what the user typed.
    """

    annotations: tuple[Sequence[Path], Sequence[Path]]
    folder: Path
    resume_from: Path | None = None
    epochs: int | None = None
    base_learning_rate: float | None = None
    batch_size: int | None = None
    gpu_num: int | None = None
    seed: int | None = None
    workers: int = 1
    arithmetic: Precision = "32-true"
    command: str | None = None


def quantization_aware(weights: Weights, calibration: Calibration, training: Training) -> Tuned:
    """Fine-tune with the rounding of int8 in place (Jacob et al. 2018), by NNCF.

    Ranges begin as the calibration photos have them and are trained with the weights.

    Args:
        weights: To start from.
        calibration: For the first ranges, and for batch normalisation.
        training: `folder`/latest.pth becomes a checkpoint that can be measured, exported to
            OpenVINO and trained on like any other.

    Raises:
        UserError: See `fit`; or the weights are quantized already.
        MissingPackageError: NNCF is not installed.
    """
    nncf = import_nncf()

    def prepare(network: Network) -> Network:
        images = [torch.from_numpy(batch) for batch in calibration.batches]
        with quiet():  # NNCF tells of every step
            hooked: Network = nncf.quantize(
                network.eval(),
                nncf.Dataset([_raw(one) for one in images]),
                subset_size=len(images),
                preset=nncf.QuantizationPreset.MIXED,
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    disable_bias_correction=True  # the training does that
                ),
            )
            together = [torch.cat(images[i : i + _BATCH]) for i in range(0, len(images), _BATCH)]
            whole = [one for one in together if len(one) == _BATCH]
            if whole:
                nncf.batch_norm_adaptation(hooked, nncf.Dataset([_raw(one) for one in whole]))
        return hooked.train()

    recipe = weights.template.optimisations.nncf_quantization or QuantizationSpec(
        epochs=2, base_learning_rate=2.5e-4
    )
    checkpoint, epochs = _fit(weights, training, recipe, prepare)
    tuned = read_weights(checkpoint)
    if tuned.hooks is None:
        raise UserError(f"{checkpoint}: is not quantized; expected a checkpoint of compress")
    plain = training.folder / "float.safetensors"
    _write_plain(plain, tuned)
    return Tuned(
        weights=plain,
        quantized=checkpoint,
        name="quantized",
        method=f"trained {epochs} epochs with rounding to int8 by nncf {nncf.__version__}",
    )


def _fit(
    weights: Weights,
    training: Training,
    recipe: QuantizationSpec,
    prepare: Callable[[Network], Network],
) -> tuple[Path, int]:
    """The checkpoint, and the epochs that it took."""
    epochs = training.epochs or recipe.epochs
    if training.resume_from is not None and read_weights(training.resume_from).epochs >= epochs:
        return training.resume_from, epochs
    if weights.hooks is not None:
        raise UserError(f"{weights.path}: is compressed already; expected float weights")
    rate = training.base_learning_rate
    with tempfile.TemporaryDirectory() as scratch:
        # The template of the weights, which may be nobody's file any more.
        template = Path(scratch, "template.yaml")
        template.write_text(weights.template_text, encoding="utf-8")
        report = fit(
            template=template,
            train_annotations=training.annotations[0],
            train_roots=training.annotations[1],
            output=training.folder,
            load_weights=None if training.resume_from else weights.path,
            resume_from=training.resume_from,
            epochs=epochs,
            batch_size=training.batch_size,
            base_learning_rate=recipe.base_learning_rate if rate is None else rate,
            gpu_num=training.gpu_num,
            seed=training.seed,
            workers=training.workers,
            precision=training.arithmetic,
            command=training.command,
            prepare=prepare,
        )
    return report.latest, epochs


def _raw(images: torch.Tensor) -> dict[str, Any]:
    """Arguments of `Network.forward` up to where boxes are decoded, which stays float."""
    return {"images": images, "raw": True}


def _write_plain(path: Path, weights: Weights) -> None:
    write_weights(
        path,
        template_text=weights.template_text,
        state_dict=without_hooks(weights.state_dict),
        epochs=weights.epochs,
        data=weights.data,
        seed=weights.seed,
    )
