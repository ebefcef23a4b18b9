"""The Lightning module: what happens to one batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from ..data.coco import Photo
from ..errors import TrainingError
from ..evaluation.detector import evaluate_detector
from ..model_templates.contract import Contract
from ..model_templates.schema import Template
from ..models.network import Detector
from ..runtimes.model import Model
from ..runtimes.torch import session_of
from .dense_loss import dense_loss
from .photometric import Photometric
from .schedule import learning_rate_factor
from .ssd_loss import ssd_loss
from .targets import Targets

LOSSES: dict[str, Callable[..., dict[str, Tensor]]] = {"dense": dense_loss, "ssd": ssd_loss}
VALIDATION_SCORE = 0.02


class DetectionModule(lightning.LightningModule):
    """Trains a `Detector` by its template's recipe.

    Args:
        network: To be trained.
        template: Its recipe.
        contract: Of the network, for validation by the same code that users predict with.
        base_learning_rate: For the batch size that the run has.
        rate_is_asked_for: It replaces the rate of a checkpoint that is resumed.
        epochs: In all, `first_epoch` included.
        steps_per_epoch: Optimizer steps.
        first_epoch: Epochs that the loaded weights have behind them, where their optimizer state
            is not at hand.
        seed: Of the photometric distortion.
        files: The photo of each image id, for error messages.
    """

    def __init__(
        self,
        network: Detector,
        *,
        template: Template,
        contract: Contract,
        base_learning_rate: float,
        rate_is_asked_for: bool,
        epochs: int,
        steps_per_epoch: int,
        first_epoch: int,
        seed: int,
        files: Mapping[int, Path],
    ) -> None:
        super().__init__()
        self.network = network
        self.template = template
        self.contract = contract
        self.base_learning_rate = base_learning_rate
        self.rate_is_asked_for = rate_is_asked_for
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self.first_epoch = first_epoch
        self.seed = seed
        self.files = files
        self._batch_ids: list[int] = []
        recipe = template.hyper_parameters
        self.photometric = Photometric() if recipe.augmentation.photometric else None

    def on_train_start(self) -> None:
        """A rate asked for by the user outranks that of the checkpoint resumed."""
        if not self.rate_is_asked_for:
            return
        for config in self.trainer.lr_scheduler_configs:
            scheduler = config.scheduler
            assert isinstance(scheduler, LambdaLR)
            scheduler.base_lrs = [self.base_learning_rate] * len(scheduler.base_lrs)
            for group, factor in zip(
                scheduler.optimizer.param_groups, scheduler.lr_lambdas, strict=True
            ):
                group["lr"] = self.base_learning_rate * factor(scheduler.last_epoch)

    def training_step(self, batch: tuple[Tensor, Targets]) -> Tensor:
        """Distort, predict, and sum the losses of one batch."""
        raw, targets = batch
        images = raw.float()
        if self.photometric is not None:
            # A seed of the step and the process, so that a resumed training goes on exactly.
            step = self.first_epoch * self.steps_per_epoch + self.global_step
            seed = (self.seed * 1_000_003 + step) * 4_099 + self.global_rank
            seed %= 2**63
            images = self.photometric(images, seed=seed)
        images = images.contiguous(memory_format=torch.channels_last)
        predictions = self.network.predictions(images)
        head = self.template.architecture.head
        losses = LOSSES[head.type](predictions, targets, spec=head)
        total = torch.stack(list(losses.values())).sum()
        self._batch_ids = targets.image_ids.tolist()
        if not torch.isfinite(total):
            parts = ", ".join(f"{name} {value.item():g}" for name, value in losses.items())
            raise self._not_finite(f"loss ({parts})")
        self.log_dict(
            {f"train/{name}": value for name, value in losses.items()},
            on_epoch=True,
            on_step=False,
            batch_size=len(images),
            sync_dist=True,
        )
        self.log(
            "train/loss",
            total,
            prog_bar=True,
            on_step=True,
            on_epoch=True,
            batch_size=len(images),
            sync_dist=True,
        )
        return total

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Gradients that are not finite would destroy the weights, though the loss was."""
        if self.trainer.precision == "16-mixed":
            return  # its scaler leaves such steps out, and tries a smaller scale
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        if not torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
            raise self._not_finite("gradient")

    def _not_finite(self, what: str) -> TrainingError:
        photos = ", ".join(f"{i} ({self.files.get(i, 'unknown')})" for i in self._batch_ids)
        return TrainingError(
            f"the {what} is not finite at step {self.global_step}; photos of the batch by image "
            f"id: {photos}",
            hint="lower --base-learning-rate, or look at these photos and their boxes",
        )

    def validation_step(self, photos: Sequence[Photo]) -> None:
        """AP over all validation photos, by the code that users predict with."""
        session = session_of(self.network, self.contract, device=str(self.device))
        model = Model(contract=self.contract, session=session, path=Path(self.template.name))
        predict = partial(model.predict, score_threshold=VALIDATION_SCORE)
        _, figures = evaluate_detector(predict, photos)
        for key in ("ap", "ap50"):
            value = figures[key] or 0.0
            self.log(f"val/{key}", value, prog_bar=key == "ap50", batch_size=1, sync_dist=True)

    def configure_optimizers(self) -> Any:
        """The template's optimizer; no weight decay on biases and normalisation."""
        recipe = self.template.hyper_parameters
        settings = recipe.optimizer
        groups = [
            {
                "params": [p for p in self.network.parameters() if p.ndim > 1],
                "weight_decay": settings.weight_decay,
            },
            {
                "params": [p for p in self.network.parameters() if p.ndim <= 1],
                "weight_decay": 0.0,
            },
        ]
        optimizer: torch.optim.Optimizer
        if settings.type == "adamw":
            optimizer = torch.optim.AdamW(
                groups, lr=self.base_learning_rate, betas=(settings.momentum, 0.999)
            )
        else:
            optimizer = torch.optim.SGD(
                groups,
                lr=self.base_learning_rate,
                momentum=settings.momentum,
                nesterov=settings.momentum > 0,
            )
        factor = learning_rate_factor(
            recipe.schedule,
            steps_per_epoch=self.steps_per_epoch,
            epochs=self.epochs,
            first_epoch=self.first_epoch,
        )
        schedule = {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}
