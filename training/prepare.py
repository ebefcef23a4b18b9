"""All of a training but the training: what can be refused is refused here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
import torch

from ..errors import UserError
from ..model_templates.schema import Template, load_template
from ..models.network import Network, make_network
from ..models.weights import build_network, contract_for
from .datamodule import FaceData
from .distillation import find_teacher
from .machine import Machine, choose_machine, keep_freed_memory
from .module import TemplateModule
from .start import (
    Start,
    batch_size_of,
    check_folder,
    check_same,
    find_start,
    made_of,
    template_rate,
)
from .tasks import TASKS

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
Lists = tuple[Sequence[Path], Sequence[Path]]
"""Annotation files, and the folders of their photos."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A training that may begin.

    Attributes:
        template: Its recipe.
        start: Where it begins, and how many epochs there are to be.
        goes_on: Whether its folder holds the training that goes on.
        machine: Where it runs.
        batch_size: Per process.
        seed: Of weights, order and augmentation.
        data: Its photos, in memory.
        module: What learns.
        made_of: See `made_of`.
        teacher: The file of its weights; None where there is none.
    """

    template: Template
    start: Start
    goes_on: bool
    machine: Machine
    batch_size: int
    seed: int
    data: FaceData
    module: TemplateModule
    made_of: Mapping[str, int | str]
    teacher: Path | None


def prepare_training(
    *,
    template: Path,
    train: Lists,
    val: Lists,
    output: Path,
    load_weights: Path | None,
    resume_from: Path | None,
    epochs: int | None,
    batch_size: int | None,
    base_learning_rate: float | None,
    gpu_num: int | None,
    seed: int | None,
    workers: int,
    precision: Precision,
    hang_hooks: Callable[[Network], Network] | None,
) -> Prepared:
    """Read, check and build all that a training needs.

    The arguments are those of `fit`: `train` and `val` are its lists to learn from and to measure
    on, the latter perhaps empty, and `hang_hooks` is its `prepare`.

    Raises:
        UserError: The data, weights or settings do not fit; nothing was written.
    """
    recipe_file = load_template(template)
    recipe = recipe_file.hyper_parameters
    start = find_start(
        template, load_weights, resume_from, epochs=epochs, base_learning_rate=base_learning_rate
    )
    goes_on = check_folder(
        output, resume_from, epochs=0 if start.weights is None else start.weights.epochs
    )
    if seed is None:
        seed = start.seed
    teacher = find_teacher(recipe_file, template.parent)
    task = TASKS[recipe_file.problem]
    train_photos = task.read(*train, recipe_file.dataset.classes)
    if teacher is None:  # who finds faces without labels
        task.check(train_photos, "--train-ann-files")
    val_photos: Sequence[Any] = ()
    if val[0]:
        val_photos = task.read(*val, recipe_file.dataset.classes)
        task.check(val_photos, "--val-ann-files")
    machine = choose_machine(gpu_num, template_gpus=recipe_file.gpu_num)
    if machine.accelerator == "cpu":
        if precision == "16-mixed":
            raise UserError(
                "--precision 16-mixed: for GPUs alone; expected bf16-mixed or 32-true on a CPU"
            )
        keep_freed_memory()
    if batch_size is None:
        batch_size = batch_size_of(start, recipe_file, processes=machine.processes)
    rate = base_learning_rate
    if rate is None:
        # A checkpoint that goes on has its own.
        begins = start.made_of is None
        rate = template_rate(recipe_file, batch_size=batch_size * machine.processes, said=begins)

    lightning.seed_everything(seed, verbose=False)
    network = _network(recipe_file, start, hang_hooks)
    data = FaceData(
        task.crops(recipe_file, train_photos, seed, start.epochs * recipe.repeats),
        collate=task.collate,
        val=val_photos,
        batch_size=batch_size,
        repeats=recipe.repeats,
        seed=seed,
        first_epoch=start.epoch,
        workers=workers,
    )
    data.preload(processes_here=machine.devices)
    steps = data.steps_per_epoch(processes=machine.processes)
    epochs_made_of = made_of(
        steps=steps,
        batch_size=batch_size * machine.processes,
        photos=[photo.path for photo in train_photos],
        teacher="" if teacher is None else teacher.sha256,
        precision=precision,
    )
    check_same(start, epochs_made_of, resume_from)
    module = task.module(
        network,
        template=recipe_file,
        contract=contract_for(recipe_file, weights=None),
        base_learning_rate=rate,
        rate_is_asked_for=base_learning_rate is not None,
        epochs=start.epochs,
        steps_per_epoch=steps,
        first_epoch=start.epoch,
        seed=seed,
        files={photo.image_id: photo.path for photo in train_photos},
        teacher=teacher,
    )
    return Prepared(
        template=recipe_file,
        start=start,
        goes_on=goes_on,
        machine=machine,
        batch_size=batch_size,
        seed=seed,
        data=data,
        module=module,
        made_of=epochs_made_of,
        teacher=None if teacher is None else teacher.path,
    )


def _network(
    template: Template, start: Start, hang_hooks: Callable[[Network], Network] | None
) -> Network:
    if start.weights is None:
        network = make_network(template.architecture)
    else:
        network = build_network(start.weights).train()
        if hang_hooks is not None and start.weights.hooks is None:
            network = hang_hooks(network)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
