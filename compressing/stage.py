"""A fine-tuning in its own folder, which can be resumed."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch.callbacks import Callback

from ..errors import UserError
from ..files import atomic_write, sha256_file
from ..model_templates.schema import PruningSpec, QuantizationSpec, SparsitySpec, TemplateFile
from ..model_templates.strict_yaml import parse_yaml
from ..models.weights import Weights, read_weights
from ..tasks.measuring import Labels
from ..tasks.templates import parse_template
from ..training.fit import fit
from ..training.request import Arithmetic, FitRequest, HangHooks

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """Settings of a fine-tuning.

    Attributes:
        labels: Training annotations, and the folders of their photos.
        folder: Each training has a subfolder with latest.pth, curves.png, receipt.yaml and logs/.
        resume: Whether to continue interrupted trainings, and to reuse finished ones.
        epochs: Number of epochs; None for the template's.
        base_learning_rate: Base learning rate; None for the template's.
        batch_size: Photos per step; None for the template's of a training from scratch.
        gpu_num: Number of GPUs, 0 for the CPU; None for 1 if there is one.
        seed: Seed of order and augmentation.
        workers: Number of processes that cut samples.
        precision: Precision of the arithmetic.
        command: The command that the user typed, for the receipt.
    """

    labels: Labels
    folder: Path
    resume: bool = False
    epochs: int | None = None
    base_learning_rate: float | None = None
    batch_size: int | None = None
    gpu_num: int | None = None
    seed: int | None = None
    workers: int = 1
    precision: Arithmetic = "32-true"
    command: str | None = None


Recipe = QuantizationSpec | SparsitySpec | PruningSpec


class Stage:
    """One training in its own folder, which records what it was started with.

    Args:
        training: Settings of the training.
        name: Name of its folder.
        weights: The weights that it starts from.
        recipe: The recipe, with default epochs and learning rate.

    Raises:
        UserError: The folder has such a training and `resume` is False, or that training was
            started differently.
        OSError: The folder cannot be written.
    """

    def __init__(self, training: Training, name: str, weights: Weights, recipe: Recipe) -> None:
        self.training = training
        self.recipe = recipe
        self.epochs = training.epochs or recipe.epochs
        self.folder = training.folder / name
        self.latest = self.folder / "latest.pth"
        # On resume, epochs and learning rate may change; the rest may not.
        what = recipe.model_dump(mode="json", exclude={"epochs", "base_learning_rate"})
        begun = {
            "weights": weights.sha256,
            **what,
            "photos": [sha256_file(Path(one)) for one in training.labels.files],
            "seed": training.seed,
            "batch_size": training.batch_size,
            "precision": training.precision,
        }
        note = self.folder / "begun.json"
        if self.latest.exists():
            if not training.resume:
                raise UserError(
                    f"{self.latest}: is there already, of another training",
                    hint="go on with it by --resume, or name another folder",
                )
            found = _noted(note)
            for key, value in begun.items():
                if found.get(key, value) != value:
                    raise UserError(
                        f"{note}: that training was begun with {key} {found.get(key)}; "
                        f"found {value}",
                        hint="give what was given then, or name another folder",
                    )
        with atomic_write(note, "w") as handle:
            handle.write(json.dumps(begun))

    def ended(self) -> Weights | None:
        """The final weights, or None if the training has not finished."""
        if not self.latest.exists():
            return None
        found = read_weights(self.latest)
        if found.epochs < self.epochs:
            return None
        _log.info("%s: was finished before, and is not trained again", self.latest)
        return found

    def train(
        self,
        weights: Weights,
        hang_hooks: HangHooks | None = None,
        callbacks: Sequence[Callback] = (),
    ) -> Weights:
        """Fine-tune by the weights' own template; a finished training is reused.

        Args:
            weights: The weights to start from.
            hang_hooks: See `FitRequest`.
            callbacks: See `FitRequest`.
        """
        if ended := self.ended():
            return ended
        goes_on = self.latest.exists()
        # Written from the weights, as the original template file may be gone.
        text, path = _for_compressing(weights), self.folder / "template.yaml"
        path.write_text(text, encoding="utf-8")
        training = self.training
        rate = training.base_learning_rate
        _fit(
            FitRequest(
                template=TemplateFile(path, text, parse_template(text, source=str(path))),
                train=training.labels,
                output=self.folder,
                load_weights=None if goes_on else weights,
                resume_from=self.latest if goes_on else None,
                epochs=self.epochs,
                batch_size=training.batch_size,
                base_learning_rate=self.recipe.base_learning_rate if rate is None else rate,
                gpu_num=_gpus() if training.gpu_num is None else training.gpu_num,
                seed=training.seed,
                workers=training.workers,
                precision=training.precision,
                command=training.command,
                hang_hooks=hang_hooks,
                callbacks=callbacks,
            )
        )
        return read_weights(self.latest)


def _noted(path: Path) -> dict[str, Any]:
    """What a training was begun with; a note that is not there says nothing.

    Raises:
        UserError: It cannot be read.
    """
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: damaged: {error}", hint="name another folder") from error
    if not isinstance(found, dict):
        raise UserError(f"{path}: damaged: expected an object", hint="name another folder")
    return found


def _for_compressing(weights: Weights) -> str:
    """Text of the weights' template without the teacher, whose file may be gone.

    And without frozen parts, as all of a network has to make up for what it loses.
    """
    recipe = weights.template.hyper_parameters
    if recipe.distillation is None and not recipe.frozen:
        return weights.template_text
    content = parse_yaml(weights.template_text, source=str(weights.path))
    content["hyper_parameters"] |= {"distillation": None, "frozen": []}
    return yaml.safe_dump(content, sort_keys=False)


def _gpus() -> int:
    """Number of GPUs, at most one, as the steps after training run in one process."""
    return min(1, torch.cuda.device_count())


def _fit(request: FitRequest) -> None:
    try:
        fit(request)
    except KeyboardInterrupt as left:
        raise KeyboardInterrupt("go on with the same command and --resume") from left
    except Exception as error:
        if type(error).__name__ != "InstallationError":  # raised by NNCF
            raise
        raise UserError(
            "NNCF cannot compile its extension for this GPU: " + " ".join(str(error).split())[:200],
            hint="install CUDA's compiler nvcc, or train on the CPU: --gpu-num 0",
        ) from error
