"""What each part of a task has to have. A part is a module of the task's folder."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

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
"""One item of a task's `samples.read`, such as an annotated photo or a labelled face. Each has
`path` and `image_id`."""


@dataclass(frozen=True)
class Suppression:
    """Non-maximum suppression inside a graph.

    Attributes:
        boxes: Name of the output (B, N, 4): x1, y1, x2, y2 in network-input pixels.
        scores: Name of the output (B, N).
        labels: The name of the only class.
        iou: IoU above which only the better of two boxes is kept, 0 to 1.
        score: Lowest score of a box that is kept, 0 to 1.
        most: Most boxes that are kept, best first.
        rules: The contract's `rules` of a file with the suppression inside.
    """

    boxes: str
    scores: str
    labels: tuple[str, ...]
    iou: float
    score: float
    most: int
    rules: Mapping[str, Any]


@dataclass(frozen=True)
class Choice:
    """The choice of one label, for classifiers in a platform's own sense.

    Attributes:
        output: Name of the output (B, labels) with the probabilities.
        labels: Names of the labels, in the order of the output.
    """

    output: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Grey:
    """A grey picture of a mask, as platforms for pictures want it, beside the probabilities.

    Attributes:
        output: Name of the output (B, classes, H, W) with the probabilities.
        picture: Name of the picture (B, 1, H, W), of whole numbers 0 to 255: the probability of the
            only class times 255, or the index of the most probable of several.
        meaning: What it says, in the contract.
        unit: Its unit, in the contract.
    """

    output: str
    picture: str
    meaning: str
    unit: str


class Rules(Protocol):
    """The task's part of templates and contracts. Needs neither numpy nor torch."""

    @property
    def OUTPUTS(self) -> Mapping[str, tuple[str, str]]:
        """Meaning and unit of each output that a network of the task may have, by name."""

    @property
    def SETTLED(self) -> tuple[str, ...]:
        """Keys of `inference` that are measured, and hold for the weights they belong to alone.

        A contract's `rules` have them too. A training leaves out what its template has there, and
        `Measured.settled` fills them; in a compressed file they are those measured of the file.
        """

    @property
    def TRAINED(self) -> tuple[str, ...]:
        """Keys of a contract's `rules` that belong to the trained network, as names of its outputs.

        The others may come from another template of the same network.
        """

    def check_template(self, template: Template, *, source: str) -> None:
        """Refuse a template whose parts do not fit the task.

        Raises:
            TemplateError: The message names `source` and the key.
        """

    def rules_of(self, template: Template) -> dict[str, Any]:
        """The contract's `rules` for a checked template."""

    def decides(self, template: Template) -> Hashable:
        """The values of `inference` that affect the task's figures."""

    def check_contract(self, contract: Contract) -> str | None:
        """Why a contract does not describe a model of the task; None if it does."""

    def of_network(self, contract: Contract) -> dict[str, Any]:
        """The `rules` of a file's network, whose graph may have NMS inside."""

    def is_final(self, contract: Contract) -> bool:
        """Whether the graph itself drops answers, so that figures that need all are impossible."""

    def suppression(self, contract: Contract) -> Suppression | None:
        """The suppression that a graph may have inside; None for a task without boxes."""

    def choice(self, contract: Contract) -> Choice | None:
        """The choice among labels that the outputs make; None if they make none."""

    def grey(self, contract: Contract) -> Grey | None:
        """The grey picture that the outputs make; None if they are no mask."""


class ModelPart(Protocol):
    """A loaded model. Needs only numpy and OpenCV."""

    def make(self, *, contract: Contract, session: Session, path: Path) -> Model[Any]:
        """Make a model of the task from an opened file."""


class Samples(Protocol):
    """Reads samples from annotations, and makes network inputs from samples."""

    @property
    def ANNOTATIONS(self) -> str:
        """Description of its annotation files for people, such as ".json (COCO JSON)"."""

    def reads(self, file: Path) -> bool:
        """Whether `read` takes a file, judged by its name or first line."""

    def read(self, labels: Labels, *, rules: Mapping[str, Any]) -> Sequence[Sample]:
        """Read the samples of annotation files and the folders of their photos.

        Raises:
            DataError: See the readers in `data/`.
            UserError: `labels.classes` has a class that `rules` have not.
        """

    def check(self, samples: Sequence[Sample], *, flag: str) -> None:
        """Refuse samples that are useless for training and measuring.

        Raises:
            DataError: The samples are useless; the message begins with the flag that named them.
        """

    def counted(self, samples: Sequence[Sample]) -> Sequence[Sample]:
        """The samples that count in figures, without those left out as unreadable."""

    def can_be_lost(self, sample: Sample) -> bool:
        """Whether a model can give a wrong answer to the sample."""

    def stratum(self, contract: Contract, sample: Sample) -> Hashable | None:
        """The sample's kind, for choices balanced over kinds; None if it is not usable."""

    def network_input(self, contract: Contract, sample: Sample) -> NDArray[np.float32]:
        """The network's input for a sample: float32 (1, 3, H, W), 0-255, BGR planes.

        Raises:
            ImageError: The photo cannot be read.
        """

    def items(self, labels: Labels) -> Sequence[Item]:
        """Photos to time a model on; which class their labels are of is ignored.

        Raises:
            DataError: See the readers in `data/`.
        """


class Learn(Protocol):
    """The task's part of training. Imports torch."""

    @property
    def loader(self) -> Loader:
        """The sampler: `learning.EpochSampler`, or one of the task's own."""

    def crops(
        self, template: Template, samples: Sequence[Sample], *, seed: int, passes: int
    ) -> Crops:
        """The training samples; `passes` is the number of passes in the whole training."""

    def collate(self, items: Any) -> tuple[Any, Any]:
        """Make a batch: uint8 images (B, 3, H, W) BGR, and their targets.

        The targets have `image_ids`, int64 (B,), and a method `to` that moves them to a device.
        """

    def find_teacher(self, student: TemplateFile) -> Teacher | None:
        """The teacher that a template's recipe names; None if it names none."""

    def learner(
        self, template: Template, samples: Sequence[Sample], *, teacher: Teacher | None
    ) -> Learner:
        """The object that computes losses of a batch, for a training on these samples."""


class Measure(Protocol):
    """Measures the accuracy of models."""

    @property
    def FIGURES(self) -> tuple[Figure, ...]:
        """All figures of the task, in the order of tables."""

    def measure(
        self, model: Any, samples: Sequence[Sample], *, on_progress: Progress | None = None
    ) -> Measured:
        """Measure a model of the task, or a peer with its interface, on annotated samples.

        Raises:
            DataError: None of the samples can be used.
        """

    def promised(self, figures: dict[str, float | None]) -> dict[str, float | None]:
        """The figures by which a compressed file is judged."""

    def protocol(self, contract: Contract) -> str:
        """How figures of a file with this contract are measured; "" if there is nothing to say."""

    def evaluate(
        self,
        model: Any,
        labels: Labels,
        options: Options,
        *,
        on_progress: Progress | None = None,
    ) -> Evaluation:
        """Measure all figures of a model on labelled photos, with their protocol.

        Raises:
            UserError: An option belongs to another task, or the labels do not fit.
        """

    def labels_fit(self, labels: Labels, contract: Contract | None) -> Labels:
        """The labels that fit a model with this contract, or a peer if it is None."""

    def measured_on(self, labels: Labels, items: Sequence[Item], *, timed: int) -> str:
        """What a benchmark measured accuracy on, and how many photos it timed on, in words.

        Args:
            labels: The labels of the task.
            items: Their photos, or those of the official protocol.
            timed: How many of them it timed on.
        """

    @property
    def official_photos(self) -> Callable[[Path], Sequence[Item]] | None:
        """Lists the photos in `Labels.official`; None for a task without an official protocol."""


class Parity(Protocol):
    """Compares two models."""

    @property
    def DIGITS(self) -> Mapping[str, int]:
        """Number of decimals in stored answers, by name; 6 for others."""

    def pictures(self, contract: Contract, folder: Path | None = None) -> list[Picture]:
        """Pictures to run files on; see `data.pictures.check_photos` for `folder`."""

    def is_for(self, contract: Contract, picture: Picture) -> bool:
        """Whether a file with this contract must be run on a picture."""

    def answers_of(self, contract: Contract, outputs: Outputs) -> Outputs:
        """The answers that a user sees, from one image's raw outputs; enough for a comparison."""

    def compare(
        self,
        contract: Contract,
        expected: Sequence[Outputs],
        model: Model[Any],
        images: Sequence[NDArray[np.uint8]],
        *,
        answers_only: bool = False,
    ) -> Comparison:
        """Run a file on images for which the trained network's answers are known.

        Args:
            contract: Contract of the trained network.
            expected: Its raw outputs for each image, or with `answers_only` the results of
                `answers_of`.
            model: The model to compare.
            images: uint8 (H, W, 3), BGR.
            answers_only: See `expected`.
        """

    def error(self, expected: Outputs, found: Outputs) -> float:
        """The difference of two raw outputs for one image as a number, 0 if they are equal."""


@dataclass(frozen=True)
class Told:
    """The printed text about one face.

    Attributes:
        kind: The kind that faces are counted by, such as their label; None if there is only one.
        text: The whole answer; empty if finding the face is all.
    """

    kind: str | None = None
    text: str = ""


class Draw(Protocol):
    """Draws answers into a picture, and puts them into words."""

    @property
    def draw(self) -> Callable[..., NDArray[np.uint8]]:
        """Function from an image, uint8 (H, W, 3) BGR, and a model's answers to a drawn copy."""

    def told(self, answer: Any) -> Told:
        """Put the answer of a model of aligned faces for one face into words."""


class Preview(Protocol):
    """Shows in the logs of a training what its network finds; optional."""

    def preview(self, model: Any, samples: Sequence[Sample]) -> NDArray[np.uint8]:
        """Draw labels and answers of a few samples, unreadable ones left out.

        Args:
            model: A model of the task.
            samples: Samples of the task, about eight.

        Returns:
            One picture of all, uint8 (H, W, 3), BGR.
        """


class Peers(Protocol):
    """Third-party models of the task, to measure beside ours."""

    @property
    def PEERS(self) -> Mapping[str, Peer]:
        """The peers by name."""

    @property
    def WAYS(self) -> tuple[str, ...]:
        """Ways to run peers other than our runtimes."""

    def ways_of(self, name: str) -> tuple[str, ...]:
        """The ways in `WAYS` that open a peer."""

    def open_peer(
        self, name: str, path: Path, *, runtime: str, threads: int | None, device: str
    ) -> Any:
        """Open a peer.

        Returns:
            An object with a model's `steps`, `predict` and `session`.
        """
