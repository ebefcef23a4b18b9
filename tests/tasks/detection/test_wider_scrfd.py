"""The WIDER protocol against figures of another implementation: SCRFD-500M on the 500 photos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pocketface.evaluation.wider import WiderGroundTruth, read_ground_truth
from pocketface.results import Detections
from pocketface.tasks.detection.measure import evaluate_wider, predictor
from pocketface.tasks.detection.peers import PEERS, open_peer

# The protocol itself is checked on drawn photos, in tests/evaluation.
pytestmark = pytest.mark.full

Measured = tuple[dict[str, Detections], dict[str, float | None]]


@pytest.fixture(scope="module")
def measured(shared: Path) -> Measured:
    """Of 500 photos: letterbox to 640, score floor 0.02, NMS IoU 0.45."""
    path = shared / "peers" / PEERS["scrfd-500m"].file
    peer = open_peer("scrfd-500m", path, runtime="onnxruntime", threads=None, device="cpu")
    return evaluate_wider(predictor(peer), shared / "wider_face")


def test_figures_of_scrfd_500m(measured: Measured) -> None:
    figures = {key: 100 * (value or 0.0) for key, value in measured[1].items()}
    assert measured[1]["images"] == 500
    # The published table says 88.9, 87.4, 69.5 (shared/data/README.md).
    assert figures["wider_easy"] == pytest.approx(88.9, abs=0.3)
    assert figures["wider_medium"] == pytest.approx(87.4, abs=0.3)
    # Hard is 68.2 on these files, not 69.5; with other scaling filters 66.2 to 68.6, with other NMS
    # IoUs 67.7 to 68.2. Probably the table was measured before the photos became WebP of quality
    # near 75: its faces are a few pixels wide, and one more re-encoding at quality 80 (70) costs
    # 0.9 (1.1) points of hard. The next test shows that it is not the protocol.
    assert figures["wider_hard"] == pytest.approx(68.2, abs=0.3)


def test_is_the_protocol_step_by_step(
    measured: Measured,
    shared: Path,
    plain_wider_ap: Callable[[WiderGroundTruth, Mapping[str, Detections], str], float],
) -> None:
    truth = read_ground_truth(shared / "wider_face")
    plain = plain_wider_ap(truth, measured[0], "hard")
    assert measured[1]["wider_hard"] == pytest.approx(plain, abs=1e-9)
