"""Other people's detectors, to be measured beside ours by the same protocol; none is shipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..results import Detections
from .detectors import open_detector
from .preprocessing import Preprocessing

Predictor = Callable[[NDArray[np.uint8]], Detections]


@dataclass(frozen=True)
class Peer:
    """A detector of others.

    Attributes:
        file: In the folder of peers.
        licence: Its own.
        preprocessing: What it was trained on.
        precision: Of its weights.
    """

    file: str
    licence: str
    preprocessing: Preprocessing
    precision: str = "fp32"

    def load(
        self,
        folder: Path,
        *,
        score_threshold: float = 0.02,
        nms_iou: float = 0.45,
        threads: int | None = 1,
    ) -> Predictor:
        """Open it.

        Args:
            folder: Of the peers.
            score_threshold: Lowest score kept, 0 to 1.
            nms_iou: A box that overlaps a better one by more than this is dropped.
            threads: Of one inference; None for one per core.

        Returns:
            A function from a (H, W, 3) BGR uint8 photo to `Detections` in its pixels.

        Raises:
            ModelFileError: The file is missing, or no detector that is known here.
        """
        return partial(
            open_detector(folder / self.file, threads=threads).find,
            preprocessing=self.preprocessing,
            score_threshold=score_threshold,
            nms_iou=nms_iou,
        )


_BGR = Preprocessing.parse("bgr,0-255,letterbox")
_RGB = Preprocessing.parse("rgb,-1-1,letterbox")
_STRETCHED = Preprocessing.parse("bgr,0-255,stretch")
_NON_COMMERCIAL = "non-commercial research"

PEERS: dict[str, Peer] = {
    "scrfd-500m": Peer("scrfd/scrfd_500m.onnx", _NON_COMMERCIAL, _RGB),
    "scrfd-2.5g": Peer("scrfd/scrfd_2.5g.onnx", _NON_COMMERCIAL, _RGB),
    "yunet-n": Peer("yunet/yunet_n_640_640.onnx", "Apache-2.0", _BGR),
    "yunet-s": Peer("yunet/yunet_s_640_640.onnx", "Apache-2.0", _BGR),
    "ultra-light-rfb": Peer("ultralight/version-RFB-640.onnx", "MIT", _RGB),
    "openvino-face-detection-0200": Peer(
        "openvino/face-detection-0200/FP16/face-detection-0200.xml",
        "Apache-2.0",
        _STRETCHED,
        "fp16",
    ),
    "openvino-face-detection-0200-int8": Peer(
        "openvino/face-detection-0200/FP16-INT8/face-detection-0200.xml",
        "Apache-2.0",
        _STRETCHED,
        "int8",
    ),
}
"""By name; `file` is below the folder of peers (../shared/data/peers beside a clone)."""
