"""What holds for every task: a suite that each task's tests inherit."""

from __future__ import annotations

import hashlib
import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import pocketface
from pocketface.benchmarks.cases import Case, Target
from pocketface.benchmarks.pipelines import open_pipeline
from pocketface.benchmarks.plan import Accuracy, plan_for
from pocketface.benchmarks.worker import CaseWorker
from pocketface.compressing.promise import Promise
from pocketface.data.images import read_image
from pocketface.errors import ContractError, DataError, UserError
from pocketface.evaluation.figures import decisive
from pocketface.exporting import ExportRequest, export_model
from pocketface.exporting.onnx import embed
from pocketface.exporting.verify import Reference, check, reference_for
from pocketface.model_templates.contract import Contract
from pocketface.model_templates.schema import Template
from pocketface.models.network import Network, make_network
from pocketface.models.weights import read_weights, write_weights
from pocketface.runtimes.torch import session_of
from pocketface.tasks import Task, task_of
from pocketface.tasks.describe import contract_for
from pocketface.tasks.measuring import Labels, Options
from pocketface.tasks.model import Model
from pocketface.tasks.parts import Sample
from pocketface.tasks.templates import parse_template

Pixels = NDArray[np.uint8]

LANDMARKS = np.array([[30, 20], [50, 20], [40, 28], [32, 36], [48, 36]], np.float32)
"""Of the one face in each photo of `write_photos`."""


def write_photos(folder: Path, count: int) -> list[str]:
    """Photos of 96 x 64 noise; returns their names."""
    generator = np.random.default_rng(0)
    names = [f"{index}.png" for index in range(count)]
    for name in names:
        image = generator.integers(0, 256, (64, 96, 3), dtype=np.uint8)
        assert cv2.imwrite(str(folder / name), image)
    return names


class EveryTask(ABC):
    """The suite. A task says its name, a tiny template, labelled photos, and the right answers."""

    NAME: str
    TEMPLATE: str
    OTHERS: ClassVar[dict[str, Any]]
    """What the rules of another network may say, by keys of `Rules.TRAINED`."""

    FLAGS: ClassVar[tuple[str, ...]] = ()
    """Of the flags of `eval` that not every task has, those of this one."""

    @classmethod
    @abstractmethod
    def labels(cls, folder: Path) -> Labels:
        """Write a few labelled photos, at least one of each kind that figures need."""

    @abstractmethod
    def right_answer(self, model: Model[Any], sample: Sample) -> Any:
        """What `predict` gives for a sample of a model without faults."""

    @abstractmethod
    def wrong_answer(self, model: Model[Any], sample: Sample) -> Any:
        """What it gives of one that is always wrong."""

    @abstractmethod
    def drawn(self, right: Any, sample: Sample) -> tuple[Any, ...]:
        """What `draw` takes beside the picture."""

    def answering(self, model: Model[Any], samples: Sequence[Sample], answer: Any) -> Model[Any]:
        """The model, but for what it says of these samples: what `answer` gives of each."""
        known = {digest(read_image(one.path)): answer(model, one) for one in samples}
        model.predict = lambda image, *_, **__: known[digest(image)]  # type: ignore[method-assign]
        return model

    # What the tests share ---------------------------------------------------------------------

    @pytest.fixture(scope="class")
    @classmethod
    def task(cls) -> Task:
        return task_of(cls.NAME)

    @pytest.fixture(scope="class")
    @classmethod
    def template(cls) -> Template:
        return parse_template(cls.TEMPLATE, source="test")

    @pytest.fixture(scope="class")
    @classmethod
    def contract(cls, template: Template) -> Contract:
        return contract_for(template)

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp("task")

    @pytest.fixture(scope="class")
    @classmethod
    def given(cls, folder: Path) -> Labels:
        return cls.labels(folder)

    @pytest.fixture(scope="class")
    @classmethod
    def samples(cls, task: Task, contract: Contract, given: Labels) -> Sequence[Sample]:
        return task.samples.read(given, rules=contract.rules)

    @pytest.fixture(scope="class")
    @classmethod
    def network(cls, template: Template) -> Network:
        return _random_network(template, seed=0)

    @pytest.fixture(scope="class")
    @classmethod
    def reference(cls, network: Network, contract: Contract) -> Reference:
        return reference_for(network, contract)

    @pytest.fixture(scope="class")
    @classmethod
    def exported(cls, network: Network, folder: Path) -> Path:
        """An ONNX file of the random network."""
        path = folder / "weights.safetensors"
        write_weights(path, template_text=cls.TEMPLATE, state_dict=network.state_dict(), epochs=0)
        report = export_model(
            ExportRequest(weights=read_weights(path), folder=folder, formats=["onnx"], verify=False)
        )
        (file,) = report.paths
        return file

    # The tests --------------------------------------------------------------------------------

    def test_contract_goes_round(self, task: Task, contract: Contract) -> None:
        assert Contract.from_json(contract.to_json(), source="test") == contract
        assert task.rules.check_contract(contract) is None
        assert [output.name for output in contract.outputs] == [
            name
            for name in task.rules.OUTPUTS
            if name in {output.name for output in contract.outputs}
        ]

    def test_contract_of_version_1_is_refused(self, contract: Contract) -> None:
        old = contract.to_json().replace('"contract_version":2', '"contract_version":1')
        with pytest.raises(ContractError, match="exported by an older pocketface: export it again"):
            Contract.from_json(old, source="model.onnx")

    def test_rules_of_another_task_are_refused(self, task: Task, contract: Contract) -> None:
        wrong = contract.model_copy(update={"rules": {**contract.rules, "of_another_task": 1}})
        assert "of_another_task" in str(task.rules.check_contract(wrong))

    def test_parity_with_itself(
        self, contract: Contract, network: Network, reference: Reference
    ) -> None:
        found = _compared(network, contract, reference)
        assert found.problem is None
        assert set(found.differences) <= set(found.tolerances)
        assert max(found.differences.values()) <= 1e-4

    def test_other_weights_are_told_apart(
        self, template: Template, contract: Contract, reference: Reference
    ) -> None:
        found = _compared(_random_network(template, seed=1), contract, reference)
        assert found.problem is not None

    def test_a_file_states_the_rules_of_its_network(
        self, task: Task, exported: Path, reference: Reference, tmp_path: Path
    ) -> None:
        """However well its numbers agree, as with its labels in another order."""
        assert set(self.OTHERS) <= set(task.rules.TRAINED)
        assert self.OTHERS
        contract = pocketface.load(exported).contract
        for key, value in self.OTHERS.items():
            file = Path(shutil.copy(exported, tmp_path / f"{key}.onnx"))
            rules = {**contract.rules, key: value}
            assert rules != contract.rules
            embed(file, contract.model_copy(update={"rules": rules}))
            with pytest.raises(ContractError, match=f"its {key} are .*; the trained network's are"):
                check(file, reference)

    def test_answers_are_enough_to_compare_with(
        self, task: Task, contract: Contract, network: Network, reference: Reference
    ) -> None:
        part = reference.for_file(contract)
        images = [picture.pixels for picture in part.pictures]
        model = _model(task, network, contract)
        compare = partial(task.parity.compare, contract, part.answers, answers_only=True)
        assert compare(model, images).problem is None

    def test_perfect_answers_score_1(
        self, task: Task, contract: Contract, network: Network, samples: Sequence[Sample]
    ) -> None:
        for answer, value in ((self.right_answer, 1.0), (self.wrong_answer, 0.0)):
            model = self.answering(_model(task, network, contract), samples, answer)
            figures = task.measure.measure(model, samples).figures
            assert figures[decisive(task.measure.FIGURES).key] == pytest.approx(value)

    def test_one_damaged_photo_ends_no_measuring(
        self, task: Task, network: Network, contract: Contract, tmp_path: Path
    ) -> None:
        samples = task.samples.read(self.labels(tmp_path), rules=contract.rules)
        model = self.answering(_model(task, network, contract), samples, self.right_answer)
        next(one for one in samples if task.samples.can_be_lost(one)).path.write_bytes(b"no photo")
        figures = task.measure.measure(model, samples).figures
        assert figures[decisive(task.measure.FIGURES).key] is not None
        for sample in samples:
            sample.path.write_bytes(b"no photo")
        with pytest.raises(DataError, match=r"cannot be (used|read)"):
            task.measure.measure(model, samples)

    def test_flags_of_other_tasks_are_refused(
        self, task: Task, network: Network, contract: Contract, given: Labels, tmp_path: Path
    ) -> None:
        model = _model(task, network, contract)
        cases: dict[str, tuple[Labels, Options]] = {
            "--wider-dir": (Labels(official=tmp_path), Options()),
            "--nms-iou": (given, Options(nms_iou=0.5)),
            "--max-detections": (given, Options(max_detections=5)),
            "--mistakes-to": (given, Options(mistakes=tmp_path / "mistakes.png")),
            "--score-threshold": (given, Options(score_threshold=0.5)),
        }
        assert set(self.FLAGS) < set(cases)
        for flag in set(cases) - set(self.FLAGS):
            with pytest.raises(UserError, match=flag):
                task.measure.evaluate(model, *cases[flag])

    def test_figures_are_told_apart(self, task: Task) -> None:
        figures = task.measure.FIGURES
        for some in (
            [figure.key for figure in figures],
            [figure.column for figure in figures if figure.column],
            [figure.budget for figure in figures if figure.budget],
        ):
            assert len(set(some)) == len(some)
        main = decisive(figures)
        assert main.may_drop == 1  # `--max-drop` says how many of its points may be lost
        assert main.compared
        assert main.followed
        assert all(figure.compared for figure in figures if figure.may_drop is not None)

    def test_one_step_lowers_the_loss(
        self, task: Task, template: Template, samples: Sequence[Sample]
    ) -> None:
        crops = task.learn.crops(template, samples, seed=0, passes=1)
        crops.preload(budget=2**30)
        images, targets = task.learn.collate(crops[[(0, index) for index in range(len(crops))]])
        learner = task.learn.learner(template, samples, teacher=None)
        network = _random_network(template, seed=0).train()

        def loss() -> torch.Tensor:
            losses = learner.losses(network, images, targets, seed=1)
            return torch.stack(list(losses.values())).sum()

        optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
        before = loss()
        before.backward()
        optimizer.step()
        assert loss() < before

    def test_samples_become_inputs(
        self, task: Task, contract: Contract, samples: Sequence[Sample]
    ) -> None:
        usable = [one for one in samples if task.samples.stratum(contract, one) is not None]
        assert usable
        for sample in usable:
            batch = task.samples.network_input(contract, sample)
            assert batch.shape == (1, 3, contract.input.height, contract.input.width)
            assert batch.dtype == np.float32
            assert 0 <= batch.min() <= batch.max() <= 255

    def test_promise_is_broken_by_wrong_answers_alone(
        self, task: Task, contract: Contract, network: Network, samples: Sequence[Sample]
    ) -> None:
        promise = Promise(contract, samples, max_drop=0.5)
        right, wrong = (
            promise.measure(
                self.answering(_model(task, network, contract), samples, answer)
            ).figures
            for answer in (self.right_answer, self.wrong_answer)
        )
        assert promise.loss(right, right).share == 0
        assert promise.loss(right, wrong).share > 1
        assert set(promise.limits) <= set(right)

    def test_benchmark(self, task: Task, exported: Path, given: Labels, contract: Contract) -> None:
        case = Case(Target("tiny", exported), "onnxruntime", "cpu", "cpu", threads=1, batch=1)
        plan = plan_for([case], data=given.files, roots=given.roots)
        worker = CaseWorker(case, plan.items)
        opened = worker.open()
        assert (opened.task, opened.name) == (self.NAME, contract.name)
        assert worker.turn(0.01).seconds.shape[1] == 4
        figures = Accuracy(self.NAME, given)(open_pipeline(case))
        columns = {figure.key for figure in task.measure.FIGURES if figure.column}
        assert decisive(task.measure.FIGURES).key in figures
        assert set(figures) <= columns
        assert self.NAME in plan.protocol

    def test_draw(
        self, task: Task, contract: Contract, network: Network, samples: Sequence[Sample]
    ) -> None:
        model = _model(task, network, contract)
        sample = next(one for one in samples if task.samples.can_be_lost(one))
        image = read_image(sample.path)
        before = image.copy()
        drawn = task.draw.draw(image, *self.drawn(self.right_answer(model, sample), sample))
        assert drawn.shape == image.shape
        assert (drawn != image).any()
        assert (image == before).all()


def _random_network(template: Template, *, seed: int) -> Network:
    torch.manual_seed(seed)
    network = make_network(template.architecture)
    # Far from the small numbers of initialisation, as trained networks are.
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2)
    for name, parameter in network.head.named_parameters():
        if name.endswith("weight") and parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.2)
        elif name.endswith("bias"):
            torch.nn.init.zeros_(parameter)
    return network.eval()


def _model(task: Task, network: Network, contract: Contract) -> Model[Any]:
    spec = contract.input
    shapes = {output.name: output.shape for output in contract.outputs}
    session = session_of(network, shapes, size=(spec.height, spec.width))
    return task.model.make(contract=contract, session=session, path=Path("tiny"))


def _compared(network: Network, contract: Contract, reference: Reference) -> Any:
    task = task_of(contract.task)
    part = reference.for_file(contract)
    images = [picture.pixels for picture in part.pictures]
    return task.parity.compare(contract, part.outputs, _model(task, network, contract), images)


def digest(image: Pixels) -> str:
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()
