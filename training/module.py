"""The Lightning module: training and validation steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from ..errors import TrainingError
from ..evaluation.figures import Figure, decisive
from ..model_templates.contract import Contract
from ..model_templates.schema import Template
from ..models.network import Network
from ..runtimes.torch import session_of
from ..tasks import Task
from ..tasks.learning import Learner
from ..tasks.model import Model
from .frozen import keep_still
from .optimizers import FACTOR, make_optimizer
from .schedule import learning_rate_factor

MASK_DISTANCE = 20.0
"""Largest move of a trained mask's logit by Adam in a whole training; it starts at 4.6."""


@dataclass(frozen=True)
class Course:
    """Learning rate and length of a training.

    Attributes:
        base_learning_rate: Base learning rate for the run's batch size.
        rate_is_asked_for: Whether it replaces the rate of a resumed checkpoint.
        epochs: Total number of epochs, `first_epoch` included.
        steps_per_epoch: Optimizer steps per epoch.
        first_epoch: Epochs already trained in loaded weights that have no optimizer state.
        fine_tunes: Whether the optimizer began anew at `first_epoch`; then the statistics of batch
            normalisation stay as they are, because those of a few photos would spoil the network
            faster than it learns.
        seed: Seed of randomness in the losses.
    """

    base_learning_rate: float
    rate_is_asked_for: bool
    epochs: int
    steps_per_epoch: int
    first_epoch: int
    fine_tunes: bool
    seed: int


_OWN = "learner."
"""What the names of the learner's own tensors begin with."""


class TemplateModule(lightning.LightningModule):
    """Trains a network by its template's recipe; the task defines batches.

    Attributes:
        figure: The figure that decides which epoch is the best; logged as `val/<key>`, 0 to 1.
        penalty: A further loss that depends only on the weights; None for none.
        settled: What was measured of these weights for the template; see `Measured.settled`.

    Args:
        network: The network to train.
        task: The template's task.
        learner: Computes losses of a batch; its own parameters are trained too.
        template: The template with the recipe.
        contract: The network's contract, to validate with the code that users predict with.
        course: Learning rate and length.
        files: The photo's file for each image id, for error messages.
    """

    def __init__(
        self,
        network: Network,
        *,
        task: Task,
        learner: Learner,
        template: Template,
        contract: Contract,
        course: Course,
        files: Mapping[int, Path],
    ) -> None:
        super().__init__()
        self.network = network
        self.task = task
        self.learner = learner
        self.template = template
        self.contract = contract
        self.course = course
        self.files = files
        self.settled: Mapping[str, Any] = {}
        self.penalty: Callable[[], Tensor] | None = None
        self.figure: Figure = decisive(task.measure.FIGURES)
        self._batch_ids: list[int] = []

    def step_seed(self) -> int:
        """Seed of this step and process, so that a resumed training continues exactly."""
        step = self.course.first_epoch * self.course.steps_per_epoch + self.global_step
        return ((self.course.seed * 1_000_003 + step) * 4_099 + self.global_rank) % 2**63

    def on_train_start(self) -> None:
        """Replace the resumed checkpoint's learning rate if the user asked for another."""
        if not self.course.rate_is_asked_for:
            return
        for config in self.trainer.lr_scheduler_configs:
            scheduler = config.scheduler
            assert isinstance(scheduler, LambdaLR)
            groups = scheduler.optimizer.param_groups
            for index, (group, factor) in enumerate(zip(groups, scheduler.lr_lambdas, strict=True)):
                if not group.get("masks", False):  # older checkpoints lack this key
                    rate = self.course.base_learning_rate * group.get(FACTOR, 1.0)
                    scheduler.base_lrs[index] = rate
                    group["lr"] = rate * factor(scheduler.last_epoch)

    def on_train_epoch_start(self) -> None:
        """Keep the statistics of frozen parts; if the network is fine-tuned, those of all."""
        keep_still(self.network, self.template.hyper_parameters.frozen)
        if self.course.fine_tunes:
            for layer in self.network.modules():
                if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                    layer.eval()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Accept older checkpoints, which have the learner's constants under other names."""
        stored = self.state_dict()  # some constants are too large to be stored
        constants = {
            name: value
            for name, value in self.named_buffers()
            if name.startswith(_OWN) and name in stored
        }
        for key in ("state_dict", "current_model_state"):  # the latter beside averaged weights
            if key in checkpoint:
                state = checkpoint[key].items()
                known = {n: value for n, value in state if n.startswith(("network.", _OWN))}
                checkpoint[key] = constants | known

    def training_step(self, batch: tuple[Tensor, Any]) -> Tensor:
        """Sum the losses of one batch."""
        images, targets = batch
        losses = self.learner.losses(self.network, images, targets, seed=self.step_seed())
        if self.penalty is not None:
            losses["penalty"] = self.penalty().to(images.device)
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
        """Raise if gradients are not finite, which can happen even if the loss is finite."""
        if self.trainer.precision == "16-mixed":
            return  # its scaler skips such steps, and tries a smaller scale
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        if not torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
            raise self._not_finite("gradient")

    def _not_finite(self, what: str) -> TrainingError:
        photos = ", ".join(f"{i} ({self.files.get(i, 'unknown')})" for i in self._batch_ids)
        return TrainingError(
            f"the {what} is not finite at step {self.global_step}; photos of the batch by image "
            f"id: {photos}",
            hint="lower --base-learning-rate, or look at these photos and their labels",
        )

    def configure_optimizers(self) -> Any:
        """The template's optimizer and schedule."""
        recipe, course = self.template.hyper_parameters, self.course
        optimizer = make_optimizer(
            self.network,
            recipe.optimizer,
            rate=course.base_learning_rate,
            # Masks are logits, which must be able to change sign even in a short training.
            mask_rate=MASK_DISTANCE / (course.steps_per_epoch * course.epochs),
            beside=self._own_parameters(),
        )
        factor = learning_rate_factor(
            recipe.schedule,
            steps_per_epoch=course.steps_per_epoch,
            epochs=course.epochs,
            first_epoch=course.first_epoch,
            fine_tunes=course.fine_tunes,
            counts_steps=recipe.basic.iterations_per_epoch is not None,
        )
        schedule = {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _own_parameters(self) -> list[Tensor]:
        """The learner's own parameters, which exist only in training."""
        learner: object = self.learner
        return list(learner.parameters()) if isinstance(learner, torch.nn.Module) else []

    def validation_step(self, samples: Sequence[Any]) -> None:
        """Measure all validation samples, with the code that users predict with."""
        measured = self.task.measure.measure(self.model(), samples)
        self.settled = measured.settled
        found = measured.figures
        for figure in self.task.measure.FIGURES:
            value = found.get(figure.key)
            if figure.followed and value is not None:
                shown = figure.key == self.figure.key
                self.log(f"val/{figure.key}", value, prog_bar=shown, batch_size=1, sync_dist=True)

    def model(self) -> Model[Any]:
        """The network as it is, as the model that users predict with."""
        spec, outputs = self.contract.input, self.contract.outputs
        session = session_of(
            self.network,
            {output.name: output.shape for output in outputs},
            size=(spec.height, spec.width),
            device=str(self.device),
        )
        return self.task.model.make(
            contract=self.contract, session=session, path=Path(self.template.name)
        )
