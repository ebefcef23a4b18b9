"""A session, the common form of opened graphs: one array in, named arrays out."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelFileError, PocketfaceError
from ..models.file_checks import reason

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


def checked(session: Session, path: Path, *, again: Callable[[], Session] | None = None) -> Session:
    """The session with a `run` that holds the graph to its own description.

    A file that opens may still fail when it runs, or answer with other arrays than it says; `run`
    raises `ModelFileError` then. Other people's files may answer as they like: those of a free
    input size often state the shapes of one size.

    Args:
        session: The session.
        path: Its file, for error messages.
        again: Function that opens the file once more. It is called in a process that was forked
            from this one: a runtime's threads do not live there, and would be waited for for ever.
    """
    # Those of parents are kept, as closing them would wait for their threads.
    by_process = {os.getpid(): session}

    def own() -> Session:
        process = os.getpid()
        if process not in by_process:
            by_process[process] = session if again is None else again()
        return by_process[process]

    ours = session.contract_json is not None or session.weights is not None
    stated = session.output_shapes if ours else {}

    def run(batch: NDArray[np.float32]) -> Outputs:
        try:
            answers = own().run(batch)
        except PocketfaceError:
            raise
        except Exception as error:  # runtimes raise anything on damaged or forged files
            raise ModelFileError(f"{path}: cannot be run: {reason(error)}") from error
        for name, shape in stated.items():
            found = answers.get(name)
            if found is None or found.dtype.kind not in "fiub" or not _fits(found.shape, shape):
                said = "missing" if found is None else f"{found.dtype} {found.shape}"
                raise ModelFileError(f"{path}: its answer {name!r} is {said}: expected {shape}")
        return answers

    return replace(session, run=run)


def _fits(found: Shape, said: Shape) -> bool:
    return len(found) == len(said) and all(b in (a, -1) for a, b in zip(found, said, strict=True))
