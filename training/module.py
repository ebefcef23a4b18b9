"""The Lightning module: what happens to one batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR

from ..data.coco import Photo
from ..data.labelled_faces import LabelledFace
from ..errors import TrainingError
from ..evaluation.classifier import evaluate_classifier
from ..evaluation.detector import SCORE_FLOOR, evaluate_detector
from ..model_templates.contract import Contract
from ..model_templates.schema import Template
from ..models.dense_head import DensePredictions
from ..models.network import Classifier, Detector, Network
from ..runtimes.classifier import FaceClassifier
from ..runtimes.detector import FaceDetector
from ..runtimes.torch import session_of
from .dense_loss import dense_loss
from .distillation import Teacher
from .face_crops import Labels
from .optimizers import FACTOR, make_optimizer
from .photometric import Photometric
from .schedule import learning_rate_factor
from .ssd_loss import ssd_loss
from .targets import Targets

LOSSES: dict[str, Callable[..., dict[str, Tensor]]] = {"dense": dense_loss, "ssd": ssd_loss}
LABEL_SMOOTHING = 0.04
MASK_DISTANCE = 20.0
"""How far Adam may move the logit of a trained mask in a whole training: it begins at 4.6."""


class TemplateModule(lightning.LightningModule):
    """Trains a network by its template's recipe; what a batch is, the task says.

    Attributes:
        metric: What decides which epoch is the best, logged as `val/<metric>`, 0 to 1.
        metric_name: For people.
        penalty: A further loss, of the weights alone.

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
        teacher: Of the recipe's distillation.
    """

    metric: str
    metric_name: str

    def __init__(
        self,
        network: Network,
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
        teacher: Teacher | None = None,
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
        self.teacher = teacher
        self.penalty: Callable[[], Tensor] | None = None
        self._batch_ids: list[int] = []

    def losses(self, images: Tensor, targets: Any) -> dict[str, Tensor]:
        """By name, of a batch: uint8 images (B, 3, H, W) BGR, and what the task knows of them."""
        raise NotImplementedError

    def step_seed(self) -> int:
        """Of the step and the process, so that a resumed training goes on exactly."""
        step = self.first_epoch * self.steps_per_epoch + self.global_step
        return ((self.seed * 1_000_003 + step) * 4_099 + self.global_rank) % 2**63

    def on_train_start(self) -> None:
        """A rate asked for by the user outranks that of the checkpoint resumed."""
        if not self.rate_is_asked_for:
            return
        for config in self.trainer.lr_scheduler_configs:
            scheduler = config.scheduler
            assert isinstance(scheduler, LambdaLR)
            groups = scheduler.optimizer.param_groups
            for index, (group, factor) in enumerate(zip(groups, scheduler.lr_lambdas, strict=True)):
                if not group.get("masks", False):  # checkpoints may be older
                    rate = self.base_learning_rate * group.get(FACTOR, 1.0)
                    scheduler.base_lrs[index] = rate
                    group["lr"] = rate * factor(scheduler.last_epoch)

    def training_step(self, batch: tuple[Tensor, Any]) -> Tensor:
        """Sum the losses of one batch."""
        images, targets = batch
        losses = self.losses(images, targets)
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

    def configure_optimizers(self) -> Any:
        """The template's optimizer and schedule."""
        recipe = self.template.hyper_parameters
        optimizer = make_optimizer(
            self.network,
            recipe.optimizer,
            rate=self.base_learning_rate,
            # Logits, which must be able to change their sign however short the training is.
            mask_rate=MASK_DISTANCE / (self.steps_per_epoch * self.epochs),
        )
        factor = learning_rate_factor(
            recipe.schedule,
            steps_per_epoch=self.steps_per_epoch,
            epochs=self.epochs,
            first_epoch=self.first_epoch,
        )
        schedule = {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}


class DetectionModule(TemplateModule):
    """Trains a `Detector`."""

    metric = "ap50"
    metric_name = "AP50"

    def __init__(self, network: Network, **settings: Any) -> None:
        super().__init__(network, **settings)
        photometric = self.template.hyper_parameters.augmentation.photometric
        self.photometric = Photometric() if photometric else None

    def losses(self, images: Tensor, targets: Targets) -> dict[str, Tensor]:
        """Distort, predict, and compare with the boxes."""
        images = images.float()
        if self.photometric is not None:
            images = self.photometric(images, seed=self.step_seed())
        images = images.contiguous(memory_format=torch.channels_last)
        assert isinstance(self.network, Detector)
        predictions = self.network.predictions(images)
        head = self.template.architecture.head
        losses = LOSSES[head.type](predictions, targets, spec=head)
        if self.teacher is not None:
            assert isinstance(predictions, DensePredictions)  # the schema sees to it
            losses |= self.teacher.losses(images, predictions)
        return losses

    def validation_step(self, photos: Sequence[Photo]) -> None:
        """AP over all validation photos, by the code that users predict with."""
        session = session_of(self.network, self.contract, device=str(self.device))
        model = FaceDetector(contract=self.contract, session=session, path=Path(self.template.name))
        predict = partial(model.predict, score_threshold=SCORE_FLOOR)
        _, _, figures = evaluate_detector(predict, photos)
        for key in ("ap", "ap50"):
            value = figures[key]
            if value is not None:
                self.log(f"val/{key}", value, prog_bar=key == "ap50", batch_size=1, sync_dist=True)


class ClassificationModule(TemplateModule):
    """Trains a `Classifier`; its samples come distorted already."""

    metric = "balanced_accuracy"
    metric_name = "balanced accuracy"

    def losses(self, images: Tensor, targets: Labels) -> dict[str, Tensor]:
        """Cross-entropy with smoothed labels (Szegedy et al. 2016)."""
        images = images.float().contiguous(memory_format=torch.channels_last)
        assert isinstance(self.network, Classifier)
        devices = [images.device] if images.is_cuda else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self.step_seed())  # of dropout
            logits = self.network.logits(images)
        loss = functional.cross_entropy(logits, targets.labels, label_smoothing=LABEL_SMOOTHING)
        return {"classes": loss}

    def validation_step(self, faces: Sequence[LabelledFace]) -> None:
        """Balanced accuracy over all validation faces, by the code that users predict with."""
        session = session_of(self.network, self.contract, device=str(self.device))
        model = FaceClassifier(
            contract=self.contract, session=session, path=Path(self.template.name)
        )
        threshold = self.contract.score_threshold
        _, figures = evaluate_classifier(model.predict, faces, threshold=threshold)
        for key in ("balanced_accuracy", "roc_auc"):
            value = figures[key]
            if value is not None:
                shown = key == self.metric
                self.log(f"val/{key}", value, prog_bar=shown, batch_size=1, sync_dist=True)
