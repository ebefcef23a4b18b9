"""Other people's detectors, to be measured beside ours by the same protocol; none is shipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import MissingPackageError, ModelFileError
from ..results import Detections

Predictor = Callable[[NDArray[np.uint8]], Detections]

_STRIDES = (8, 16, 32)
_ANCHORS = 2  # of each cell


@dataclass(frozen=True)
class Peer:
    """A detector: its file in the folder of peers, its licence, and what makes it run."""

    file: str
    licence: str
    load: Callable[[Path], Predictor]


def scrfd(
    path: Path,
    *,
    long_side: int = 640,
    score_threshold: float = 0.02,
    nms_iou: float = 0.45,
    threads: int = 1,
) -> Predictor:
    """SCRFD (Guo et al., "Sample and Computation Redistribution…", ICLR 2022) by ONNX Runtime.

    The photo is scaled so that its long side is `long_side`, placed top left, and the square
    filled with black. For each stride the network gives scores (N, 1), distances from the cell's
    corner to the four sides (N, 4) and five points (N, 10), both in strides, two for each cell.

    Args:
        path: An `.onnx` file with SCRFD's nine outputs.
        long_side: Side of the square input in pixels, a multiple of 32.
        score_threshold: Lowest score kept, 0 to 1.
        nms_iou: A box that overlaps a better one by more than this is dropped.
        threads: ONNX Runtime's intra-op threads.

    Returns:
        A function from a (H, W, 3) BGR uint8 photo to `Detections` in its pixels.

    Raises:
        ModelFileError: The file is missing, not ONNX, or has not nine outputs.
        MissingPackageError: onnxruntime is not installed.
    """
    try:
        import onnxruntime as ort  # type: ignore[import-untyped]
    except ImportError as error:
        raise MissingPackageError("onnxruntime", extra="onnx") from error
    if not path.is_file():
        raise ModelFileError(f"{path}: no such file")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no base class but this
        raise ModelFileError(f"{path}: not an ONNX model that runs here: {error}") from error
    if len(session.get_outputs()) != 9:
        raise ModelFileError(f"{path}: {len(session.get_outputs())} outputs; SCRFD has 9")
    name = session.get_inputs()[0].name
    corners = [_cell_corners(long_side // stride) * stride for stride in _STRIDES]

    def predict(image: NDArray[np.uint8]) -> Detections:
        height, width = image.shape[:2]
        scale = long_side / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        square = np.zeros((long_side, long_side, 3), np.uint8)
        square[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        blob = cv2.dnn.blobFromImage(square, 1 / 128, mean=(127.5,) * 3, swapRB=True)
        outputs = session.run(None, {name: blob})
        scores = np.concatenate([level.ravel() for level in outputs[:3]])
        boxes = np.concatenate(
            [
                np.hstack([corner - step * side[:, :2], corner + step * side[:, 2:]])
                for corner, step, side in zip(corners, _STRIDES, outputs[3:6], strict=True)
            ]
        )
        points = np.concatenate(
            [
                corner[:, None] + step * point.reshape(-1, 5, 2)
                for corner, step, point in zip(corners, _STRIDES, outputs[6:], strict=True)
            ]
        )
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] >= score_threshold]
        scores, boxes, points = scores[order], boxes[order], points[order]
        sized = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]]).tolist()
        kept = cv2.dnn.NMSBoxes(sized, scores.tolist(), score_threshold, nms_iou)
        keep = np.asarray(kept, dtype=np.int64).ravel()
        ratio = np.array([width / size[0], height / size[1]], np.float32)
        return Detections(
            boxes=(boxes[keep] * np.tile(ratio, 2)).astype(np.float32),
            scores=scores[keep].astype(np.float32),
            landmarks=(points[keep] * ratio).astype(np.float32),
        )

    return predict


def _cell_corners(side: int) -> NDArray[np.float32]:
    # (side * side * anchors, 2): x, y of each cell, row by row, once for each anchor.
    y, x = np.mgrid[:side, :side]
    return np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), _ANCHORS, axis=0).astype(np.float32)


PEERS: dict[str, Peer] = {
    "scrfd-500m": Peer("scrfd/scrfd_500m.onnx", "non-commercial research", scrfd),
    "scrfd-2.5g": Peer("scrfd/scrfd_2.5g.onnx", "non-commercial research", scrfd),
}
"""By name; `file` is below the folder of peers (../shared/data/peers beside a clone)."""
