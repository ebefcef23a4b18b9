"""A task: its name and its parts."""

from __future__ import annotations

import importlib
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from .parts import Draw, Learn, Measure, ModelPart, Parity, Peers, Preview, Rules, Samples


class Task:
    """A task: its name, and its parts, each imported when first used.

    Attributes:
        name: Name of the task in templates and contracts.
    """

    def __init__(self, name: str, package: str) -> None:
        self.name = name
        self._package = package

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Task, (self.name, self._package)  # modules can be neither copied nor pickled

    @cached_property
    def rules(self) -> Rules:
        """See `tasks.parts.Rules`."""
        return cast("Rules", self._part("rules"))

    @cached_property
    def model(self) -> ModelPart:
        """See `tasks.parts.ModelPart`."""
        return cast("ModelPart", self._part("model"))

    @cached_property
    def samples(self) -> Samples:
        """See `tasks.parts.Samples`."""
        return cast("Samples", self._part("samples"))

    @cached_property
    def learn(self) -> Learn:
        """See `tasks.parts.Learn`."""
        return cast("Learn", self._part("learn"))

    @cached_property
    def measure(self) -> Measure:
        """See `tasks.parts.Measure`."""
        return cast("Measure", self._part("measure"))

    @cached_property
    def parity(self) -> Parity:
        """See `tasks.parts.Parity`."""
        return cast("Parity", self._part("parity"))

    @cached_property
    def draw(self) -> Draw:
        """See `tasks.parts.Draw`."""
        return cast("Draw", self._part("draw"))

    @cached_property
    def peers(self) -> Peers | None:
        """See `tasks.parts.Peers`; None if the task has none."""
        return cast("Peers | None", self._optional("peers"))

    @cached_property
    def preview(self) -> Preview | None:
        """See `tasks.parts.Preview`; None if the task has none."""
        return cast("Preview | None", self._optional("preview"))

    def _optional(self, name: str) -> Any:
        return self._part(name) if find_spec(f"{self._package}.{name}") is not None else None

    def _part(self, name: str) -> Any:
        return importlib.import_module(f"{self._package}.{name}")
