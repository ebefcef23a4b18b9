"""Fine-tuning of compressed weights: quantization-aware, narrower and sparse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import UserError
from ..exporting.onnx import example_for
from ..model_templates.contract import Contract
from ..model_templates.schema import PruningSpec, QuantizationSpec, SparsitySpec, Template
from ..models.network import Network
from ..models.nncf_hooks import import_nncf, load_extension, masked
from ..models.weights import Weights, build_network, rewritten
from ..quiet import quiet
from .calibration import Calibration
from .channels import pruned
from .sparsity import KeepZeros, SparsitySchedule, layer_weights, share_of_zeros
from .stage import Stage, Training

_BATCH = 8
"""Batch size while batch normalisation adapts: for single photos the variance is too small."""


def quantization_aware(
    weights: Weights, calibration: Calibration, training: Training
) -> tuple[Weights, str]:
    """Fine-tune with the rounding of int8 in place (Jacob et al. 2018), by NNCF.

    Ranges start from the calibration photos, and are trained with the weights. Weights that are
    zero stay zero.

    Args:
        weights: The weights to start from.
        calibration: Inputs for the first ranges, and for batch normalisation.
        training: Settings of the training, which uses the subfolder "quantization".

    Returns:
        Weights with NNCF's quantizers, in quantized.safetensors, which can be measured, trained
        further and exported to OpenVINO like any other; and what was done, in words.

    Raises:
        UserError: See `fit`.
        MissingPackageError: NNCF is not installed.
    """
    nncf = import_nncf()

    def hang_hooks(network: Network) -> Network:
        return rounding(network, calibration.batches).train()

    recipe = weights.template.optimisations.nncf_quantization or QuantizationSpec(
        epochs=2, base_learning_rate=2.5e-4
    )
    zeros = {name: value == 0 for name, value in layer_weights(weights.state_dict).items()}
    callbacks = [KeepZeros(zeros)] if any(zero.any() for zero in zeros.values()) else []
    found = Stage(training, "quantization", weights, recipe).train(weights, hang_hooks, callbacks)
    path = training.folder / "quantized.safetensors"
    return (
        rewritten(path, found, found.state_dict, hooks=found.hooks),
        f"trained {found.epochs} epochs with the rounding of int8 by nncf {nncf.__version__}",
    )


def rounding(network: Network, batches: Sequence[NDArray[np.float32]]) -> Network:
    """A network with NNCF's quantizers, in eval mode.

    Args:
        network: A network on the CPU; it may be changed.
        batches: Inputs for the first ranges, float32 (1, 3, H, W) each, 0-255, BGR.

    Raises:
        MissingPackageError: NNCF is not installed.
    """
    nncf = import_nncf()
    load_extension()
    images = [torch.from_numpy(batch) for batch in batches]
    together = [torch.cat(images[i : i + _BATCH]) for i in range(0, len(images), _BATCH)]
    whole = [one for one in together if len(one) == _BATCH]
    with quiet():  # NNCF logs every step
        hooked: Network = nncf.quantize(
            network.eval(),
            nncf.Dataset([_raw(one) for one in images]),
            subset_size=len(images),
            preset=nncf.QuantizationPreset.MIXED,
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                disable_bias_correction=True  # the training corrects biases
            ),
        )
        if whole:
            nncf.batch_norm_adaptation(hooked, nncf.Dataset([_raw(one) for one in whole]))
    return hooked


def narrow(weights: Weights, spec: PruningSpec, training: Training) -> tuple[Weights, str]:
    """Drop channels, and fine-tune the narrower network.

    Args:
        weights: The weights to start from.
        spec: How many channels to drop.
        training: Settings of the training, which uses the subfolder "pruning".

    Returns:
        Weights of a narrower network, in pruned.safetensors; and what was done, in words.

    Raises:
        UserError: See `pruned` and `fit`.
    """
    stage = Stage(training, "pruning", weights, spec)
    start = stage.folder / "start.safetensors"
    found = stage.ended() or stage.train(pruned(weights, spec.ratio, start))
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
        weights: The weights to start from.
        spec: How many weights become zero, and how they are chosen.
        contract: The network's contract.
        training: Settings of the training, which uses the subfolder "sparsity".

    Returns:
        Weights with zeros, in sparse.safetensors; and what was done, in words.

    Raises:
        UserError: See `fit`; call `check_sparsity` before.
        MissingPackageError: NNCF is not installed.
    """
    nncf = import_nncf()
    modes = nncf.PruneMode
    by_size = spec.mode == "magnitude"
    mode = (
        modes.UNSTRUCTURED_MAGNITUDE_GLOBAL if by_size else modes.UNSTRUCTURED_REGULARIZATION_BASED
    )
    example = _raw(example_for(contract))

    def hang_hooks(network: Network) -> Network:
        ratio = spec.initial_ratio if by_size else None
        with quiet():
            hooked: Network = nncf.prune(network, mode, ratio=ratio, examples_inputs=example)
        return hooked.train()

    stage = Stage(training, "sparsity", weights, spec)
    schedule = SparsitySchedule(spec, mode if by_size else None)
    found = stage.train(weights, hang_hooks, [schedule])
    plain = masked(build_network(found), example).state_dict()
    path = training.folder / "sparse.safetensors"
    return (
        rewritten(path, found, plain),
        f"trained {found.epochs} epochs while {100 * share_of_zeros(plain):.1f} % of those of "
        f"layers were made zero, by {spec.mode}, by nncf {nncf.__version__}",
    )


def check_sparsity(template: Template, spec: SparsitySpec, training: Training) -> None:
    """Refuse what `sparse` cannot do, before other trainings begin.

    Raises:
        UserError: The template's optimizer would not train masks, or there is only one epoch.
    """
    optimizer = template.hyper_parameters.optimizer.type
    if spec.mode == "regularization" and optimizer == "sgd":
        raise UserError(
            f"sparsity by regularization: {template.name} is trained by {optimizer}, which "
            "does not move masks; expected adamw or muon, or the mode magnitude"
        )
    if (training.epochs or spec.epochs) < 2:
        raise UserError("sparsity rises from epoch to epoch: expected 2 epochs or more, found 1")


def count_parameters(state: Mapping[str, Tensor]) -> int:
    """Number of parameters in a state dict."""
    return sum(value.numel() for value in state.values())


def _raw(images: Tensor) -> dict[str, Any]:
    """Arguments of `Network.forward` that leave out the decoding of boxes, which stays float."""
    return {"images": images, "raw": True}
