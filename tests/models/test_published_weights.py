"""Our face-detection-0200 with the published weights finds the published boxes.

They prove the whole reading at once: blocks, anchors, decoding, colour order and range.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pocketface.benchmarks.published import published_network
from pocketface.interrupts import signal_stack_kept

ov = pytest.importorskip("openvino")


def test_the_published_weights_give_the_published_boxes(shared: Path) -> None:
    folder = shared / "peers/openvino/face-detection-0200/FP16"
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    core = ov.Core()
    published = core.read_model(folder / "face-detection-0200.xml")
    network = published_network(folder / "face-detection-0200.xml")
    with signal_stack_kept():
        compiled = core.compile_model(published, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for index in (0, 5, 9):
        photo = cv2.imread(str(shared / f"airport/train/image_{index:06d}.jpg"))
        image = cv2.resize(photo, (256, 256)).transpose(2, 0, 1)[None].astype(np.float32)
        found = compiled(image)[0][0, 0]
        found = torch.from_numpy(found[found[:, 2] > 0.05])
        assert len(found) >= 2
        with torch.no_grad():
            boxes, scores = (output[0] for output in network(torch.from_numpy(image)))
        assert scores.max().item() == pytest.approx(found[:, 2].max().item(), abs=1e-4)
        distance = (boxes[:, None] - found[:, 3:] * 256).abs().amax(-1)
        nearest = distance.argmin(0)
        # The anchors of the template are rounded to hundredths of a pixel.
        assert distance.amin(0).max() < 0.02
        torch.testing.assert_close(scores[nearest], found[:, 2], rtol=0, atol=1e-4)
