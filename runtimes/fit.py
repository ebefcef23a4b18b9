"""Does a contract describe the graph that it lies in?"""

from __future__ import annotations

from ..errors import ContractError
from ..model_templates.contract import Contract
from .session import Session, Shape

_DETECTOR_RANKS = {"boxes": 3, "scores": 2, "landmarks": 4}
_OPTIONAL = {"landmarks"}


def check_fit(contract: Contract, session: Session, *, source: str) -> None:
    """Compare a contract with the graph, and with what the runtime can do.

    Raises:
        ContractError: Names or shapes differ, or no detector of ours looks so.
    """
    problem = _usable(contract) or _differs(contract, session)
    if problem:
        raise ContractError(f"{source}: contract does not fit: {problem}")


def _usable(contract: Contract) -> str | None:
    spec = contract.input
    batch, channels, height, width = spec.shape
    if channels != 3 or height < 1 or width < 1 or (batch != -1 and batch < 1):
        return f"input shape {spec.shape}: expected (batch or -1, 3, height, width)"
    if spec.value_range != (0.0, 255.0):
        return f"input range {spec.value_range}: expected (0, 255)"
    ranks = {output.name: len(output.shape) for output in contract.outputs}
    expected = {n: r for n, r in _DETECTOR_RANKS.items() if n in ranks or n not in _OPTIONAL}
    if ranks != expected or len(contract.outputs) != len(ranks):
        return (
            f"outputs {_names(ranks)}: expected boxes (B, N, 4), scores (B, N) and, where the "
            "model has them, landmarks (B, N, 5, 2)"
        )
    shapes = {output.name: output.shape for output in contract.outputs}
    count = shapes["scores"][1]
    tails = {"boxes": (count, 4), "scores": (count,), "landmarks": (count, 5, 2)}
    for name, shape in shapes.items():
        if shape[1:] != tails[name] or shape[0] != batch:
            return f"output {name} {shape}: expected {(batch, *tails[name])}"
    return None


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
    # The graph may leave open what the contract knows, not the other way round.
    return len(said) == len(found) and all(b in (a, -1) for a, b in zip(said, found, strict=True))


def _names(names: dict[str, Shape] | dict[str, int]) -> str:
    return ", ".join(sorted(names)) or "none"
