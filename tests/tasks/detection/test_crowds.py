"""Pictures of many faces."""

from __future__ import annotations

from pocketface import FaceDetector
from pocketface.model_templates.catalogue import shipped_weights
from pocketface.tasks.detection.crowds import CROWD, crowd_pictures
from pocketface.tasks.load import load_as
from pocketface.tasks.templates import open_template


def test_crowds_show_threshold_and_nms() -> None:
    """What a graph with other ones inside would answer differently."""
    path = shipped_weights(open_template("face-detection-n"))
    assert path is not None
    model = load_as(FaceDetector, path)
    threshold = model.rules.score_threshold
    scores, more = [], 0
    for crowd in crowd_pictures():
        assert crowd.kind == CROWD
        faces = model.predict(crowd.pixels)
        scores += faces.scores.tolist()
        overlapping = model.predict(crowd.pixels, nms_iou=0.9)
        more += len(overlapping) - len(faces)
    assert sum(score < threshold + 0.05 for score in scores) >= 3
    assert more >= 3
