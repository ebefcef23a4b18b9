"""Training on, so that compressed weights lose less: sparse, and quantization-aware."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from ..errors import UserError
from ..export.onnx import example_for
from ..files import atomic_write
from ..model_templates.contract import Contract
from ..model_templates.schema import PruningSpec, QuantizationSpec, SparsitySpec
from ..models.network import Network
from ..models.nncf_hooks import HOOKS, import_nncf, masked
from ..models.weights import Weights, build_network, read_weights, rewritten
from ..quiet import quiet
from ..training.fit import Precision, fit
from ..training.module import TemplateModule
from .calibration import Calibration
from .channels import pruned

_BATCH = 8
"""Photos at once where batch normalisation adapts: of single ones, the variance is too small."""

_RISE = 2 / 3
"""Share of the epochs in which the share of zeros rises."""


@dataclass(frozen=True)
class Training:
    """How to train on.

    Attributes:
        annotations: Training annotations, and the folders of their photos.
        folder: Each training has a folder in it, with latest.pth, curves.png, receipt.yaml, logs/.
        resume: Go on where one was interrupted; one that has ended is taken as it is.
        epochs: By default the template's.
        base_learning_rate: Likewise.
        batch_size: Likewise, that of the training from scratch.
        gpu_num: 0 for the CPU; by default 1 if there is one.
        seed: Of order and augmentation.
        workers: Processes that cut samples.
        arithmetic: While training.
        command: For the receipt: what the user typed.
    """

    annotations: tuple[Sequence[Path], Sequence[Path]]
    folder: Path
    resume: bool = False
    epochs: int | None = None
    base_learning_rate: float | None = None
    batch_size: int | None = None
    gpu_num: int | None = None
    seed: int | None = None
    workers: int = 1
    arithmetic: Precision = "32-true"
    command: str | None = None


Recipe = QuantizationSpec | SparsitySpec | PruningSpec


def quantization_aware(
    weights: Weights, calibration: Calibration, training: Training
) -> tuple[Weights, str]:
    """Fine-tune with the rounding of int8 in place (Jacob et al. 2018), by NNCF.

    Ranges begin as the calibration photos have them, and are trained with the weights. Weights
    that are zero stay zero.

    Args:
        weights: To start from.
        calibration: For the first ranges, and for batch normalisation.
        training: Happens in its folder "quantization".

    Returns:
        Weights with NNCF's quantizers, in quantized.safetensors, which can be measured, exported
        to OpenVINO and trained on like any other; and what was done, in words.

    Raises:
        UserError: See `fit`.
        MissingPackageError: NNCF is not installed.
    """
    nncf = import_nncf()

    def prepare(network: Network) -> Network:
        images = [torch.from_numpy(batch) for batch in calibration.batches]
        together = [torch.cat(images[i : i + _BATCH]) for i in range(0, len(images), _BATCH)]
        whole = [one for one in together if len(one) == _BATCH]
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
            if whole:
                nncf.batch_norm_adaptation(hooked, nncf.Dataset([_raw(one) for one in whole]))
        return hooked.train()

    recipe = weights.template.optimisations.nncf_quantization or QuantizationSpec(
        epochs=2, base_learning_rate=2.5e-4
    )
    zeros = {name: value == 0 for name, value in layer_weights(weights.state_dict).items()}
    callbacks = [KeepZeros(zeros)] if any(zero.any() for zero in zeros.values()) else []
    found = Stage(training, "quantization", weights, recipe).train(weights, prepare, callbacks)
    path = training.folder / "quantized.safetensors"
    return (
        rewritten(path, found, found.state_dict, hooks=found.hooks),
        f"trained {found.epochs} epochs with the rounding of int8 by nncf {nncf.__version__}",
    )


def narrow(weights: Weights, spec: PruningSpec, training: Training) -> tuple[Weights, str]:
    """Drop channels, and fine-tune what is left.

    Args:
        weights: To start from.
        spec: How many.
        training: Happens in its folder "pruning".

    Returns:
        Weights of a narrower network, in pruned.safetensors; and what was done, in words.

    Raises:
        UserError: See `pruned` and `fit`.
    """
    stage = Stage(training, "pruning", weights, spec)
    fewer = pruned(weights, spec.ratio, stage.folder / "start.safetensors")
    found = stage.train(fewer)
    path = training.folder / "pruned.safetensors"
    before, after = (count_parameters(one) for one in (weights.state_dict, found.state_dict))
    return (
        rewritten(path, found, found.state_dict),
        f"{100 * spec.ratio:g} % of the channels went, and {100 * (1 - after / before):.0f} % of "
        f"the parameters with them; trained {found.epochs} epochs",
    )


def sparse(
    weights: Weights, spec: SparsitySpec, contract: Contract, training: Training
) -> tuple[Weights, str]:
    """Fine-tune while more and more weights are made zero, by NNCF.

    Args:
        weights: To start from.
        spec: How many, and how they are chosen.
        contract: Of the network.
        training: Happens in its folder "sparsity".

    Returns:
        Weights with zeros, in sparse.safetensors; and what was done, in words.

    Raises:
        UserError: See `fit`.
        MissingPackageError: NNCF is not installed.
    """
    nncf = import_nncf()
    modes = nncf.PruneMode
    by_size = spec.mode == "magnitude"
    mode = (
        modes.UNSTRUCTURED_MAGNITUDE_GLOBAL if by_size else modes.UNSTRUCTURED_REGULARIZATION_BASED
    )
    example = _raw(example_for(contract))

    def prepare(network: Network) -> Network:
        ratio = spec.initial_ratio if by_size else None
        with quiet():
            hooked: Network = nncf.prune(network, mode, ratio=ratio, examples_inputs=example)
        return hooked.train()

    optimizer = weights.template.hyper_parameters.optimizer.type
    if not by_size and optimizer != "adamw":
        raise UserError(
            f"sparsity by regularization: {weights.template.name} is trained by {optimizer}, which "
            "does not move masks; expected adamw, or the mode magnitude"
        )
    stage = Stage(training, "sparsity", weights, spec)
    if stage.epochs < 2:
        raise UserError("sparsity rises from epoch to epoch: expected 2 epochs or more, found 1")
    schedule = SparsitySchedule(spec, mode if by_size else None)
    found = stage.train(weights, prepare, [schedule])
    plain = masked(build_network(found), example).state_dict()
    path = training.folder / "sparse.safetensors"
    return (
        rewritten(path, found, plain),
        f"trained {found.epochs} epochs while {100 * share_of_zeros(plain):.1f} % of those of "
        f"layers were made zero, by {spec.mode}, by nncf {nncf.__version__}",
    )


class SparsitySchedule(Callback):
    """Raises the share of zeros from epoch to epoch.

    Args:
        spec: From where to where.
        mode: NNCF's, where weights are chosen by their size; None for trained masks.
    """

    def __init__(self, spec: SparsitySpec, mode: Any) -> None:
        self._spec = spec
        self._mode = mode
        self._scheduler: Any = None

    def on_train_start(
        self,
        trainer: lightning.Trainer,  # noqa: ARG002
        pl_module: lightning.LightningModule,
    ) -> None:
        """Make NNCF's schedule for the network that is trained."""
        from nncf.torch.function_hook.pruning.magnitude.schedulers import (  # type: ignore[import-untyped]
            ExponentialMagnitudePruningScheduler,
        )
        from nncf.torch.function_hook.pruning.rb.losses import (  # type: ignore[import-untyped]
            RBLoss,
        )
        from nncf.torch.function_hook.pruning.rb.schedulers import (  # type: ignore[import-untyped]
            ExponentialRBPruningScheduler,
        )

        assert isinstance(pl_module, TemplateModule)
        # NNCF flattens weights in a way that knows only this layout.
        pl_module.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        spec = self._spec
        ratios = {
            "initial_ratio": spec.initial_ratio,
            "target_ratio": spec.ratio,
            "target_epoch": max(1, min(math.floor(pl_module.epochs * _RISE), pl_module.epochs - 1)),
        }
        if self._mode is not None:
            self._scheduler = ExponentialMagnitudePruningScheduler(
                pl_module.network, mode=self._mode, **ratios
            )
            return
        loss = RBLoss(pl_module.network, spec.initial_ratio)
        self._scheduler = ExponentialRBPruningScheduler(loss, **ratios)
        # Behind a function: as a module of the module, it would be saved with it.
        pl_module.penalty = lambda: loss()

    def on_train_epoch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """The next share."""
        assert isinstance(pl_module, TemplateModule)
        self._scheduler.step(pl_module.first_epoch + trainer.current_epoch)


class KeepZeros(Callback):
    """Puts weights back to zero after every step.

    Args:
        zeros: By name of the weight, where it is zero.
    """

    def __init__(self, zeros: Mapping[str, Tensor]) -> None:
        self._zeros = zeros

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,  # noqa: ARG002
        pl_module: lightning.LightningModule,
        *_: Any,
    ) -> None:
        """Before the average of the weights is taken, whose callback comes later."""
        assert isinstance(pl_module, TemplateModule)
        parameters = dict(pl_module.network.named_parameters())
        with torch.no_grad():
            for name, zero in self._zeros.items():
                parameters[name].masked_fill_(zero.to(parameters[name].device), 0.0)


def count_parameters(state: Mapping[str, Tensor]) -> int:
    """Numbers in a state."""
    return sum(value.numel() for value in state.values())


def layer_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of convolutions and dense layers: what sparsity is about."""
    return {
        name: value
        for name, value in state.items()
        if name.endswith(".weight") and value.ndim > 1 and not name.startswith(HOOKS)
    }


def share_of_zeros(state: Mapping[str, Tensor]) -> float:
    """Of the weights of all layers, 0 to 1."""
    values = layer_weights(state).values()
    return sum(int((one == 0).sum()) for one in values) / sum(one.numel() for one in values)


class Stage:
    """One training in a folder of its own, which remembers what it was begun with.

    Args:
        training: How, and where.
        name: Of its folder.
        weights: Where it begins.
        recipe: What is done, and defaults.

    Raises:
        UserError: There is such a training already, and nobody said `resume`, or it was begun
            with something else; or the folder cannot be written.
    """

    def __init__(self, training: Training, name: str, weights: Weights, recipe: Recipe) -> None:
        self.training = training
        self.recipe = recipe
        self.epochs = training.epochs or recipe.epochs
        self.folder = training.folder / name
        self.latest = self.folder / "latest.pth"
        # How long and how fast may change; what, may not.
        what = recipe.model_dump(mode="json", exclude={"epochs", "base_learning_rate"})
        begun = {"weights": weights.sha256, **what}
        note = self.folder / "begun.json"
        if self.latest.exists():
            if not training.resume:
                raise UserError(
                    f"{self.latest}: is there already, of another training",
                    hint="go on with it by --resume, or name another folder",
                )
            found = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {}
            for key, value in begun.items():
                if found.get(key) != value:
                    raise UserError(
                        f"{note}: that training was begun with {key} {found.get(key)}; "
                        f"found {value}",
                        hint="give what was given then, or name another folder",
                    )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(note, "w") as handle:
                handle.write(json.dumps(begun))
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be written: {error.strerror}") from error

    def train(
        self,
        weights: Weights,
        prepare: Callable[[Network], Network] | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> Weights:
        """Fine-tune by the weights' own template; what has ended is taken as it is.

        Args:
            weights: To start from.
            prepare: See `fit`.
            callbacks: See `fit`.
        """
        goes_on = self.latest.exists()
        if goes_on:
            found = read_weights(self.latest)
            if found.epochs >= self.epochs:
                return found
        # That of the weights, which may be nobody's file any more.
        template = self.folder / "template.yaml"
        template.write_text(weights.template_text, encoding="utf-8")
        training = self.training
        rate = training.base_learning_rate
        _fit(
            template=template,
            train_annotations=training.annotations[0],
            train_roots=training.annotations[1],
            output=self.folder,
            load_weights=None if goes_on else weights.path,
            resume_from=self.latest if goes_on else None,
            epochs=self.epochs,
            batch_size=training.batch_size,
            base_learning_rate=self.recipe.base_learning_rate if rate is None else rate,
            gpu_num=_gpus() if training.gpu_num is None else training.gpu_num,
            seed=training.seed,
            workers=training.workers,
            precision=training.arithmetic,
            command=training.command,
            prepare=prepare,
            callbacks=callbacks,
        )
        return read_weights(self.latest)


def _gpus() -> int:
    """Not more than one: what follows the training is the work of one process."""
    return min(1, torch.cuda.device_count())


def _fit(**arguments: Any) -> None:
    try:
        fit(**arguments)
    except KeyboardInterrupt as left:
        raise KeyboardInterrupt("go on with the same command and --resume") from left
    except Exception as error:
        if type(error).__name__ != "InstallationError":  # NNCF's
            raise
        raise UserError(
            "NNCF cannot compile its extension for this GPU: " + " ".join(str(error).split())[:200],
            hint="install CUDA's compiler nvcc, or train on the CPU: --gpu-num 0",
        ) from error


def _raw(images: Tensor) -> dict[str, Any]:
    """Arguments of `Network.forward` up to where boxes are decoded, which stays float."""
    return {"images": images, "raw": True}
