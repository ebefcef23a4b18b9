"""Masks of a video: still where the picture is still, and never behind a face that moves."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any, Literal

import cv2
import numpy as np
import pytest

from pocketface.apps.mask_tracks import MaskTracks
from pocketface.results import Detections
from pocketface.tasks.detection.rules import DetectionRules

from ..tasks.segmentation.colour_network import (
    colour_segmenter,
    disc_of,
    head_at,
    iou,
    landmarks_of,
)

SHAPE = (240, 320)
SEGMENTER = colour_segmenter("face")


def face_at(x: float, y: float, score: float = 0.9, shake: Any = 0) -> Detections:
    """One face, 84 pixels wide, whose landmarks are off by `shake`."""
    head = head_at(x, y, scale=0.6)
    box = np.array([[x - 42, y - 42, x + 42, y + 42]], np.float32)
    points = (landmarks_of(head) + shake)[None].astype(np.float32)
    return Detections(box, np.array([score], np.float32), points)


def tracks(
    *found: Detections, score: float = 0.5, nms: Literal["runtime", "graph"] = "runtime"
) -> MaskTracks:
    """What finds these faces, frame by frame; those below its threshold are not given."""
    frames = iter(found)

    def predict(_: np.ndarray, *, score_threshold: float) -> Detections:
        return next(frames).above(score_threshold)

    rules = DetectionRules(labels=("face",), score_threshold=0.4, nms_iou=0.45, nms=nms)
    detector: Any = SimpleNamespace(predict=predict, rules=rules)
    return MaskTracks(SEGMENTER, detector, score=score)


def picture(x: float, y: float, rng: np.random.Generator | None = None) -> np.ndarray:
    """A frame with a soft green disc on a dark ground, with noise if there is a generator."""
    frame = np.full((*SHAPE, 3), 40, np.float64)
    inside = disc_of(head_at(x, y, scale=0.6), SHAPE).astype(np.float64)
    frame[..., 1] += 180 * cv2.GaussianBlur(inside, (0, 0), 3)
    if rng is not None:
        frame += rng.normal(0, 12, frame.shape) + rng.normal(0, 4)
    return frame.round().clip(0, 255).astype(np.uint8)


def changes(masks: list[np.ndarray]) -> float:
    """The share of pixels that change from frame to frame."""
    return float(np.mean([1 - iou(*pair) for pair in itertools.pairwise(masks)]))


def test_a_still_face_flickers_less() -> None:
    rng = np.random.default_rng(0)
    frames = [picture(160, 120, rng) for _ in range(20)]
    found = [face_at(160, 120, shake=rng.normal(0, 0.7, (5, 2))) for _ in frames]
    track = tracks(*found)
    smooth = [track.read(frame)[1][0].mask for frame in frames]
    plain = [
        SEGMENTER.predict(frame, faces.landmarks)[0].mask
        for frame, faces in zip(frames, found, strict=True)
    ]
    assert changes(smooth[5:]) < 0.4 * changes(plain[5:])
    truth = disc_of(head_at(160, 120, scale=0.6), SHAPE)
    assert iou(smooth[-1], truth) > 0.96


@pytest.mark.parametrize("speed", [1, 3, 8, 20])
def test_a_moving_face_is_not_lagged_behind(speed: float) -> None:
    places = [60 + min(speed * index, 200) for index in range(14)]
    track = tracks(*(face_at(x, 120) for x in places))
    for x in places:
        (mask,) = track.read(picture(x, 120))[1]
        assert iou(mask.mask, disc_of(head_at(x, 120, scale=0.6), SHAPE)) > 0.97


def test_what_comes_before_a_still_face_is_seen_at_once() -> None:
    track = tracks(*[face_at(160, 120)] * 6)
    for _ in range(5):
        track.read(picture(160, 120))
    covered = picture(160, 120)
    covered[120:] = 40
    (mask,) = track.read(covered)[1]
    assert mask.mask[100, 160]
    assert mask.mask[128:].sum() == 0


def test_a_faint_face_goes_on_but_does_not_begin() -> None:
    scores = [0.35, 0.9, 0.35, 0.2, 0.35]
    track = tracks(*(face_at(160, 120, score) for score in scores))
    frame = picture(160, 120)
    assert [len(track.read(frame)[1]) for _ in scores] == [0, 1, 1, 0, 0]


def test_a_face_that_goes_on_lets_no_faint_one_beside_it_begin() -> None:
    clear, faint = face_at(160, 120), face_at(185, 120, 0.35)
    both = Detections(
        np.concatenate([clear.boxes, faint.boxes]),
        np.concatenate([clear.scores, faint.scores]),
        np.stack([landmarks_of(head_at(x, 120, scale=0.6)) for x in (160, 185)]),
    )
    track, frame = tracks(clear, both), picture(160, 120)
    assert [len(track.read(frame)[1]) for _ in range(2)] == [1, 1]


def test_what_changes_slowly_is_seen_in_time() -> None:
    """Each step is small, but the steps since the face was last seen so add up."""
    frames = []
    for index in range(60):
        frame = picture(160, 120)
        frame[120:] = np.maximum(frame[120:].astype(int) - 4 * index, 0)
        frames.append(frame)
    track = tracks(*[face_at(160, 120)] * len(frames))
    smooth = sum(track.read(frame)[1][0].mask[126, 160] for frame in frames)
    plain = sum(frame[126, 160, 1] >= 128 for frame in frames)
    assert 0 < plain <= smooth <= plain + 2


def test_a_detector_with_its_own_nms_is_not_asked_below_its_threshold() -> None:
    track = tracks(*(face_at(160, 120, score) for score in (0.9, 0.41, 0.39)), nms="graph")
    frame = picture(160, 120)
    assert [len(track.read(frame)[1]) for _ in range(3)] == [1, 1, 0]
    assert tracks(face_at(160, 120, 0.42), score=0.4, nms="graph").read(frame)[0].scores[0] > 0.4


def test_faces_are_linked_to_their_own_past() -> None:
    """Also when their order changes from frame to frame."""

    def both(x: float, order: int) -> Detections:
        pair = face_at(x, 70), face_at(320 - x, 180)
        boxes, points = (
            np.concatenate([getattr(f, k) for f in pair]) for k in ("boxes", "landmarks")
        )
        return Detections(boxes, np.array([0.9, 0.8], np.float32), points)[::order]

    places = list(range(80, 120, 2))
    track = tracks(*(both(x, 1 if index % 2 else -1) for index, x in enumerate(places)))
    for index, x in enumerate(places):
        frame = np.maximum(picture(x, 70), picture(320 - x, 180))
        masks = track.read(frame)[1][:: 1 if index % 2 else -1]
        for mask, where in zip(masks, ((x, 70), (320 - x, 180)), strict=True):
            assert iou(mask.mask, disc_of(head_at(*where, scale=0.6), SHAPE)) > 0.97


def test_a_face_elsewhere_is_a_new_one() -> None:
    track = tracks(face_at(80, 120), face_at(240, 120), face_at(80, 60).where(np.array([False])))
    track.read(picture(80, 120))
    (mask,) = track.read(picture(240, 120))[1]
    assert iou(mask.mask, disc_of(head_at(240, 120, scale=0.6), SHAPE)) > 0.97
    assert track.read(picture(80, 60))[1] == []
