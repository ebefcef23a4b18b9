"""int8 for OpenVINO, by NNCF."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..exporting.openvino import write_openvino
from ..interrupts import signal_stack_kept
from ..model_templates.contract import Contract
from ..models.nncf_hooks import import_nncf
from ..quiet import quiet
from ..runtimes.openvino import session_of
from ..runtimes.session import Session
from .graph import behind

_CONVOLUTIONS = ("Convolution", "GroupConvolution")
_RANKED_ON = 100
"""Number of photos, those that lose most, on which groups of operations are ranked."""

_NOTHING_LOST = 100.0
"""The float model's score; not 0, as NNCF divides by it even for absolute differences."""

_CONSTANTS = ("Constant", "Parameter", "Result")

PACKAGE = "nncf"
"""The package that quantizes."""

MEASURES = True
"""Whether it measures ranges on photos."""


def layers(path: Path) -> list[str]:
    """Names of the layers that can be kept float, in order."""
    return [
        op.get_friendly_name()
        for op in _read(path).get_ordered_ops()
        if op.get_type_name() in _CONVOLUTIONS
    ]


@signal_stack_kept()
def quantize(
    path: Path,
    target: Path,
    contract: Contract,
    batches: Sequence[NDArray[np.float32]],
    keep_float: Collection[str] = (),
) -> None:
    """Write an int8 file, in which weights that are not quantized are FP16.

    Args:
        path: The float `.xml`.
        target: The `.xml` to write; its `.bin` goes beside it.
        contract: The new file's contract.
        batches: Inputs to measure ranges on, float32 (1, 3, H, W) each.
        keep_float: Names from `layers` that stay float.

    Raises:
        MissingPackageError: NNCF is not installed.
    """
    with quiet():  # NNCF logs every step
        nncf = import_nncf()
        model = _read(path)
        quantized = nncf.quantize(model, **_settings(nncf, model, batches, keep_float))
    write_openvino(quantized, contract, target, precision="int8")


@signal_stack_kept()
def restore(
    path: Path,
    target: Path,
    contract: Contract,
    batches: Sequence[NDArray[np.float32]],
    *,
    loss: Callable[[Session, Sequence[int]], float],
    count: int,
    max_loss: float,
) -> list[str]:
    """Write an int8 file with some layers float, found by NNCF's accuracy control.

    It ranks groups of operations by the accuracy that restoring each alone saves, then restores
    one after the other (NNCF, `quantize_with_accuracy_control`).

    Args, Returns, Raises:
        See `Restoring` and `quantize`.
    """
    with quiet():
        nncf = import_nncf()
        model = _read(path)

        def score(compiled: Any, indices: Iterable[int]) -> tuple[float, None]:
            lost = loss(session_of(compiled, model, device="CPU"), list(indices))
            return _NOTHING_LOST - lost, None

        quantized = nncf.quantize_with_accuracy_control(
            model,
            validation_dataset=nncf.Dataset(range(count)),
            validation_fn=score,
            max_drop=max_loss,
            drop_type=nncf.DropType.ABSOLUTE,
            advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
                ranking_subset_size=_RANKED_ON
            ),
            **_settings(nncf, model, batches, ()),
        )
        kept = [
            op.get_friendly_name()
            for op in quantized.get_ordered_ops()
            if op.get_type_name() in _CONVOLUTIONS and not _has_int8_weights(op)
        ]
    write_openvino(quantized, contract, target, precision="int8")
    return kept


def _settings(
    nncf: Any,
    model: Any,
    batches: Sequence[NDArray[np.float32]],
    keep_float: Collection[str],
) -> dict[str, Any]:
    return {
        "calibration_dataset": nncf.Dataset(list(batches)),
        "subset_size": len(batches),
        # Activations with both signs get a zero point.
        "preset": nncf.QuantizationPreset.MIXED,
        # The fast one moves biases too far: answers of glasses-n change by 0.019, not 0.002.
        "fast_bias_correction": False,
        "ignored_scope": nncf.IgnoredScope(names=[*_decode(model), *keep_float]),
    }


def _has_int8_weights(convolution: Any) -> bool:
    """Whether a convolution's weights are int8; a float layer's may be FP16."""
    node = convolution.input_value(1).get_node()
    while node.get_type_name() not in ("Constant", "FakeQuantize"):
        node = node.input_value(0).get_node()
    bits: int = node.get_element_type().bitwidth
    return node.get_type_name() == "FakeQuantize" or bits == 8


def _read(path: Path) -> Any:
    import openvino  # type: ignore[import-untyped]

    return openvino.Core().read_model(path)


def _decode(model: Any) -> list[str]:
    """Nodes behind the last convolutions: boxes and scores must not share a range with others."""
    ops = {op.get_friendly_name(): op for op in model.get_ordered_ops()}
    readers = {
        name: [
            read.get_node().get_friendly_name()
            for output in op.outputs()
            for read in output.get_target_inputs()
        ]
        for name, op in ops.items()
    }
    found = behind({name: op.get_type_name() in _CONVOLUTIONS for name, op in ops.items()}, readers)
    return [name for name in found if ops[name].get_type_name() not in _CONSTANTS]
