"""Find the start of a training, and check that it may begin."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import UserError
from ..files import path_in_utf8, sha256_files
from ..model_templates.schema import Template, TemplateFile
from ..models.weights import Weights, read_weights
from .body import gives_a_body
from .callbacks import RUN_KEY
from .schedule import scaled_rate

_log = logging.getLogger(__name__)

FINE_TUNING_STEPS = 10
"""Fewest optimizer steps in an epoch of fine-tuning."""

MANY = 10
"""How many times the template's number of epochs are hardly meant."""


@dataclass(frozen=True, eq=False)
class Start:
    """The start of a training.

    Attributes:
        weights: Initial weights; None for random ones.
        epoch: Epochs before Lightning began to count.
        seed: Seed of the resumed training, else 0.
        epochs: Total number of epochs: as asked for, else as planned by the resumed training,
            else the template's.
        fine_tunes: Whether the optimizer began anew on trained weights, which went on at their
            epoch.
        made_of: The `made_of` of a checkpoint that Lightning can resume; None for other starts.
    """

    weights: Weights | None
    epoch: int = 0
    seed: int = 0
    epochs: int = 0
    fine_tunes: bool = False
    made_of: Mapping[str, Any] | None = None

    @property
    def behind(self) -> int:
        """Epochs that Lightning has counted in the training that goes on; 0 for other starts."""
        if self.made_of is None or self.weights is None:
            return 0
        return self.weights.epochs - self.epoch


def find_start(
    template: TemplateFile,
    load_weights: Weights | None,
    resume_from: Path | None,
    *,
    epochs: int | None,
    base_learning_rate: float | None,
) -> Start:
    """Read the weights to start from.

    Args:
        template: The template whose architecture they must fit.
        load_weights: Weights to start from, at epoch 0; of another head, their backbone and neck.
        resume_from: Checkpoint to resume instead.
        epochs: Total number of epochs asked for; None for the planned number.
        base_learning_rate: Rate asked for; None for that of the resumed training.

    Raises:
        UserError: The file does not fit; the checkpoint to resume was trained with other losses,
            another optimizer or other averaging of weights; or it has that many epochs already.
    """
    now = template.spec
    planned = now.hyper_parameters.basic.epochs
    wanted = planned if epochs is None else epochs
    if wanted >= MANY * planned and resume_from is None:
        _warn_of_many(wanted, planned, meant=planned)
    if resume_from is None:
        if load_weights is None:
            return Start(None, epochs=wanted)
        if gives_a_body(load_weights, now.architecture):
            return Start(load_weights, epochs=wanted)
        return Start(load_weights.described_by(template, learns_anew=True), epochs=wanted)
    read = read_weights(resume_from, template=template)
    weights = read.described_by(template)
    run: dict[str, Any] | None = None
    if resume_from.suffix == ".pth" and read.foreign is None:
        with path_in_utf8(resume_from) as plain:
            checkpoint = torch.load(plain, map_location="cpu", weights_only=True, mmap=True)
        run = checkpoint.get(RUN_KEY)
    if epochs is None and run is not None:
        wanted = run.get("epochs", wanted)  # older checkpoints lack this key
    if wanted <= weights.epochs:
        raise UserError(
            f"--epochs {wanted}: {resume_from} has {weights.epochs} epochs behind it already",
            hint=f"ask for more in all, as --epochs {weights.epochs + 1}, or start anew by "
            "--load-weights",
        )
    if wanted >= MANY * max(planned, weights.epochs) and epochs is not None:
        _warn_of_many(wanted, planned, meant=weights.epochs + 1)
    if run is None:
        what = "no optimizer state"
        if read.foreign is not None and read.foreign.has_optimizer:
            what = f"an optimizer state of {read.foreign.kind}, which is not used"
        _log.warning("%s holds %s: the optimizer starts anew", resume_from, what)
        return Start(weights, weights.epochs, weights.seed or 0, wanted, fine_tunes=True)
    then = read.template
    losses = [(one.architecture, one.hyper_parameters.distillation) for one in (then, now)]
    if losses[0] != losses[1]:
        raise UserError(
            f"--resume-from {resume_from}: it was trained by other losses than {template.path} has",
            hint="undo the change, or start anew by --load-weights",
        )
    # Other settings are part of the optimizer's state, so they must be equal.
    optimizers = [one.hyper_parameters.optimizer.model_dump(exclude={"gradient_clip"})
                  for one in (then, now)]  # fmt: skip
    for key, value in optimizers[0].items():
        if optimizers[1][key] != value:
            raise UserError(
                f"--resume-from {resume_from}: it was trained with optimizer {key} {value}, "
                f"{template.path} has {optimizers[1][key]}",
                hint="undo the change, or start anew by --load-weights",
            )
    averages = [one.hyper_parameters.ema_decay for one in (then, now)]
    if (averages[0] is None) != (averages[1] is None):
        raise UserError(
            f"--resume-from {resume_from}: it was trained with ema_decay {averages[0]}, "
            f"{template.path} has {averages[1]}",
            hint="undo the change, or start anew by --load-weights",
        )
    for key in ("augmentation", "schedule", "ema_decay", "frozen"):
        if getattr(then.hyper_parameters, key) != getattr(now.hyper_parameters, key):
            _log.warning("%s: other %s than before; it is the template's now", resume_from, key)
    if then.input != now.input:
        _log.warning("%s: other input than before; it is the template's now", resume_from)
    rates = [one.hyper_parameters.basic.base_learning_rate for one in (then, now)]
    if base_learning_rate is None and rates[0] != rates[1]:
        _log.warning(
            "%s: the template's base_learning_rate was %g, and is %g now; it goes on at its own "
            "(another: --base-learning-rate)",
            resume_from,
            *rates,
        )
    return Start(
        weights,
        run["first_epoch"],
        weights.seed or 0,
        wanted,
        fine_tunes=run.get("fine_tunes", False),  # older checkpoints lack this key
        made_of=run,
    )


def _warn_of_many(epochs: int, planned: int, *, meant: int) -> None:
    _log.warning(
        "--epochs %d is %d times the template's %d: was %d meant? `grep epochs` finds several "
        "lines of a template, whose digits become one number",
        epochs,
        epochs // planned,
        planned,
        meant,
    )


def made_of(
    *,
    steps: int,
    batch_size: int,
    photos: Sequence[Path],
    labels: Sequence[Path],
    teacher: str,
    precision: str,
    rows: Sequence[str],
    seed: int,
) -> dict[str, int | str]:
    """Settings that define the epochs of a training, for checkpoints and `check_same`.

    `labels` are the files that list the photos; `teacher` is the SHA-256 of its weights, or ""
    without one; `precision` is Lightning's name; `rows` are those of `tasks.learning.Learner`.
    """
    return {
        "steps_per_epoch": steps,
        "batch_size": batch_size,
        "photos": _digest(path.name for path in photos),
        "labels": sha256_files(labels),
        "rows": _digest(rows),
        "teacher": teacher,
        "precision": precision,
        "seed": seed,
    }


def _digest(names: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(names).encode("utf-8", "replace")).hexdigest()


def batch_size_of(start: Start, template: Template, *, photos: int, processes: int) -> int:
    """Photos per step and process: the resumed training's, else the template's.

    Fine-tuning takes no more than there are, as a step sees each photo once.
    """
    whole = None if start.made_of is None else start.made_of.get("batch_size")
    if whole is not None and whole % processes == 0:
        return int(whole) // processes
    meant = template.hyper_parameters.basic.batch_size
    return max(1, min(meant, photos // processes)) if start.fine_tunes else meant


def repeats_of(start: Start, template: Template, *, photos: int, batch_size: int) -> int:
    """Passes over the photos in one epoch: the template's, or more where photos are few.

    One step is too short to fine-tune anything. A training from `--load-weights` or from random
    weights has many epochs instead.

    Args:
        start: The start.
        template: The template.
        photos: Number of photos.
        batch_size: Photos per step, over all processes.
    """
    repeats = template.hyper_parameters.repeats
    if not start.fine_tunes:
        return repeats
    return max(repeats, math.ceil(FINE_TUNING_STEPS * batch_size / photos))


def check_same(start: Start, here: Mapping[str, int | str], resume_from: Path | None) -> None:
    """Refuse to resume with different epochs.

    Raises:
        UserError: The epochs have other steps, other photos, or photos with other names.
    """
    if start.made_of is None:
        return
    then = {**here, **start.made_of}  # older checkpoints lack some keys
    hint = "give the same photos, --batch-size and number of GPUs; or start anew by --load-weights"
    has, would_have = (
        f"{one['steps_per_epoch']} steps of {one['batch_size']} photos" for one in (then, here)
    )
    if has != would_have:
        raise UserError(
            f"--resume-from {resume_from}: its epochs have {has}, these would have {would_have}",
            hint=hint,
        )
    if then["photos"] != here["photos"]:
        raise UserError(f"--resume-from {resume_from}: it was trained on other photos", hint=hint)
    if then["rows"] != here["rows"]:
        raise UserError(
            f"--resume-from {resume_from}: it learnt to tell others apart than these photos show",
            hint="give the labels of before, or start anew by --load-weights",
        )
    if then["teacher"] != here["teacher"]:
        raise UserError(
            f"--resume-from {resume_from}: it had another teacher, whose file has changed since",
            hint="put the teacher's weights back, or start anew by --load-weights",
        )
    if then["labels"] != here["labels"]:  # mended on purpose, perhaps
        _log.warning("%s: other --train-ann-files than before, of the same photos", resume_from)
    for key in ("precision", "seed"):
        if then[key] != here[key]:
            _log.warning(
                "%s: trained with --%s %s so far, with %s from here on",
                resume_from,
                key,
                then[key],
                here[key],
            )


def check_folder(output: Path, resume_from: Path | None, *, epochs: int) -> bool:
    """Whether the training in this folder is the one that is resumed.

    Args:
        output: The folder.
        resume_from: The checkpoint that is resumed.
        epochs: Number of complete epochs in that checkpoint.

    Raises:
        UserError: The folder holds another training or a later state of this one.
        ModelFileError: The folder holds a damaged checkpoint.
    """
    held = [path for name in ("latest.pth", "best.pth") if (path := output / name).exists()]
    if not held:
        return False
    if resume_from is None or resume_from.resolve().parent != output.resolve():
        raise UserError(
            f"--save-checkpoints-to {output}: holds a {held[0].name} of another training",
            hint=f"go on with it by --resume-from {held[0]}, or name another folder",
        )
    latest = held[0]  # latest.pth if there is one
    if latest.name == "latest.pth" and not resume_from.samefile(latest):
        later = read_weights(latest).epochs
        if later > epochs:
            raise UserError(
                f"--save-checkpoints-to {output}: its {latest.name} has {later} epochs behind it, "
                f"{resume_from} has {epochs}, and would replace it",
                hint=f"name another folder, or go on with {latest}",
            )
    return True


def template_rate(template: Template, *, batch_size: int, said: bool) -> float:
    """The template's learning rate for steps of `batch_size` photos; `said` logs any scaling."""
    basic = template.hyper_parameters.basic
    meant = basic.batch_size * template.gpu_num
    rate = scaled_rate(
        basic.base_learning_rate,
        template.hyper_parameters.optimizer,
        batch_size=batch_size,
        meant_batch_size=meant,
    )
    if said and batch_size != meant:
        _log.info(
            "learning rate %g instead of %g: a step takes %d photos, the template means %d",
            rate,
            basic.base_learning_rate,
            batch_size,
            meant,
        )
    return rate
