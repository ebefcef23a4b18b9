"""A file opened for measuring, with its separate steps from a photo to an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import UserError
from ..model_templates.contract import Contract
from ..runtimes.session import Session
from ..tasks import task_of
from ..tasks.load import load
from ..tasks.model import Steps
from .cases import Case


@dataclass(frozen=True, eq=False)
class Pipeline:
    """One opened file.

    Attributes:
        task: Task from the contract or of the peer.
        precision: Precision of the weights.
        name: Name of the network.
        contract: The file's contract; None for peers.
        size: Height and width of the network's input, in pixels.
        resize: "letterbox", "stretch" or "align".
        session: The runtime's session; None if another library does all the work.
        model: The model that the task's `measure` takes.
        steps: The steps that are timed.
    """

    task: str
    precision: str | None
    name: str
    contract: Contract | None
    size: tuple[int, int]
    resize: str
    session: Session | None
    model: Any
    steps: Steps

    @property
    def is_final(self) -> bool:
        """Whether the graph itself drops answers (NMS inside)."""
        return self.contract is not None and task_of(self.task).rules.is_final(self.contract)


def open_pipeline(case: Case) -> Pipeline:
    """Open a case's file.

    Raises:
        UserError: This machine cannot run the case, or the file does not take the batch size.
        ModelFileError: The file cannot be opened.
        MissingPackageError: Its runtime is not installed.
    """
    target = case.target
    if target.peer_of is not None:
        return _of_others(case, target.peer_of)
    model = load(target.path, runtime=case.runtime, threads=case.threads, device=case.provider)
    if model.session.runtime == "coreml-reference":
        raise UserError("Core ML runs on a Mac; the reference interpreter is not for speed")
    contract, spec = model.contract, model.contract.input
    if spec.batch not in (-1, case.batch):
        raise UserError(f"the file takes {spec.batch} at once, not {case.batch}")
    return Pipeline(
        task=contract.task,
        precision=contract.precision,
        name=contract.name,
        contract=contract,
        size=(spec.height, spec.width),
        resize=spec.resize,
        session=model.session,
        model=model,
        steps=model.steps(),
    )


def _of_others(case: Case, task: str) -> Pipeline:
    if case.batch != 1:
        raise UserError("other people's models are measured with one photo at once")
    target, peers = case.target, task_of(task).peers
    assert peers is not None
    peer = peers.open_peer(
        target.name,
        target.path,
        runtime=case.runtime,
        threads=case.threads,
        device=case.provider,
    )
    return Pipeline(
        task=task,
        precision=target.precision,
        name=target.name,
        contract=None,
        size=peer.size,
        resize=peer.resize,
        session=peer.session,
        model=peer,
        steps=peer.steps(),
    )
