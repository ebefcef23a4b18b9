"""TorchScript: `.pt`, with the contract as an extra file of the archive."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import ModelFileError
from ..files import path_in_utf8
from ..model_templates.contract import Contract
from ..models.file_checks import reason
from .free_size import size_to_open
from .session import Session, Shape
from .sizes import check_values
from .torch import device_of, prepare_torch, session_of
from .torchscript_file import checked_archive

_BATCH = 2

_FREE = 256 << 20
"""See `sizes.FREE`: here each step of a second look at 1,000 boxes counts, 230 million in all."""


def open_session(
    path: Path, *, threads: int | None, device: str, input_size: tuple[int, int] | None = None
) -> Session:
    """Open a TorchScript archive.

    Args:
        path: The `.pt` file.
        threads: See `torch.open_session`.
        device: See `torch.open_session`.
        input_size: Height and width in pixels, where the file leaves them free; None for its own.

    Raises:
        MissingPackageError: PyTorch is not installed.
        ModelFileError: The file is no TorchScript archive, is damaged, or does more than compute.
        ContractError: It has no contract, which alone says how large its input is.
        UserError: The device does not exist, or the file does not allow the input size.
    """
    prepare_torch(threads)
    import torch

    text = checked_archive(path)
    contract = Contract.from_json(text, source=str(path))
    found = size_to_open(text, input_size, source=str(path))
    size = (contract.input.height, contract.input.width) if found is None else found[1]
    target = device_of(device)
    try:
        with path_in_utf8(path) as plain, warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # TorchScript, which is asked for
            program = torch.jit.load(plain, map_location=target)  # type: ignore[no-untyped-call]
        graph = program.graph.copy()
        graph.eraseInput(0)  # the module, which has no state: fails if it is used
        _check_lists(graph, path)
        shapes = _output_shapes(graph, size, path)
    except RuntimeError as error:
        raise ModelFileError(
            f"{path}: PyTorch cannot load it, is it whole? {reason(error)}"
        ) from error
    run = torch._C._create_function_from_graph("answers", graph)
    names = [output.name for output in contract.outputs]
    if len(names) != len(shapes):
        raise ModelFileError(f"{path}: gives {len(shapes)} outputs; its contract says {len(names)}")
    outputs = dict(zip(names, shapes, strict=True))
    return replace(
        session_of(run, outputs, size=size, device=str(target)),
        runtime="torchscript",
        contract_json=text,
        output_shapes=outputs,
    )


def _check_lists(graph: Any, path: Path) -> None:
    """Check that lists of numbers are as long as they are written: two may be joined, and so on."""
    for node in graph.nodes():
        if node.kind() in ("prim::ListConstruct", "prim::Constant", "aten::size"):
            continue
        if any(str(output.type()) in ("List[int]", "List[float]") for output in node.outputs()):
            raise ModelFileError(f"{path}: computes lists by {node.kind()}")


def _output_shapes(graph: Any, size: tuple[int, int], path: Path) -> list[Shape]:
    """Shapes of a graph's outputs, -1 for the batch, found by arithmetic on shapes alone.

    Raises:
        ModelFileError: Its arrays are out of proportion to its input.
        RuntimeError: Its steps do not fit each other.
    """
    import torch
    from torch import Tensor
    from torch.jit._fuser import optimized_execution
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_map

    image = (1, 3, *size)
    values = 0
    problems: list[Exception] = []

    def without_data(one: Any) -> Any:
        # Single numbers stay: they may be the sizes of what follows.
        return one.to("meta") if isinstance(one, Tensor) and one.ndim else one

    def counted(function: Any, arguments: Any, settings: dict[str, Any]) -> Any:
        nonlocal values
        number = function is torch.ops.aten.scalar_tensor.default or (
            arguments and isinstance(arguments[0], Tensor) and arguments[0].ndim == 0
        )
        if not number and any(one.name == "device" for one in function._schema.arguments):
            settings = {**settings, "device": torch.device("meta")}
        found = function(*tree_map(without_data, arguments), **tree_map(without_data, settings))
        arrays = found if isinstance(found, list | tuple) else [found]
        sizes = [one.numel() for one in arrays if isinstance(one, Tensor)]
        looks = function._schema.returns and function._schema.returns[0].alias_info is not None
        if looks and max(sizes, default=0) <= arguments[0].numel():
            return found  # another look at values that are counted already
        values += sum(sizes) // _BATCH
        # At each step, as the next may make a list of what this one made.
        check_values(values, image, where=str(path), free=_FREE)
        return found

    class Counted(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, function: Any, types: Any, arguments: Any = (), named: Any = None
        ) -> Any:
            try:
                return counted(function, arguments, named or {})
            except Exception as error:
                problems.append(error)
                raise

    run = torch._C._create_function_from_graph("shapes", graph.copy())
    images = torch.empty(_BATCH, *image[1:], device="meta")
    # Optimisations compute constants, of any size.
    with torch.no_grad(), optimized_execution(False), Counted():  # type: ignore[no-untyped-call]
        try:
            answers = run(images)
        except RuntimeError as error:
            # PyTorch keeps nothing of an exception of Python's.
            raise (problems or [error])[0] from None
    if not isinstance(answers, tuple) or not all(isinstance(one, Tensor) for one in answers):
        raise ModelFileError(f"{path}: expected a tuple of arrays for its answer")
    return [
        tuple(-1 if n == 0 and one == _BATCH else one for n, one in enumerate(answer.shape))
        for answer in answers
    ]
