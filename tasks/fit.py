"""Check that a contract can be used and describes its graph."""

from __future__ import annotations

from ..errors import ContractError, UserError
from ..model_templates.contract import Contract
from ..runtimes.session import Session, Shape
from . import task_of


def check_fit(contract: Contract, session: Session, *, source: str) -> None:
    """Check that a contract can be used, and compare it with the graph.

    Raises:
        ContractError: The contract cannot be used, its task is unknown, or names or shapes differ.
    """
    problem = _usable(contract) or _differs(contract, session)
    if problem:
        raise ContractError(f"{source}: contract does not fit: {problem}")


def _usable(contract: Contract) -> str | None:
    spec = contract.input
    batch = spec.batch
    if spec.channels != 3 or spec.height < 1 or spec.width < 1 or (batch != -1 and batch < 1):
        sizes = "3, height, width" if spec.layout == "NCHW" else "height, width, 3"
        return f"input shape {spec.shape}: expected (batch or -1, {sizes})"
    if spec.value_range != (0.0, 255.0):
        return f"input range {spec.value_range}: expected (0, 255)"
    if len({output.name for output in contract.outputs}) != len(contract.outputs):
        return "two outputs of one name"
    try:
        rules = task_of(contract.task).rules
    except UserError as error:
        return str(error)
    return rules.check_contract(contract)


def _differs(contract: Contract, session: Session) -> str | None:
    inputs = {contract.input.name: tuple(contract.input.shape)}
    outputs = {output.name: output.shape for output in contract.outputs}
    for kind, said, found in (
        ("input", inputs, session.input_shapes),
        ("output", outputs, session.output_shapes),
    ):
        if said.keys() != found.keys():
            return f"{kind}s {_names(said)}, but the graph has {_names(found)}"
        for name, shape in said.items():
            if not _same(shape, found[name]):
                return f"{kind} {name} {shape}, but the graph has {found[name]}"
    return None


def _same(said: Shape, found: Shape) -> bool:
    # The graph may leave a size free that the contract states, but not the other way round.
    return len(said) == len(found) and all(b in (a, -1) for a, b in zip(said, found, strict=True))


def _names(names: dict[str, Shape]) -> str:
    return ", ".join(sorted(names)) or "none"
