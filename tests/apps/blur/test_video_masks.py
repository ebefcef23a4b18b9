"""A segmenter says which pixels of a video's faces are hidden, where it is sure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.apps.blur.cover import Cover
from pocketface.apps.blur.video_masks import hulls_of
from pocketface.data.images import read_image
from pocketface.data.pictures import public_domain_photos
from pocketface.mask import Mask
from pocketface.tasks.detection.model import FaceDetector
from pocketface.tasks.load import load_as
from pocketface.tasks.named import model_path
from pocketface.tasks.segmentation.model import FaceSegmenter

from ...videos import write_video
from .test_video import blurred, frames_of, pictures

pytest.importorskip("av")

BOX = np.array([[20, 40, 52, 72]], np.float32)
FOUND = np.ones(1, np.bool_)


class Segmenter:
    """Takes for a face what a rule says, of a picture and of the place of a face."""

    def __init__(self, rule: Any) -> None:
        self.rule = rule
        self.asked = 0

    def predict(self, image: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> list[Mask]:
        self.asked += len(landmarks)
        shares = [self.rule(image).astype(np.float32)[None] for _ in landmarks]
        return [Mask(one, 0, 0, image.shape[:2], ("face",)) for one in shares]  # type: ignore[arg-type]


def red(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray(image[..., 2].astype(int) - image[..., 1] > 60)


def part(rows: slice, columns: slice) -> Any:
    def rule(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
        inside = np.zeros(image.shape[:2], np.bool_)
        inside[rows, columns] = True
        return inside

    return rule


def nothing(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.zeros(image.shape[:2], np.bool_)


@pytest.mark.parametrize(
    ("rule", "sure"),
    [
        (red, True),
        (part(np.s_[36:70], np.s_[18:50]), True),
        (nothing, False),
        (part(np.s_[40:72], np.s_[20:34]), False),  # half of the face
        (part(np.s_[50:60], np.s_[30:40]), False),  # its nose
        (part(np.s_[40:72], np.s_[80:112]), False),  # something else
        (part(np.s_[0:120], np.s_[0:160]), False),  # everything
    ],
)
def test_a_mask_counts_where_it_fits_the_face(rule: Any, sure: bool) -> None:
    (hull,) = hulls_of(Segmenter(rule), pictures(1)[0], BOX, FOUND)  # type: ignore[arg-type]
    assert (hull is not None) == sure
    if rule is red:
        assert hull is not None
        assert [*hull.min(0), *hull.max(0)] == BOX[0].tolist()


def test_where_a_face_was_not_found_nobody_is_asked() -> None:
    segmenter = Segmenter(red)
    boxes = np.concatenate([BOX, BOX + 60])
    found = np.array([False, False])
    assert hulls_of(segmenter, pictures(1)[0], boxes, found) == [None, None]  # type: ignore[arg-type]
    assert segmenter.asked == 0


def test_the_shipped_segmenter_knows_a_face_by_its_box_alone() -> None:
    segmenter = load_as(FaceSegmenter, model_path("face-segmentation-n"), threads=1)
    image = read_image(public_domain_photos()[1][0])
    finder = load_as(FaceDetector, model_path("face-detection-n"), threads=1)
    boxes = finder.predict(image, score_threshold=0.5).boxes
    (hull,) = hulls_of(segmenter, image, boxes, np.ones(len(boxes), np.bool_))
    assert hull is not None


@pytest.mark.parametrize("turn", [None, (90, False), (180, True)])
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_what_the_segmenter_says_is_hidden_where_it_is_shown(
    tmp_path: Path, turn: Any, codec: str
) -> None:
    source = write_video(tmp_path / "v.mp4", pictures(6), turn=turn)
    cover = Cover(style="solid", shape="mask", grow=1)
    segmenter: Any = Segmenter(red)
    output, _ = blurred(source, cover=cover, segmenter=segmenter, codec=codec)
    assert segmenter.asked == 6
    for before, after in zip(frames_of(source), frames_of(output), strict=True):
        assert not red(after.pixels).any()  # an ellipse would leave the square's corners
        where = np.abs(before.pixels.astype(int) - after.pixels).max(2) > 60
        assert where.sum() < 3 * red(before.pixels).sum()


def test_where_it_is_unsure_the_ellipse_is_hidden(tmp_path: Path) -> None:
    source = write_video(tmp_path / "v.mp4", pictures(6))
    made = []
    for shape, segmenter in (("ellipse", None), ("mask", Segmenter(nothing))):
        cover = Cover(style="solid", shape=shape)  # type: ignore[arg-type]
        output, done = blurred(source, cover=cover, segmenter=segmenter)
        made.append([frame.pixels for frame in frames_of(output)])
    assert (np.array(made[0]) == np.array(made[1])).all()

    # Of tracks that somebody wrote by hand nobody knows where the face was found.
    assert done.sidecar is not None
    text = json.loads(done.sidecar.read_text())
    for row in text["tracks"][0]["boxes"]:
        row[5] = None
    hand = tmp_path / "hand.json"
    hand.write_text(json.dumps(text))
    asked = Segmenter(red)
    output, _ = blurred(source, cover=cover, segmenter=asked, tracks=hand)
    assert asked.asked == 0
    assert (np.array(made[0]) == [frame.pixels for frame in frames_of(output)]).all()
