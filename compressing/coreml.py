"""Weights of 8, 6 and 4 bits for Core ML, by coremltools; the arithmetic stays float.

In an ML Program the arithmetic is FP16, the only type of the Neural Engine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingPackageError
from ..exporting.coreml_spec import write_coreml
from ..model_templates.contract import Contract
from ..quiet import quiet
from ..runtimes.coreml import import_coremltools, read_spec
from ..runtimes.seal import model_files

PACKAGE = "coremltools"
"""The package that quantizes."""

MEASURES = False
"""Whether it measures ranges on photos: weights alone are quantized."""

SMALLEST = 512
"""Fewest weights of an ML Program's layer for which a table or scales pay off."""

_BITS = {"int8": 8, "palette6": 6, "palette4": 4}
_LAYERS = ("convolution", "innerProduct")
_OPERATIONS = ("conv", "linear")


def layers(path: Path) -> list[str]:
    """Names of the layers that can be kept float, in order."""
    network = _network(read_spec(path))
    if network.WhichOneof("Type") == "mlProgram":
        return list(_weights_of_operations(network))
    return [layer.name for layer in _layers(network) if layer.WhichOneof("layer") in _LAYERS]


def quantize(
    path: Path,
    target: Path,
    contract: Contract,
    batches: Sequence[NDArray[np.float32]],  # noqa: ARG001
    keep_float: Collection[str] = (),
) -> None:
    """Write a file with compressed weights.

    Args:
        path: The float file.
        target: The file to write, of the same kind.
        contract: The new file's contract; its precision decides how: "int8" is linear, by channel.
        batches: Unused, as weights alone need no ranges.
        keep_float: Names from `layers` that stay float.

    Raises:
        MissingPackageError: coremltools or scikit-learn is not installed.
    """
    spec = read_spec(path)
    network = _network(spec)
    with tempfile.TemporaryDirectory() as scratch, quiet():  # it prints every layer
        if network.WhichOneof("Type") == "mlProgram":
            weights = model_files(path)[0].parent / "weights"
            small = _program(network, weights, contract.precision, keep_float)
            small.save(str(Path(scratch, "small.mlpackage")))
            network.mlProgram.CopyFrom(small.get_spec().mlProgram)
            folder = model_files(Path(scratch, "small.mlpackage"))[0].parent / "weights"
            write_coreml(spec, contract, target, folder)
        else:
            _quantize_layers(network, contract.precision, keep_float)
            write_coreml(spec, contract, target, None)


def _network(spec: Any) -> Any:
    """The model itself, or the first stage of a pipeline."""
    return spec.pipeline.models[0] if spec.WhichOneof("Type") == "pipeline" else spec


def _layers(network: Any) -> Any:
    return getattr(network, network.WhichOneof("Type")).layers


def _weights_of_operations(network: Any) -> dict[str, str]:
    """Names of the constants that are weights, by the name of their operation."""
    main = network.mlProgram.functions["main"]
    return {
        operation.outputs[0].name: operation.inputs["weight"].arguments[0].name
        for operation in main.block_specializations[main.opset].operations
        if operation.type in _OPERATIONS
    }


def _program(network: Any, weights: Path, precision: str, keep_float: Collection[str]) -> Any:
    coremltools = import_coremltools()
    import coremltools.optimize.coreml as optimize  # type: ignore[import-untyped]

    settings: Any
    if precision == "int8":
        settings = optimize.OpLinearQuantizerConfig(
            mode="linear_symmetric", weight_threshold=SMALLEST
        )
        compress = optimize.linear_quantize_weights
    else:
        _import_kmeans()  # coremltools makes palettes with it
        settings = optimize.OpPalettizerConfig(
            mode="kmeans", nbits=_BITS[precision], weight_threshold=SMALLEST
        )
        compress = optimize.palettize_weights
    weights_of = _weights_of_operations(network)
    # Chosen by name: other large constants, such as a detector's cell positions, must stay exact.
    wanted = {constant: settings for name, constant in weights_of.items() if name not in keep_float}
    config = optimize.OptimizationConfig(op_name_configs=wanted)
    model = coremltools.models.MLModel(network, weights_dir=str(weights), skip_model_load=True)
    return compress(model, config)


def _quantize_layers(network: Any, precision: str, keep_float: Collection[str]) -> None:
    coremltools = import_coremltools()
    from coremltools.models.neural_network import (  # type: ignore[import-untyped]
        quantization_utils,
    )

    class Selector(quantization_utils.QuantizedLayerSelector):  # type: ignore[misc]
        def do_quantize(self, layer: Any, weight_param: str | None = None, **_: Any) -> bool:
            wanted = layer.WhichOneof("layer") in _LAYERS and layer.name not in keep_float
            return wanted and weight_param != "bias"

    settings: dict[str, Any] = {"quantization_mode": "linear"}
    if precision != "int8":
        # The k-means mode of coremltools writes tables of arrays, which protobuf refuses.
        settings = {"quantization_mode": "custom_lut", "lut_function": _palette}
    model = coremltools.models.MLModel(network, skip_model_load=True)
    small = quantization_utils.quantize_weights(
        model, _BITS[precision], selector=Selector(), **settings
    )
    network.CopyFrom(small.get_spec())


def _palette(
    bits: int, weights: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A table of 2^bits values, and each weight's index into it."""
    values = np.asarray(weights, np.float32).reshape(-1, 1)
    clusters = min(2**bits, len(np.unique(values)))
    found = _import_kmeans()(clusters, n_init=1, random_state=0).fit(values)
    table = np.zeros(2**bits, np.float32)
    table[:clusters] = found.cluster_centers_[:, 0]
    return table, found.labels_.astype(np.uint8)


def _import_kmeans() -> Any:
    try:
        from sklearn.cluster import KMeans  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingPackageError("sklearn") from error
    return KMeans
