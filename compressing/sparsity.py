"""Make weights zero during fine-tuning, and keep them zero."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from ..model_templates.schema import SparsitySpec
from ..models.nncf_hooks import HOOKS
from ..training.module import TemplateModule

_RISE = 2 / 3
"""Share of the epochs in which the share of zeros rises."""


class SparsitySchedule(Callback):
    """Raises the share of zeros with each epoch.

    Args:
        spec: The share of zeros at the start and at the end.
        mode: NNCF's mode that chooses weights by their size; None for trained masks.
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
        """Make NNCF's schedule for the trained network."""
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
        # NNCF's way to flatten weights works only for this layout.
        pl_module.network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        spec, epochs = self._spec, pl_module.course.epochs
        ratios = {
            "initial_ratio": spec.initial_ratio,
            "target_ratio": spec.ratio,
            "target_epoch": max(1, min(math.floor(epochs * _RISE), epochs - 1)),
        }
        if self._mode is not None:
            self._scheduler = ExponentialMagnitudePruningScheduler(
                pl_module.network, mode=self._mode, **ratios
            )
            return
        loss = RBLoss(pl_module.network, spec.initial_ratio)
        self._scheduler = ExponentialRBPruningScheduler(loss, **ratios)
        # A function, as the loss would be saved if it were a submodule.
        pl_module.penalty = lambda: loss()

    def on_train_epoch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Set the share of zeros of this epoch."""
        assert isinstance(pl_module, TemplateModule)
        self._scheduler.step(pl_module.course.first_epoch + trainer.current_epoch)


class KeepZeros(Callback):
    """Sets weights back to zero after every step.

    Args:
        zeros: By a weight's name, bool mask of its zeros.
    """

    def __init__(self, zeros: Mapping[str, Tensor]) -> None:
        self._zeros = zeros

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,  # noqa: ARG002
        pl_module: lightning.LightningModule,
        *_: Any,
    ) -> None:
        """Set the zeros; runs before the callback that averages the weights."""
        assert isinstance(pl_module, TemplateModule)
        parameters = dict(pl_module.network.named_parameters())
        with torch.no_grad():
            for name, zero in self._zeros.items():
                parameters[name].masked_fill_(zero.to(parameters[name].device), 0.0)


def layer_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of convolutions and dense layers, which sparsity applies to."""
    return {
        name: value
        for name, value in state.items()
        if name.endswith(".weight") and value.ndim > 1 and not name.startswith(HOOKS)
    }


def share_of_zeros(state: Mapping[str, Tensor]) -> float:
    """Share of zeros among the weights of all layers, 0 to 1."""
    values = layer_weights(state).values()
    return sum(int((one == 0).sum()) for one in values) / sum(one.numel() for one in values)
