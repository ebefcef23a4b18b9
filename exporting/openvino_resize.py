"""Enlarge maps by matrices in OpenVINO, whose own bilinear kernel takes six times as long."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_MODES = ("linear", "linear_onnx")
_HALF_PIXELS = ("half_pixel", "pytorch_half_pixel")

MOST_INPUTS = 128
"""Longest side of a map that is enlarged by matrices: they cost as many products for each pixel."""


def use_matrices(model: Any) -> None:
    """Replace each bilinear enlargement of fixed size by two products with constant matrices.

    They give the same numbers: `resizing_matrix` times the map, times its transpose.

    Args:
        model: An `openvino.Model`, changed in place.
    """
    import openvino.opset8 as ops  # type: ignore[import-untyped]
    from openvino.utils import replace_node  # type: ignore[import-untyped]

    matrices: dict[tuple[int, int], Any] = {}
    for op in model.get_ordered_ops():
        if not _is_bilinear(op):
            continue
        before, after = op.input(0).get_partial_shape(), op.output(0).get_partial_shape()
        sides = [(before[axis].get_length(), after[axis].get_length()) for axis in (2, 3)]
        rows, columns = (
            matrices.setdefault(side, ops.constant(resizing_matrix(*side))) for side in sides
        )
        tall = ops.matmul(rows, op.input_value(0), False, False)
        whole = ops.matmul(tall, columns, False, True)
        whole.set_friendly_name(op.get_friendly_name())
        whole.output(0).get_tensor().set_names(op.output(0).get_tensor().get_names())
        replace_node(op, whole)
    model.validate_nodes_and_infer_types()


def _is_bilinear(op: Any) -> bool:
    """Whether a node enlarges maps (B, C, H, W) of known sides, counted from pixels' centres."""
    if op.get_type_name() != "Interpolate":
        return False
    how = op.get_attributes()
    known = how["mode"] in _MODES and how["coordinate_transformation_mode"] in _HALF_PIXELS
    if not known or any(how["pads_begin"]) or any(how["pads_end"]):
        return False
    before, after = op.input(0).get_partial_shape(), op.output(0).get_partial_shape()
    if before.rank.is_dynamic or len(before) != 4 or before[1] != after[1]:
        return False
    sides = [one[axis] for one in (before, after) for axis in (2, 3)]
    if any(side.is_dynamic for side in sides):
        return False
    height, width, tall, broad = (side.get_length() for side in sides)
    return all(1 < a <= min(b, MOST_INPUTS) for a, b in ((height, tall), (width, broad)))


def resizing_matrix(before: int, after: int) -> NDArray[np.float32]:
    """The matrix (after, before) that enlarges a line of pixels linearly, edges repeated."""
    places = ((np.arange(after) + 0.5) * before / after - 0.5).clip(0, before - 1)
    distances = np.abs(places[:, None] - np.arange(before))
    return np.asarray((1 - distances).clip(0), np.float32)
