"""Limits on the accuracy that a compressed file may lose, and how much it loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import UserError
from ..evaluation.figures import Figure, Figures, decisive
from ..model_templates.contract import Contract
from ..tasks import task_of
from ..tasks.measuring import Measured
from ..tasks.model import Model
from ..tasks.parts import Sample


@dataclass(frozen=True)
class Loss:
    """The loss of the figure that uses up most of its limit.

    Attributes:
        figure: Key of the figure.
        points: Percentage points lost.
        allowed: Percentage points that may be lost.
    """

    figure: str
    points: float
    allowed: float

    @property
    def share(self) -> float:
        """Points lost as a share of those allowed; above 1 the promise is broken."""
        return self.points / self.allowed


@dataclass(frozen=True, eq=False)
class Promise:
    """The promise for all compressed files of one network.

    Attributes:
        contract: The contract of its float files.
        validation: The samples to measure on.
        max_drop: Percentage points of the metric that may be lost, 0 to 100.
    """

    contract: Contract
    validation: Sequence[Sample]
    max_drop: float

    @property
    def known(self) -> Sequence[Figure]:
        """All figures of the task."""
        return task_of(self.contract.task).measure.FIGURES

    @property
    def metric(self) -> str:
        """Key of the main figure, to which `max_drop` applies."""
        return decisive(self.known).key

    @property
    def limits(self) -> dict[str, float]:
        """Percentage points that may be lost, by figure; the main figure first."""
        promised = [figure for figure in self.known if figure.may_drop is not None]
        promised.sort(key=lambda figure: not figure.decisive)
        return {figure.key: (figure.may_drop or 0.0) * self.max_drop for figure in promised}

    def measure(self, model: Model[Any], samples: Sequence[Sample] | None = None) -> Measured:
        """Measure a file on all samples or on some, by the figures of the report.

        Raises:
            DataError: No sample can be read.
        """
        samples = self.validation if samples is None else samples
        measure = task_of(self.contract.task).measure
        found = measure.measure(model, samples)
        figures = measure.promised(found.figures)
        kept = {figure.key: figures[figure.key] for figure in self.known if figure.compared}
        return replace(found, figures=kept)

    def check(self, figures: Figures) -> None:
        """Refuse photos on which the main figure cannot be measured.

        Args:
            figures: Those of the float network.

        Raises:
            UserError: They are such.
        """
        figure = decisive(self.known)
        if figures[figure.key] is None:
            raise UserError(
                f"--val-ann-files: {figure.title} cannot be measured on these "
                f"{len(self.validation)} photos: expected {figure.needs}"
            )

    def protocol(self, contract: Contract) -> str:
        """How the figures of a file with this contract are measured, in words."""
        how = task_of(contract.task).measure.protocol(contract)
        text = f"{len(self.validation)} validation photos of `compress`"
        return f"{text}, {how}" if how else text

    def loss(self, before: Figures, after: Figures) -> Loss:
        """The file's worst loss, among the figures that both measurements have."""
        losses = [
            Loss(key, 100 * (value - left), allowed)
            for key, allowed in self.limits.items()
            if (value := before[key]) is not None and (left := after[key]) is not None
        ]
        none = Loss(self.metric, 0.0, self.max_drop)
        return max(losses, key=lambda one: one.share, default=none)
