"""NMS inside an ONNX graph, for use without our code."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..model_templates.contract import Contract
from ..tasks import task_of

_ALL = "all_"
"""Prefix to the names of the network's own outputs."""


def append_nms(model: Any, contract: Contract) -> tuple[Any, Contract]:
    """A copy of a detector's graph that gives only the faces, best first, not all boxes.

    They are the faces that `Model.predict` finds at the contract's thresholds.

    Args:
        model: An `onnx.ModelProto` with the contract's inputs and outputs, any batch size.
        contract: The graph's contract, of a task that has a `Suppression`.

    Returns:
        The graph for one image with M faces: boxes (1, M, 4), scores (1, M), and other outputs
        (1, M, ...); and its contract.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    suppression = task_of(contract.task).rules.suppression(contract)
    assert suppression is not None
    boxes, scores = suppression.boxes, suppression.scores
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    names = [output.name for output in contract.outputs]
    for node in graph.node:
        for places in (node.input, node.output):
            for index, name in enumerate(places):
                if name in names:
                    places[index] = _ALL + name
    # Our NMS keeps scores equal to the threshold, NonMaxSuppression only those above it.
    below = np.nextafter(np.float32(suppression.score), np.float32(-1))
    constants: dict[str, NDArray[Any]] = {
        "nms_limit": np.array([suppression.most], np.int64),
        "nms_iou": np.array([suppression.iou], np.float32),
        "nms_score": np.array([below], np.float32),
        "nms_class_axis": np.array([1], np.int64),
        "nms_index_column": np.array(2, np.int64),
        "nms_batch_axis": np.array([0], np.int64),
    }
    graph.initializer.extend(numpy_helper.from_array(a, name) for name, a in constants.items())
    node = helper.make_node
    graph.node.extend(
        [
            node("Unsqueeze", [_ALL + scores, "nms_class_axis"], ["nms_scores"]),
            node(
                "NonMaxSuppression",
                [_ALL + boxes, "nms_scores", "nms_limit", "nms_iou", "nms_score"],
                ["nms_selected"],
            ),
            # (M, 3): image, class, box. The specification does not define the order of the rows.
            node("Gather", ["nms_selected", "nms_index_column"], ["nms_indices"], axis=1),
            node("Gather", [_ALL + scores, "nms_indices"], ["nms_kept_scores"], axis=1),
            node("Shape", ["nms_indices"], ["nms_count"]),
            node("TopK", ["nms_kept_scores", "nms_count"], [scores, "nms_order"], axis=1),
            node("Squeeze", ["nms_order", "nms_batch_axis"], ["nms_best"]),
            node("Gather", ["nms_indices", "nms_best"], ["nms_sorted"], axis=0),
        ]
    )
    graph.node.extend(
        node("Gather", [_ALL + name, "nms_sorted"], [name], axis=1)
        for name in names
        if name != scores
    )
    del graph.value_info[:]  # its shapes were for any batch size
    graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    del graph.output[:]
    for output in contract.outputs:
        shape: list[str | int | None] = [1, "faces", *output.shape[2:]]
        graph.output.append(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, shape))
    return copy, contract.model_copy(
        update={
            "input": contract.input.model_copy(update={"shape": (1, *contract.input.shape[1:])}),
            "outputs": tuple(
                output.model_copy(update={"shape": (1, -1, *output.shape[2:])})
                for output in contract.outputs
            ),
            "rules": suppression.rules,
        }
    )
