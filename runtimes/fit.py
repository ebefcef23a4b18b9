"""Does a contract describe the graph that it lies in?"""

from __future__ import annotations

from ..errors import ContractError
from ..model_templates.contract import Contract
from .session import Session, Shape

_VISION = ("coordinates", "confidence")
_EXPECTED = (
    "expected boxes (B, N, 4), scores (B, N) and, where the model has them, landmarks "
    "(B, N, 5, 2); or, with NMS in the graph, coordinates (N, 4) and confidence (N, 1)"
)


def check_fit(contract: Contract, session: Session, *, source: str) -> None:
    """Compare a contract with the graph, and with what the runtime can do.

    Raises:
        ContractError: Names or shapes differ, or nothing of ours looks so.
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
    shapes = {output.name: output.shape for output in contract.outputs}
    if len(shapes) != len(contract.outputs):
        return "two outputs of one name"
    if contract.task != "face-detection":
        if shapes != {"probabilities": (batch, len(contract.labels))}:
            return f"outputs {shapes}: expected probabilities ({batch}, {len(contract.labels)})"
        if spec.resize != "align" or spec.points is None or len(spec.points) != 5:
            return f"input resize {spec.resize}: expected align, with five points"
        return None
    count = shapes.get("scores", shapes.get("confidence", ()))[-1:]
    if shapes.keys() == set(_VISION):
        count = shapes["confidence"][:1]
        wanted = {"coordinates": (*count, 4), "confidence": (*count, 1)}
        if contract.nms != "graph" or batch != 1:
            return f"outputs {_names(shapes)} are of one image with NMS in the graph"
    else:
        wanted = {"boxes": (batch, *count, 4), "scores": (batch, *count)}
        if "landmarks" in shapes:
            wanted["landmarks"] = (batch, *count, 5, 2)
    if shapes.keys() != wanted.keys() or any(
        len(shapes[name]) != len(shape) for name, shape in wanted.items()
    ):
        return f"outputs {_names(shapes)}: {_EXPECTED}"
    for name, shape in shapes.items():
        if shape != wanted[name]:
            return f"output {name} {shape}: expected {wanted[name]}"
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


def _names(names: dict[str, Shape]) -> str:
    return ", ".join(sorted(names)) or "none"
