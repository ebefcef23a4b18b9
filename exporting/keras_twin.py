"""A network's twin in Keras: the same layers with the same weights, NHWC.

The graph from `torch.export` is translated operation by operation (ATen). Values that do not
depend on the image become constants; convolutions and normalisations become layers with the names
of the checkpoint's weights; other operations become `keras.ops`. An operation that is not in
`keras_operations` is refused by name.
"""

from __future__ import annotations

import operator
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..model_templates.contract import Contract
from .keras_operations import BATCH, OPERATIONS, Layers, Value

if TYPE_CHECKING:
    from ..models.network import Network


def keras_twin(network: Network, contract: Contract) -> Any:
    """Build the Keras twin of a network.

    Args:
        network: The network, on the CPU.
        contract: Contract of the new file, with an NHWC input, and outputs in the network's order.

    Returns:
        A functional `keras.Model` from float32 (B, H, W, 3), 0-255 BGR, to a dict of the
        contract's outputs.

    Raises:
        UserError: An operation of the network has no Keras version.
    """
    import keras  # type: ignore[import-untyped]

    program = _program(network, contract)
    state: dict[str, Any] = {**program.state_dict, **program.constants}
    layers = Layers({id(tensor): name for name, tensor in state.items()})
    image = keras.Input(contract.input.shape[1:], name=contract.input.name)
    values: dict[str, Any] = {
        spec.arg.name: Value(image, last=True) if spec.target is None else state[spec.target]
        for spec in program.graph_signature.input_specs
    }
    for node in program.graph.nodes:
        if node.op == "call_function":
            values[node.name] = _call(node, values, layers)
    answers = [values[spec.arg.name] for spec in program.graph_signature.output_specs]
    outputs = {
        output.name: keras.layers.Identity(name=output.name)(value.first())
        for output, value in zip(contract.outputs, answers, strict=True)
    }
    return keras.Model(image, outputs, name=contract.name)


def _program(network: Network, contract: Contract) -> Any:
    import torch

    images = torch.zeros(2, 3, contract.input.height, contract.input.width)
    any_batch = ({0: torch.export.Dim.DYNAMIC},)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about its own internals
        program = torch.export.export(network.eval(), (images,), dynamic_shapes=any_batch)
        # Functional, and with fewer different operations.
        return program.run_decompositions({})


def _call(node: Any, values: Mapping[str, Any], layers: Layers) -> Any:
    """Run one operation: a `Value` if it depends on the image, else torch's result."""
    arguments = [_resolve(argument, values) for argument in node.args]
    if not _depends_on_image(arguments):
        return node.target(*arguments, **node.kwargs)
    if node.target is operator.getitem:
        values_of, index = arguments
        return values_of[index]
    if node.target is operator.mul:
        return BATCH
    name = str(node.target).removeprefix("aten.").split(".")[0]
    if name not in OPERATIONS:
        raise UserError(f"format tensorflow: the network's operation {node.target} has no twin")
    return OPERATIONS[name](layers, *arguments, **node.kwargs)


def _resolve(argument: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(argument, list | tuple):
        return [_resolve(one, values) for one in argument]
    # Of all arguments only nodes of the graph have `graph` and a name.
    return values[argument.name] if hasattr(argument, "graph") else argument


def _depends_on_image(argument: Any) -> bool:
    if isinstance(argument, list | tuple):
        return any(_depends_on_image(one) for one in argument)
    return isinstance(argument, Value) or argument is BATCH
