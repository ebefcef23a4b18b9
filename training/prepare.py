"""Check and build everything that a training needs."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DataError, ImageError, UserError
from ..model_templates.contract import Contract
from ..model_templates.schema import Template
from ..models.layers import Stages
from ..models.network import Network, make_network
from ..models.unfolded import is_folded, unfold_norms
from ..models.weights import build_network
from ..tasks import Task, task_of
from ..tasks.describe import contract_for
from ..tasks.templates import with_settled
from .body import body_of, gives_a_body, network_of_parts
from .datamodule import TrainingData
from .frozen import check_frozen, freeze
from .machine import Machine, choose_machine, keep_freed_memory
from .module import Course, TemplateModule
from .request import Arithmetic, FitRequest, HangHooks
from .start import (
    Start,
    batch_size_of,
    check_folder,
    check_same,
    find_start,
    made_of,
    repeats_of,
    template_rate,
)

_log = logging.getLogger(__name__)

_IMAGES = 256
"""Most photos whose statistics norms get that were folded."""


@dataclass(frozen=True, eq=False)
class PreparedTraining:
    """A training that is ready to run.

    Attributes:
        start: The initial weights and epoch, and the number of epochs.
        goes_on: Whether the folder holds the training that is resumed.
        machine: The devices.
        batch_size: Photos per batch of each process.
        seed: Seed of weights, order and augmentation.
        data: The photos, in memory.
        module: The Lightning module.
        made_of: See `made_of`.
        teacher: File of the teacher's weights; None without a teacher.
    """

    start: Start
    goes_on: bool
    machine: Machine
    batch_size: int
    seed: int
    data: TrainingData
    module: TemplateModule
    made_of: Mapping[str, int | str]
    teacher: Path | None


def prepare_training(request: FitRequest) -> PreparedTraining:
    """Read, check and build everything that a training needs.

    Raises:
        UserError: The data, weights or settings do not fit; nothing was written.
    """
    template = request.template.spec
    check_frozen(template.architecture, template.hyper_parameters.frozen)
    start = find_start(
        request.template,
        request.load_weights,
        request.resume_from,
        epochs=request.epochs,
        base_learning_rate=request.base_learning_rate,
    )
    goes_on = check_folder(
        request.output,
        request.resume_from,
        epochs=0 if start.weights is None else start.weights.epochs,
    )
    seed = start.seed if request.seed is None else request.seed
    task = task_of(template.problem)
    teacher = task.learn.find_teacher(request.template)
    rules = task.rules.rules_of(template)
    samples = task.samples.read(request.train, rules=rules)
    if teacher is None:  # a teacher can find faces without labels
        task.samples.check(samples, flag="--train-ann-files")
    val_samples: Sequence[Any] = ()
    if request.val.files:
        val_samples = task.samples.read(request.val, rules=rules)
        task.samples.check(val_samples, flag="--val-ann-files")
        _warn_of_common(samples, val_samples)
    machine = choose_machine(request.gpu_num, template_gpus=template.gpu_num)
    if machine.accelerator == "cpu":
        check_arithmetic(request.precision)
        keep_freed_memory()
    batch_size = request.batch_size
    if batch_size is None:
        batch_size = batch_size_of(
            start, template, photos=len(samples), processes=machine.processes
        )
    repeats = repeats_of(
        start, template, photos=len(samples), batch_size=batch_size * machine.processes
    )
    rate = request.base_learning_rate
    if rate is None:
        # A resumed checkpoint has its own rate.
        begins = start.made_of is None
        rate = template_rate(template, batch_size=batch_size * machine.processes, said=begins)

    lightning.seed_everything(seed, verbose=False)
    contract = contract_for(template)

    def some_images() -> NDArray[np.float32]:
        shuffled = random.Random(seed).sample(list(samples), len(samples))
        found = list(islice(_inputs(task, contract, shuffled), _IMAGES))
        if not found:
            raise DataError(f"none of the {len(samples)} photos can be read")
        return np.concatenate(found)

    network = _network(template, start, request.hang_hooks, some_images)
    data = TrainingData(
        task,
        task.learn.crops(template, samples, seed=seed, passes=start.epochs * repeats),
        val=val_samples,
        batch_size=batch_size,
        repeats=repeats,
        steps=template.hyper_parameters.basic.iterations_per_epoch,
        seed=seed,
        first_epoch=start.epoch,
        behind=start.behind,
        workers=request.workers,
    )
    data.preload(processes_here=machine.devices)
    steps = data.steps_per_epoch(processes=machine.processes)
    if data.steps is not None:
        data.crops.passes = data.passes_of(start.epochs * steps, processes=machine.processes)
    learner = task.learn.learner(template, samples, teacher=teacher)
    epochs_made_of = made_of(
        steps=steps,
        batch_size=batch_size * machine.processes,
        photos=[sample.path for sample in samples],
        labels=request.train.files,
        teacher="" if teacher is None else teacher.sha256,
        precision=request.precision,
        rows=getattr(learner, "rows", ()),
        seed=seed,
    )
    check_same(start, epochs_made_of, request.resume_from)
    module = TemplateModule(
        network,
        task=task,
        learner=learner,
        template=template,
        contract=contract,
        course=Course(
            base_learning_rate=rate,
            rate_is_asked_for=request.base_learning_rate is not None,
            epochs=start.epochs,
            steps_per_epoch=steps,
            first_epoch=start.epoch,
            fine_tunes=start.fine_tunes,
            seed=seed,
        ),
        files={sample.image_id: sample.path for sample in samples},
    )
    module.settled = _settled(start, template)
    return PreparedTraining(
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


def _warn_of_common(samples: Sequence[Any], val_samples: Sequence[Any]) -> None:
    """Warn of photos, and of people where a task has them, that are trained and validated on."""

    def files(some: Sequence[Any]) -> set[tuple[int, int]]:
        found = (sample.path.stat() for sample in some)
        return {(one.st_dev, one.st_ino) for one in found}

    def people(some: Sequence[Any]) -> set[str]:
        found = (getattr(sample, "person", None) for sample in some)
        return {person for person in found if person is not None}

    for what, known in (("photos", files), ("people", people)):
        of_val = known(val_samples)
        if both := len(of_val & known(samples)):
            _log.warning(
                "--val-ann-files: %d of its %d %s are trained on too: figures of others may be "
                "lower",
                both,
                len(of_val),
                what,
            )


def _settled(start: Start, template: Template) -> Mapping[str, Any]:
    """What was measured of a resumed training's weights, as long as they are the same."""
    then = None if start.made_of is None or start.weights is None else start.weights.measured_with
    if then is None or then.input != template.input:
        return {}
    return with_settled(template, then).inference


def _inputs(
    task: Task, contract: Contract, samples: Iterable[Any]
) -> Iterator[NDArray[np.float32]]:
    """The network's input for each sample whose photo can be read."""
    for sample in samples:
        with suppress(ImageError):  # the training names it, and leaves it out
            yield task.samples.network_input(contract, sample)


def check_arithmetic(precision: Arithmetic) -> None:
    """Refuse arithmetic that no processor has, and warn of what this one would emulate.

    Raises:
        UserError: It is for GPUs.
    """
    if precision == "16-mixed":
        raise UserError(
            "--precision 16-mixed: for GPUs alone; expected bf16-mixed or 32-true on a CPU"
        )
    able = torch.cpu.get_capabilities()
    of_bf16 = [able.get(name) for name in ("avx512_bf16", "amx_bf16")]
    if precision == "bf16-mixed" and of_bf16 == [False, False]:
        _log.warning(
            "--precision bf16-mixed: this processor has no such arithmetic, and is slower with it "
            "than with 32-true"
        )


def _network(
    template: Template,
    start: Start,
    hang_hooks: HangHooks | None,
    some_images: Callable[[], NDArray[np.float32]],
) -> Network:
    trained: Mapping[str, Tensor] = {}
    if start.weights is None:
        network = make_network(template.architecture)
    elif gives_a_body(start.weights, template.architecture):
        trained = body_of(start.weights, template.architecture)
        network = network_of_parts(trained, template.architecture)
    elif start.weights.anew:
        trained = start.weights.state_dict
        network = network_of_parts(trained, template.architecture)
    else:
        network = build_network(start.weights)
        # Fine-tuning leaves the statistics of norms as they are.
        if not start.fine_tunes and is_folded(network):
            unfold_norms(network, some_images())
        network.train()
        if hang_hooks is not None and start.weights.hooks is None:
            network = hang_hooks(network)
        trained = network.state_dict()
    freeze(network, template.hyper_parameters.frozen)
    kept = {name for name, one in network.named_parameters() if not one.requires_grad}
    if fixed := len(kept - trained.keys()):
        _log.warning(
            "%s: %d of its tensors never learn, and begin with random values; expected "
            "--load-weights with trained ones",
            template.name,
            fixed,
        )
    if template.hyper_parameters.gradient_checkpoints:
        if not isinstance(network.backbone, Stages):
            raise UserError(
                "hyper_parameters.gradient_checkpoints: the backbone "
                f"{template.architecture.backbone.type!r} has no stages to compute again"
            )
        network.backbone.gradient_checkpoints = True
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
