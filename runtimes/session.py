"""What every runtime opens: a graph that takes one array and gives named arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ..models.weights import Weights

Outputs = dict[str, NDArray[np.float32]]
"""Output arrays by name."""

Shape = tuple[int, ...]
"""-1 where the graph leaves a size free."""


@dataclass(frozen=True, eq=False)
class Session:
    """An opened model file.

    Attributes:
        runtime: Key of `RUNTIMES`, or "coreml-reference" where Core ML is not.
        device: As the runtime names it.
        contract_json: The contract embedded in the file, unread; None where there is none.
        input_shapes: Of the graph's inputs, by name; ours have one.
        output_shapes: Of the graph's outputs, by name.
        run: float32 (B, 3, H, W), 0-255, BGR, whatever the graph's own layout is, to the outputs
            as the graph gives them. Safe to call from several threads. It checks nothing:
            `Model` does.
        at_once: Calls of `run` from as many threads keep the device busy.
        weights: Of a weights file, which has no contract: its template says what it is.
        place: Of PyTorch on another device than the CPU: brings an array there, and gives what
            runs the network on it and waits for it to end, its answers left where they are.
    """

    runtime: str
    device: str
    contract_json: str | None
    input_shapes: dict[str, Shape]
    output_shapes: dict[str, Shape]
    run: Callable[[NDArray[np.float32]], Outputs]
    at_once: int = 1
    weights: Weights | None = None
    place: Callable[[NDArray[np.float32]], Callable[[], None]] | None = None
