"""A session, the common form of opened graphs: one array in, named arrays out."""

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
"""Sizes of an array; -1 if the graph leaves a size free."""


@dataclass(frozen=True, eq=False)
class Session:
    """An opened model file.

    Attributes:
        runtime: Key of `RUNTIMES`, or "coreml-reference" for Core ML files off a Mac.
        device: The runtime's name of the device.
        contract_json: The embedded contract, unparsed; None if there is none.
        input_shapes: Shapes of the graph's inputs by name; ours have one.
        output_shapes: Shapes of the graph's outputs by name.
        run: Function from float32 (B, 3, H, W), 0-255, BGR, whatever the graph's own layout is, to
            the graph's outputs. It is thread-safe and checks nothing, as `Model` does that.
        at_once: Number of threads that must call `run` to keep the device busy.
        weights: The content of a weights file, which has a template instead of a contract.
        place: For PyTorch on a device other than the CPU, a function that copies an array there
            and returns a function that runs the network on it and waits, without copying back.
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
