"""What every stage may ask a task for. Each part is a module of the task's folder."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..data.pictures import Picture
    from ..evaluation.figures import Figure
    from ..model_templates.contract import Contract
    from ..model_templates.schema import Template, TemplateFile
    from ..runtimes.session import Outputs, Session
    from .comparison import Comparison
    from .learning import Crops, Learner, Loader, Teacher
    from .measuring import Evaluation, Labels, Measured, Options, Progress
    from .model import Model
    from .timing import Item, Peer

Sample = Any
"""An annotated photo, a labelled face, …: what a task's `samples.read` gives. Each has `path` and
`image_id`."""


@dataclass(frozen=True)
class Suppression:
    """Non-maximum suppression, as a graph can do it itself.

    Attributes:
        boxes: Name of the output (B, N, 4): x1, y1, x2, y2 in network-input pixels.
        scores: Name of the output (B, N).
        labels: Of the one class.
        iou: Of two boxes that overlap more the better one is kept.
        score: Boxes of at least this score are kept.
        most: The best so many.
    """

    boxes: str
    scores: str
    labels: tuple[str, ...]
    iou: float
    score: float
    most: int


@dataclass(frozen=True)
class Choice:
    """One of several labels, as a platform's own classifiers give it.

    Attributes:
        output: Name of the output (B, labels): a probability for each.
        labels: In the order of the output.
    """

    output: str
    labels: tuple[str, ...]


class Rules(Protocol):
    """What a template and a contract of the task may say. Needs neither numpy nor torch."""

    @property
    def OUTPUTS(self) -> Mapping[str, tuple[str, str]]:
        """Meaning and unit of each output that a network of the task may have, by name."""

    def check_template(self, template: Template, *, source: str) -> None:
        """Refuse a template whose parts do not fit the task.

        Raises:
            TemplateError: The message names `source` and the key.
        """

    def rules_of(self, template: Template) -> dict[str, Any]:
        """The contract's `rules` for a template that was checked."""

    def decides(self, template: Template) -> Hashable:
        """What of `inference` changes the task's figures: others may be changed without loss."""

    def check_contract(self, contract: Contract) -> str | None:
        """Why a contract describes no model of the task; None where it does."""

    def of_network(self, contract: Contract) -> dict[str, Any]:
        """The `rules` of the network behind a file, whose graph may have more inside."""

    def is_final(self, contract: Contract) -> bool:
        """Whether the graph drops answers by itself: figures that need all are not to be had."""

    def suppression(self, contract: Contract) -> Suppression | None:
        """What a graph may do to its own boxes; None where it has none."""

    def with_suppression(self, contract: Contract) -> dict[str, Any]:
        """The `rules` of a file whose graph does that."""

    def choice(self, contract: Contract) -> Choice | None:
        """The labels that the outputs choose among; None where they do not."""


class ModelPart(Protocol):
    """A loaded model. Needs numpy and OpenCV alone."""

    def make(self, *, contract: Contract, session: Session, path: Path) -> Model[Any]:
        """An opened file as a model of the task."""


class Samples(Protocol):
    """Annotations to samples, and samples to a network's input."""

    @property
    def ANNOTATIONS(self) -> str:
        """What such files are, for people: ".json (COCO JSON)"."""

    def reads(self, file: Path) -> bool:
        """Whether `read` is for such a file, by its name or its first line."""

    def read(
        self, files: Sequence[Path], roots: Sequence[Path], *, rules: Mapping[str, Any]
    ) -> Sequence[Sample]:
        """Annotation files and the folders of their photos to samples.

        Raises:
            DataError: See the readers in `data/`.
        """

    def check(self, samples: Sequence[Sample], *, flag: str) -> None:
        """Refuse samples that nothing can be learnt from and no figure can come of.

        Raises:
            DataError: The message begins with the flag that named them.
        """

    def counted(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        """Those that figures are of: not those that are left out as unreadable."""

    def can_be_lost(self, sample: Sample) -> bool:
        """Whether a model can answer it wrongly."""

    def stratum(self, contract: Contract, sample: Sample) -> Hashable | None:
        """Kind of sample, of which a fair choice has as many as of any other; None: not usable."""

    def network_input(self, contract: Contract, sample: Sample) -> NDArray[np.float32]:
        """float32 (1, 3, H, W), 0-255, BGR planes.

        Raises:
            ImageError: The photo cannot be read.
        """

    def items(self, files: Sequence[Path], roots: Sequence[Path]) -> Sequence[Item]:
        """Photos to time a model on, whatever its labels are."""


class Learn(Protocol):
    """What a training needs. Imports torch."""

    @property
    def loader(self) -> Loader:
        """Which samples come in which step: `learning.EpochSampler`, or one of the task's own."""

    def crops(
        self, template: Template, samples: Sequence[Sample], *, seed: int, passes: int
    ) -> Crops:
        """The training samples; `passes` over them in the whole training."""

    def collate(self, items: Any) -> tuple[Any, Any]:
        """One batch: uint8 images (B, 3, H, W) BGR, and what is known of them.

        The latter has `image_ids` int64 (B,) and can be brought to a device by `.to`.
        """

    def find_teacher(self, student: TemplateFile) -> Teacher | None:
        """The teacher that a template's recipe names."""

    def learner(self, template: Template, *, teacher: Teacher | None) -> Learner:
        """What makes losses of a batch."""


class Measure(Protocol):
    """How good a model is."""

    @property
    def FIGURES(self) -> tuple[Figure, ...]:
        """All figures of the task, in the order of tables."""

    def measure(
        self, model: Any, samples: Sequence[Sample], *, on_progress: Progress | None = None
    ) -> Measured:
        """Measure a model of the task, or what answers as one, on annotated samples.

        Raises:
            DataError: None of the samples can be used.
        """

    def promised(self, figures: dict[str, float | None]) -> dict[str, float | None]:
        """The figures by which a compressed file is judged."""

    def protocol(self, contract: Contract) -> str:
        """How the figures of a file with this contract come about; "" where nothing is to say."""

    def evaluate(
        self,
        model: Any,
        labels: Labels,
        options: Options,
        *,
        on_progress: Progress | None = None,
    ) -> Evaluation:
        """All figures of a model on labelled photos, with what they depend on.

        Raises:
            UserError: An option is of another task, or the labels do not fit.
        """

    def labels_fit(self, labels: Labels, contract: Contract | None) -> Labels:
        """Those of the labels that a model with this contract (None: a peer) can be judged by."""

    def told(self, labels: Labels, items: Sequence[Item]) -> str:
        """What a benchmark's figures were measured on, and which photos it was timed on."""

    @property
    def HAS_OFFICIAL(self) -> bool:
        """Whether there is an official protocol, which `Labels.official` is the folder of."""

    def official_photos(self, folder: Path) -> Sequence[Item]:
        """The photos of that folder."""


class Parity(Protocol):
    """Whether two models are the same."""

    @property
    def DIGITS(self) -> Mapping[str, int]:
        """Decimals with which answers are remembered, by name; 6 where nothing is said."""

    def pictures(self, contract: Contract, folder: Path | None = None) -> list[Picture]:
        """What files are run on; `folder` as `data.pictures.check_photos` takes it."""

    def is_for(self, contract: Contract, picture: Picture) -> bool:
        """Whether a file with this contract is to be run on a picture."""

    def answers_of(self, contract: Contract, outputs: Outputs) -> Outputs:
        """What a user would see of one image's raw outputs; enough to compare a file with."""

    def compare(
        self,
        contract: Contract,
        expected: Sequence[Outputs],
        model: Model[Any],
        images: Sequence[NDArray[np.uint8]],
        *,
        answers_only: bool = False,
    ) -> Comparison:
        """Run a file on images of which the trained network's answers are known.

        Args:
            contract: Of the trained network.
            expected: Its raw outputs for each image; with `answers_only` no more than `answers_of`
                gives.
            model: The file.
            images: uint8 (H, W, 3), BGR.
            answers_only: See `expected`.
        """

    def error(self, expected: Outputs, found: Outputs) -> float:
        """How far raw outputs for one image are apart, as one number: 0 where they are equal."""


@dataclass(frozen=True)
class Told:
    """What is printed of one face.

    Attributes:
        kind: What faces are counted by, such as their label; None where they are of one kind.
        text: The whole answer; empty where the face itself is all.
    """

    kind: str | None = None
    text: str = ""


class Draw(Protocol):
    """Answers drawn into a picture, and told in words."""

    @property
    def draw(self) -> Callable[..., NDArray[np.uint8]]:
        """Image uint8 (H, W, 3) BGR, then what the model answered; a new picture comes back."""

    def told(self, answer: Any) -> Told:
        """The answer of a model of aligned faces for one face."""


class Peers(Protocol):
    """Other people's models of the task, to be measured beside ours."""

    @property
    def PEERS(self) -> Mapping[str, Peer]:
        """By name."""

    @property
    def WAYS(self) -> tuple[str, ...]:
        """Ways to run them that are no runtimes of ours."""

    def ways_of(self, name: str) -> tuple[str, ...]:
        """Those of `WAYS` that open a peer."""

    def open_peer(
        self, name: str, path: Path, *, runtime: str, threads: int | None, device: str
    ) -> Any:
        """Open one.

        Returns:
            What answers as a model of the task does: `steps`, `predict`, `session`.
        """


class Task:
    """A task: its name, and its parts, each imported when it is asked for.

    Attributes:
        name: As templates and contracts have it.
    """

    def __init__(self, name: str, package: str) -> None:
        self.name = name
        self._package = package

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Task, (self.name, self._package)  # modules can be neither copied nor sent

    @cached_property
    def rules(self) -> Rules:
        """See `Rules`."""
        return cast("Rules", self._part("rules"))

    @cached_property
    def model(self) -> ModelPart:
        """See `ModelPart`."""
        return cast("ModelPart", self._part("model"))

    @cached_property
    def samples(self) -> Samples:
        """See `Samples`."""
        return cast("Samples", self._part("samples"))

    @cached_property
    def learn(self) -> Learn:
        """See `Learn`."""
        return cast("Learn", self._part("learn"))

    @cached_property
    def measure(self) -> Measure:
        """See `Measure`."""
        return cast("Measure", self._part("measure"))

    @cached_property
    def parity(self) -> Parity:
        """See `Parity`."""
        return cast("Parity", self._part("parity"))

    @cached_property
    def draw(self) -> Draw:
        """See `Draw`."""
        return cast("Draw", self._part("draw"))

    @cached_property
    def peers(self) -> Peers | None:
        """See `Peers`; None where the task has none."""
        if find_spec(f"{self._package}.peers") is None:
            return None
        return cast("Peers", self._part("peers"))

    def _part(self, name: str) -> Any:
        return importlib.import_module(f"{self._package}.{name}")
