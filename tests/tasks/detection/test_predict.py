"""A detector as a user meets it: photo in, faces out."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest

import pocketface
from pocketface.errors import ImageError, InputError, PocketfaceError
from pocketface.runtimes.session import Session

from ...constant_model import contract_of

MakeModel = Callable[..., Path]

# Input 80 x 160; the photo is 40 x 40, so letterbox doubles it and stretch makes it 4 x as wide.
PHOTO = np.full((40, 40, 3), 255, np.uint8)
BOXES = [
    [10.0, 10.0, 30.0, 30.0],
    [11.0, 10.0, 31.0, 30.0],  # IoU 0.905 with the first
    [40.0, 20.0, 60.0, 50.0],
    [70.0, 60.0, 100.0, 90.0],  # leaves the photo (80 x 80 of the input) at two sides
    [90.0, 10.0, 110.0, 30.0],  # beside the photo
    [0.0, 0.0, 8.0, 8.0],  # below the threshold
]
SCORES = [0.75, 0.875, 0.9375, 0.625, 0.9, 0.4375]


def test_boxes_come_out_in_photo_pixels(make_model: MakeModel) -> None:
    found = pocketface.load(make_model(BOXES, SCORES)).predict(PHOTO)
    assert found.boxes.dtype == found.scores.dtype == np.float32
    np.testing.assert_array_equal(
        found.boxes, [[20, 10, 30, 25], [5.5, 5, 15.5, 15], [35, 30, 40, 40]]
    )
    np.testing.assert_array_equal(found.scores, [0.9375, 0.875, 0.625])
    assert found.landmarks is None


def test_stretch_scales_the_axes_apart(make_model: MakeModel) -> None:
    spec = {"shape": (-1, 3, 80, 160), "resize": "stretch"}
    found = pocketface.load(make_model(BOXES, SCORES, input=spec)).predict(PHOTO)
    np.testing.assert_array_equal(
        found.boxes,
        [[10, 10, 15, 25], [22.5, 5, 27.5, 15], [2.75, 5, 7.75, 15], [17.5, 30, 25, 40]],
    )


def test_thresholds_can_be_overridden(make_model: MakeModel) -> None:
    model = pocketface.load(make_model(BOXES, SCORES))
    assert len(model.predict(PHOTO, score_threshold=0.875)) == 2  # at least, not above
    assert len(model.predict(PHOTO, score_threshold=0.88)) == 1
    assert len(model.predict(PHOTO, score_threshold=0.4)) == 4
    assert len(model.predict(PHOTO, nms_iou=0.91)) == 4
    assert len(model.predict(PHOTO, nms_iou=0.90)) == 3
    assert len(model.predict(PHOTO, score_threshold=1)) == 0
    assert len(model.predict(PHOTO, max_detections=2)) == 2


def test_all_faces_if_asked_for(make_model: MakeModel) -> None:
    boxes = [[x, y, x + 0.9, y + 0.9] for x in range(75) for y in range(75)]
    model = pocketface.load(make_model(boxes, np.linspace(0.5, 0.9, len(boxes)).tolist()))
    for most, count in ((10_000, 5000), (None, 5625)):
        found = model.predict(PHOTO, max_detections=most, second_look=False)
        assert len(found) == count


@pytest.mark.parametrize("second_look", [True, False])
def test_as_many_faces_as_are_asked_for(make_model: MakeModel, second_look: bool) -> None:
    boxes = [[2.0 * x, 2.0 * y, 2.0 * x + 1, 2.0 * y + 1] for x in range(40) for y in range(40)]
    model = pocketface.load(make_model(boxes, np.linspace(0.5, 0.9, len(boxes)).tolist()))
    for most, count in ((None, 750), (1000, 1000), (1600, 1600), (5000, 1600)):
        asked = {} if most is None else {"max_detections": most}
        assert len(model.predict(PHOTO, second_look=second_look, **asked)) == count


def test_landmarks_follow_their_boxes(make_model: MakeModel) -> None:
    landmarks = [[[10.0 * i + p, p] for p in range(5)] for i in range(len(SCORES))]
    found = pocketface.load(make_model(BOXES, SCORES, landmarks)).predict(PHOTO)
    assert found.landmarks is not None
    assert found.landmarks.dtype == np.float32
    np.testing.assert_array_equal(found.landmarks, np.array(landmarks)[[2, 1, 3]] / 2)


def test_no_face_is_an_empty_answer(make_model: MakeModel) -> None:
    landmarks = [[[0.0, 0.0]] * 5] * len(SCORES)
    found = pocketface.load(make_model(BOXES, SCORES, landmarks)).predict(np.zeros_like(PHOTO))
    assert found.boxes.shape == (0, 4)
    assert found.scores.shape == (0,)
    assert found.landmarks is not None
    assert found.landmarks.shape == (0, 5, 2)


def test_boxes_without_area_are_dropped(make_model: MakeModel) -> None:
    inf = float("inf")
    boxes = [[9.0, 9, 5, 20], [5.0, 5, 5, 9], [-inf, 5, inf, 9], [3.0, 3, inf, 9], [2.0, 2, 4, 4]]
    found = pocketface.load(make_model(boxes, [0.9, 0.9, 0.9, 0.9, 0.8])).predict(PHOTO)
    np.testing.assert_array_equal(found.boxes, [[1, 1, 2, 2]])


def test_many_boxes_are_capped(make_model: MakeModel) -> None:
    generator = np.random.default_rng(0)
    corners = generator.uniform(0, 70, (6000, 2))
    boxes = np.concatenate((corners, corners + 0.01), axis=1)
    scores = generator.uniform(0.5, 1, 6000)
    found = pocketface.load(make_model(boxes.tolist(), scores.tolist())).predict(PHOTO)
    assert len(found) == 750
    best = np.sort(scores.astype(np.float32))[::-1][:750]
    np.testing.assert_array_equal(found.scores, best)


@pytest.mark.parametrize("batch", [-1, 1, 2, 8])
def test_a_batch_answers_photo_by_photo(make_model: MakeModel, batch: int) -> None:
    model = pocketface.load(make_model(BOXES, SCORES, batch=batch))
    blues = [255, 0, 230, 170, 255]
    sizes = [(40, 40), (20, 40), (80, 160), (13, 7), (400, 300)]
    photos = [np.full((*s, 3), b, np.uint8) for s, b in zip(sizes, blues, strict=True)]
    found = model.predict_batch(photos, batch_size=3)
    assert [len(one) for one in found] == [3, 0, 4, 2, 2]
    for one, photo in zip(found, photos, strict=True):
        alone = model.predict(photo)
        np.testing.assert_array_equal(one.boxes, alone.boxes)
        np.testing.assert_array_equal(one.scores, alone.scores)
    assert model.predict_batch([]) == []
    again = model.predict_batch(iter(photos), batch_size=3)
    assert [len(one) for one in again] == [3, 0, 4, 2, 2]


@pytest.mark.parametrize(
    ("images", "what"),
    [
        ("folder/photo.jpg", "'folder/photo.jpg'"),
        (Path("photo.jpg"), "'photo.jpg'"),
        (b"\xff\xd8\xff", "one image"),
        (PHOTO, "one image"),
        (PHOTO[..., 0], "one image"),
        (io.BytesIO(), "one image"),
        (PIL.Image.new("L", (3, 3)), "one image"),
        (5, "of type int"),
        (None, "None"),
    ],
)
def test_one_photo_is_no_batch(make_model: MakeModel, images: Any, what: str) -> None:
    model = pocketface.load(make_model(BOXES, SCORES))
    with pytest.raises(InputError, match=f"images is {what}: expected several photos"):
        model.predict_batch(images)


def test_a_batch_mixes_forms_of_photos(make_model: MakeModel, tmp_path: Path) -> None:
    model = pocketface.load(make_model(BOXES, SCORES))
    blue = np.zeros((40, 40, 3), np.uint8)
    blue[..., 0] = 255
    red = np.ascontiguousarray(blue[..., ::-1])
    cv2.imwrite(str(tmp_path / "blue.png"), blue)
    content = (tmp_path / "blue.png").read_bytes()
    of_files = [tmp_path / "blue.png", content, PIL.Image.fromarray(red), io.BytesIO(content)]
    assert [len(one) for one in model.predict_batch([*of_files, blue, red])] == [3] * 5 + [0]
    found = model.predict_batch([*of_files[:3], red, content], colour="RGB")
    assert [len(one) for one in found] == [3] * 5
    assert [len(one) for one in model.predict_batch(np.stack([blue, red]))] == [3, 0]
    assert model.predict(red, colour="RGB") == model.predict(blue)
    assert len(model.predict(red)) == 0
    with pytest.raises(ImageError, match="not an image"):
        model.predict_batch([blue, b"no photo"])


def test_an_array_may_be_a_view(make_model: MakeModel) -> None:
    model = pocketface.load(make_model(BOXES, SCORES))
    photo = np.full((80, 80, 3), 255, np.uint8)
    photo[:, :, 0] = 230
    assert len(model.predict(photo[::2, ::2, ::-1], score_threshold=0.6)) == 3
    assert len(model.predict(photo[::2, ::2], score_threshold=0.6)) == 2


def test_a_path_is_a_photo(make_model: MakeModel, tmp_path: Path) -> None:
    model = pocketface.load(str(make_model(BOXES, SCORES)))
    cv2.imwrite(str(tmp_path / "white.png"), PHOTO)
    assert len(model.predict(tmp_path / "white.png")) == 3
    assert len(model.predict(str(tmp_path / "white.png"))) == 3
    with pytest.raises(ImageError):
        model.predict(tmp_path / "none.png")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (PHOTO.astype(np.float32), "array of float32: expected a uint8"),
        (PHOTO.astype(np.int64), "array of int64"),
        (PHOTO[..., :2], r"shape \(40, 40, 2\)"),
        (PHOTO[None], r"shape \(1, 40, 40, 3\)"),
        (PHOTO[:0], r"shape \(0, 40, 3\)"),
        (None, "None"),
        ([[1, 2, 3]], "type list"),
    ],
)
def test_what_is_no_image_is_refused(make_model: MakeModel, image: object, message: str) -> None:
    model = pocketface.load(make_model(BOXES, SCORES))
    with pytest.raises(InputError, match=message):
        model.predict(image)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "limits",
    [
        {"score_threshold": 1.5},
        {"score_threshold": -0.1},
        {"score_threshold": float("nan")},
        {"score_threshold": "high"},
        {"nms_iou": 0},
        {"nms_iou": 2},
        {"max_detections": 0},
        {"max_detections": 2.5},
        {"batch_size": 2.0},
        {"score_threshold": np.array([0.5, 0.6])},
    ],
)
def test_limits_out_of_range_are_refused(make_model: MakeModel, limits: dict) -> None:
    with pytest.raises(InputError, match=next(iter(limits))):
        pocketface.load(make_model(BOXES, SCORES)).predict_batch([PHOTO], **limits)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (np.zeros((1, 3, 80, 160)), "array of float64"),
        (np.zeros((1, 3, 80, 160), np.uint8), "array of uint8"),
        ([[0.0]], "type list"),
        (np.zeros((3, 80, 160), np.float32), r"\(3, 80, 160\): expected \(B, 3, 80, 160\)"),
        (np.zeros((1, 3, 80, 128), np.float32), r"expected \(B, 3, 80, 160\)"),
        (np.zeros((0, 3, 80, 160), np.float32), r"shape \(0, 3, 80, 160\)"),
        (np.full((1, 3, 80, 160), np.nan, np.float32), "outside 0 to 255, or not finite"),
        (np.full((1, 3, 80, 160), np.inf, np.float32), "outside 0 to 255"),
        (np.full((1, 3, 80, 160), -1, np.float32), "outside 0 to 255"),
        (np.full((1, 3, 80, 160), 256, np.float32), "outside 0 to 255"),
    ],
)
def test_raw_refuses_what_runtimes_would_take(
    make_model: MakeModel, runtime: str, batch: object, message: str
) -> None:
    pytest.importorskip(runtime)
    model = pocketface.load(make_model(BOXES, SCORES), runtime=runtime)
    with pytest.raises(InputError, match=message):
        model.raw(batch)  # type: ignore[arg-type]


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_raw_gives_the_graphs_outputs(make_model: MakeModel, runtime: str) -> None:
    pytest.importorskip(runtime)
    model = pocketface.load(make_model(BOXES, SCORES), runtime=runtime)
    batch = np.full((2, 3, 80, 160), 255, np.float32)
    batch[1] = 0
    raw = model.raw(batch)
    np.testing.assert_array_equal(raw["boxes"], [BOXES, BOXES])
    np.testing.assert_allclose(raw["scores"], [SCORES, [0] * 6], rtol=1e-6)


def test_scores_that_are_not_finite_are_no_answer(make_model: MakeModel) -> None:
    model = pocketface.load(make_model(BOXES, [float("nan")] * 6))
    with pytest.raises(PocketfaceError, match="not finite"):
        model.predict(PHOTO)


def test_a_graph_with_its_nms_inside_can_be_asked_for_less_alone(make_model: MakeModel) -> None:
    """Boxes that it dropped are gone."""
    model = pocketface.load(make_model(BOXES, SCORES, rules={"nms": "graph"}))
    assert len(model.predict(PHOTO)) == 3
    assert len(model.predict(PHOTO, score_threshold=0.5, nms_iou=0.4)) == 3
    assert len(model.predict(PHOTO, nms_iou=0.1)) == 3
    assert len(model.predict(PHOTO, score_threshold=0.7)) == 2
    for limits in ({"nms_iou": 0.41}, {"score_threshold": 0.49}):
        with pytest.raises(
            InputError, match=r"has its NMS inside, at score 0\.5 and IoU 0\.4: exp"
        ):
            model.predict(PHOTO, **limits)


def test_outputs_for_apples_vision_are_shares_of_the_input() -> None:
    outputs = [
        {"name": "coordinates", "shape": (2, 4), "meaning": "box", "unit": "shares"},
        {"name": "confidence", "shape": (2, 1), "meaning": "score", "unit": "0-1"},
    ]
    spec = {"shape": (1, 3, 80, 160), "resize": "letterbox"}
    contract = contract_of(
        2, landmarks=False, batch=1, rules={"nms": "graph"}, input=spec, outputs=outputs
    )
    answer = {
        "coordinates": np.array([[0.25, 0.5, 0.125, 0.5], [0.125, 0.25, 0.0625, 0.25]], np.float32),
        "confidence": np.array([[0.75], [0.875]], np.float32),
    }
    session = Session("coreml", "cpu", None, {}, {}, run=lambda _: answer)
    model = pocketface.FaceDetector(contract=contract, session=session, path=Path("m.mlpackage"))
    found = model.predict(PHOTO, second_look=False)
    np.testing.assert_array_equal(found.boxes, [[7.5, 5, 12.5, 15], [15, 10, 25, 30]])
    np.testing.assert_array_equal(found.scores, [0.875, 0.75])
