"""What was blurred is searched again, and what is seen is listed."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pocketface.apps.blur.cover import Cover, hide
from pocketface.apps.blur.leaks import LeakReport, leaks_in, open_searcher
from pocketface.apps.blur.video import VideoRequest, blur_video
from pocketface.data.images import read_image
from pocketface.data.pictures import public_domain_photos
from pocketface.errors import ContractError, ModelFileError
from pocketface.results import Detections
from pocketface.tasks.named import model_path

from ...videos import write_video
from .test_video import RedFinder, pictures

NOBODY = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


class Red:
    def find(self, image: np.ndarray) -> Detections:
        return RedFinder().find(image, score=0.1)


def test_a_face_is_found_once_at_three_scales() -> None:
    (leak,) = leaks_in(pictures(1)[0], Red())
    assert leak.box == pytest.approx((20, 40, 52, 72), abs=2)
    assert leak.is_open
    cover = Detections(np.array([[18, 38, 55, 75]], np.float32), np.ones(1, np.float32))
    (leak,) = leaks_in(pictures(1)[0], Red(), cover)
    assert not leak.is_open
    beside = Detections(np.array([[50, 38, 87, 75]], np.float32), np.ones(1, np.float32))
    (leak,) = leaks_in(pictures(1)[0], Red(), beside)
    assert leak.is_open


def test_real_faces_are_found_again_until_they_are_hidden() -> None:
    searcher = open_searcher(Path(model_path("face-detection-n")), threads=1)
    image = cv2.resize(read_image(public_domain_photos()[1][0]), (256, 256))
    found = leaks_in(image, searcher)
    assert [one.is_open for one in found] == [True]
    hidden = Detections(np.array([found[0].box], np.float32), np.ones(1, np.float32))
    hide(image, hidden, Cover(style="solid"))
    assert not [one for one in leaks_in(image, searcher, hidden) if one.is_open]


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


def test_what_is_no_detector(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"nothing")
    with pytest.raises((ModelFileError, ContractError), match=r"m\.onnx"):
        open_searcher(path)
