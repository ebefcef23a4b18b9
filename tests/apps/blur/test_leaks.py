"""What was blurred is searched again, and what is seen is listed."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from pocketface.apps.blur.cover import Cover, hide
from pocketface.apps.blur.leaks import LeakReport, leaks_in, open_searcher
from pocketface.apps.blur.photo import PhotoBlurrer
from pocketface.apps.blur.video import VideoRequest, blur_video
from pocketface.data.images import read_image
from pocketface.data.pictures import public_domain_photos
from pocketface.errors import ContractError, ModelFileError
from pocketface.results import Detections
from pocketface.tasks.named import model_path

from ...videos import write_video
from .photos import written
from .test_video import RedFinder, pictures

NOBODY = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


class Red:
    def find(self, image: np.ndarray) -> Detections:
        return RedFinder().find_all(image, score=0.1)


def test_a_face_is_found_once_at_three_scales() -> None:
    (leak,) = leaks_in(pictures(1), Red())
    assert leak.box == pytest.approx((20, 40, 52, 72), abs=2)
    assert leak.is_open
    cover = Detections(np.array([[18, 38, 55, 75]], np.float32), np.ones(1, np.float32))
    (leak,) = leaks_in(pictures(1), Red(), cover)
    assert not leak.is_open
    beside = Detections(np.array([[50, 38, 87, 75]], np.float32), np.ones(1, np.float32))
    (leak,) = leaks_in(pictures(1), Red(), beside)
    assert leak.is_open


def test_real_faces_are_found_again_until_they_are_hidden() -> None:
    searcher = open_searcher(Path(model_path("face-detection-n")), threads=1)
    image = cv2.resize(read_image(public_domain_photos()[1][0]), (256, 256))
    found = leaks_in([image], searcher)
    assert [one.is_open for one in found] == [True]
    hidden = Detections(np.array([found[0].box], np.float32), np.ones(1, np.float32))
    hide(image, hidden, Cover(style="solid"))
    assert not [one for one in leaks_in([image], searcher, hidden) if one.is_open]


def test_the_report_of_a_video_lists_frames_and_shows_them(tmp_path: Path) -> None:
    pytest.importorskip("av")
    source = write_video(tmp_path / "v.mp4", pictures(8))
    output = tmp_path / "b.mp4"
    done = blur_video(VideoRequest(source=source, output=output, finder=RedFinder()))  # type: ignore[arg-type]
    report = LeakReport(Red())
    report.video(output, done.tracks)
    assert report.leaks == []
    assert report.write(tmp_path / "r.json") is None

    report = LeakReport(Red())
    report.video(source, done.tracks.__class__(**{**vars(done.tracks), "paths": ()}))
    sheet = report.write(tmp_path / "r.json")
    text = json.loads((tmp_path / "r.json").read_text())
    assert text["pictures"] == 8
    assert [one["frame"] for one in text["leaks"]] == list(range(8))
    assert text["leaks"][3]["time"] == pytest.approx(0.3)
    assert text["leaks"][3]["box"] == pytest.approx([29, 40, 61, 72], abs=4)
    assert sheet is not None
    assert cv2.imread(str(sheet)).shape == (320, 960, 3)


def animation(faces: str) -> bytes:
    """A GIF of which frames have a red face, "x", or none, "-"."""
    frames = []
    for number, one in enumerate(faces):
        picture = pictures(1)[0]
        picture[:, :, 2] = picture[:, :, 2] if one == "x" else picture[:, :, 1]
        picture[100, 10 + number] = 0  # else Pillow makes one frame of those that are the same
        frames.append(Image.fromarray(np.ascontiguousarray(picture[..., ::-1])))
    return written(frames[0], "gif", save_all=True, append_images=frames[1:], duration=200)


def test_every_frame_of_an_animation_is_searched(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(animation("--xx-x"))
    said: list[tuple[int, int]] = []
    report = LeakReport(Red(), tell=lambda done, total: said.append((done, total)))
    report.photo(path, [NOBODY] * 6)
    assert [one.frame for one in report.leaks] == [2, 3, 5]
    assert [one.time for one in report.leaks] == pytest.approx([0.4, 0.6, 1.0])
    assert (report.pictures, said) == (6, [(number, 6) for number in range(1, 7)])


def test_what_a_frame_hides_excuses_no_other_one(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(animation("xx"))
    cover = Detections(np.array([[18, 38, 55, 75]], np.float32), np.ones(1, np.float32))
    for hidden, seen in (([cover, NOBODY], [1]), ([cover, cover], []), ([cover] * 3, [0, 1])):
        report = LeakReport(Red())
        report.photo(path, hidden)
        assert [one.frame for one in report.leaks] == seen


def test_what_is_hidden_as_a_neighbour_shows_it_counts_as_hidden() -> None:
    content = animation("x-x")
    made = PhotoBlurrer(Red(), Cover()).blur(content, source="a.gif")  # type: ignore[arg-type]
    assert [len(one) for one in made.found] == [1, 0, 1]
    assert [len(one) for one in made.covered] == [1, 1, 1]


def test_large_pictures_are_searched_at_three_scales_too() -> None:
    sizes: list[tuple[int, ...]] = []

    class Measuring:
        def find(self, image: np.ndarray) -> Detections:
            sizes.append(image.shape[:2])
            return NOBODY

    leaks_in([np.zeros((1000, 4000, 3), np.uint8), np.zeros((80, 100, 3), np.uint8)], Measuring())
    assert sizes == [(160, 640), (320, 1280), (640, 2560), (40, 50), (80, 100), (160, 200)]


def test_what_is_no_detector(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"nothing")
    with pytest.raises((ModelFileError, ContractError), match=r"m\.onnx"):
        open_searcher(path)
