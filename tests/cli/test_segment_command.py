"""`pocketface segment`: photos, folders and videos to masks, overlays, cutouts and JSON."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import pytest
from PIL import Image

import pocketface
from pocketface.data.media import open_container
from pocketface.data.videos import open_video

from ..colour_model import write_colour_model
from ..videos import write_video

Run = Callable[..., Any]

HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
MODEL = ("--load-weights", "colour.onnx")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colour_model(tmp_path_factory.mktemp("model") / "colour.onnx")


@pytest.fixture
def place(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the model, a folder test/ of photos, and photos elsewhere."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(model, "colour.onnx")
    os.makedirs("test/more")
    photo = cv2.imread(str(HOPPER))[:400, :]
    cv2.imwrite("test/a.jpg", photo)
    cv2.imwrite("test/more/b.png", np.hstack([photo, photo[:, ::-1]]))
    cv2.imwrite("test/nobody.bmp", np.full((80, 90, 3), 200, np.uint8))
    Path("test/half.jpg").write_bytes(Path("test/a.jpg").read_bytes()[:3000])
    return tmp_path


def masks_of(photo: str) -> list[pocketface.Mask]:
    """What the functions of Python say."""
    faces = pocketface.load("face-detection-n").predict(photo, score_threshold=0.5)
    segmenter = pocketface.load("colour.onnx")
    assert isinstance(segmenter, pocketface.FaceSegmenter)
    return segmenter.predict(photo, faces.landmarks)


def files_in(folder: str) -> list[str]:
    return sorted(str(path) for path in Path(folder).rglob("*") if path.is_file())


@pytest.mark.usefixtures("place")
def test_a_folder_named_test_gives_masks_of_the_same_names(run: Run) -> None:
    result = run("segment", "test", *MODEL)
    assert result.code == 0
    assert result.err.startswith("pocketface: warning: left out: test/half.jpg: ")
    assert len(result.err.splitlines()) == 1
    assert files_in("masks") == ["masks/a.png", "masks/more/b.png", "masks/nobody.png"]
    for mask, photo, count in (
        ("masks/a.png", "test/a.jpg", 1),
        ("masks/more/b.png", "test/more/b.png", 2),
    ):
        found = cv2.imread(mask, cv2.IMREAD_UNCHANGED)
        expected = masks_of(photo)
        assert len(expected) == count
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, 255 * np.any([one.mask for one in expected], axis=0))
        assert 500 < (found == 255).sum() < found.size / 3
        area = sum(one.area for one in expected)
        faces = "1 face" if count == 1 else "2 faces"
        assert f"{photo}: {faces}, {area:,} pixels" in result.out
    empty = cv2.imread("masks/nobody.png", cv2.IMREAD_UNCHANGED)
    assert empty.shape == (80, 90)
    assert not empty.any()
    assert "test/nobody.bmp: no face; nothing is marked" in result.out
    *_, counts, written = result.out.splitlines()
    assert counts.startswith("3 photos, 3 faces, 1 without a face, 1 unreadable, ")
    assert written == "written: masks"


@pytest.mark.usefixtures("place")
def test_each_face_has_a_file_of_its_own(run: Run) -> None:
    result = run("segment", "test/more", "test/nobody.bmp", "--each", "--output", "out", *MODEL)
    assert (result.code, result.err) == (0, "")
    assert files_in("out") == ["out/b-1.png", "out/b-2.png"]
    assert "test/nobody.bmp: no face\n" in result.out
    for name, one in zip(files_in("out"), masks_of("test/more/b.png"), strict=True):
        np.testing.assert_array_equal(cv2.imread(name, cv2.IMREAD_UNCHANGED) > 0, one.mask)


@pytest.mark.usefixtures("place")
def test_faces_of_an_earlier_run_are_named(run: Run) -> None:
    flags = ("segment", "test/more", "--each", "--output", "out", *MODEL)
    assert run(*flags).err == ""
    shutil.copy("out/b-2.png", "out/b-3.png")
    result = run(*flags, "--force")
    assert result.err == "pocketface: warning: out: left there from an earlier run: b-3.png\n"
    assert files_in("out") == ["out/b-1.png", "out/b-2.png", "out/b-3.png"]


@pytest.mark.usefixtures("place")
def test_videos_in_a_folder_and_later_pictures_are_left_out_with_a_word(run: Run) -> None:
    os.makedirs("mix")
    shutil.copy("test/a.jpg", "mix/clip.MP4")
    first = Image.open("test/a.jpg")
    first.save("mix/a.gif", save_all=True, append_images=[first.rotate(90)])
    result = run("segment", "mix", *MODEL)
    assert result.code == 0
    said = [line.removeprefix("pocketface: warning: ") for line in result.err.splitlines()]
    assert said == [
        "mix: 1 video is left out, as photos are looked for: mix/clip.MP4",
        "mix/a.gif: is an animation, of which the first picture is taken",
    ]


@pytest.mark.usefixtures("place")
def test_faces_are_cut_out(run: Run) -> None:
    assert run("segment", "test/a.jpg", "--as", "cutout", *MODEL).code == 0
    assert files_in("cutouts") == ["cutouts/a-1.png"]
    cut = cv2.imread("cutouts/a-1.png", cv2.IMREAD_UNCHANGED)
    (mask,) = masks_of("test/a.jpg")
    assert cut.shape[2] == 4
    assert mask.box is not None
    assert cut.shape[0] >= mask.box[3] - mask.box[1]
    alpha = cut[..., 3]
    assert all(edge.any() for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))
    assert not cut[alpha == 0].any()
    assert abs(int((alpha > 127).sum()) - mask.area) < 0.02 * mask.area


@pytest.mark.usefixtures("place")
def test_where_no_face_is_cut_out_nothing_is_said_to_be_written(run: Run) -> None:
    assert cv2.imwrite("nobody.png", np.zeros((80, 80, 3), np.uint8))
    done = run("segment", "nobody.png", "--as", "cutout", *MODEL)
    assert (done.code, files_in(".").count("cutouts")) == (0, 0)
    assert "nobody.png: no face" in done.out + done.err
    assert "written" not in done.out + done.err


@pytest.mark.usefixtures("place")
def test_overlays_are_in_the_photo_s_own_format(run: Run) -> None:
    assert run("segment", "test", "--as", "overlay", *MODEL).code == 0
    assert files_in("overlays") == [
        "overlays/a.jpg", "overlays/more/b.png", "overlays/nobody.bmp"
    ]  # fmt: skip
    drawn, photo = cv2.imread("overlays/more/b.png"), cv2.imread("test/more/b.png")
    changed = (drawn != photo).any(axis=2)
    inside = np.any([one.mask for one in masks_of("test/more/b.png")], axis=0)
    assert changed[inside].mean() > 0.98
    assert not changed[cv2.dilate(inside.astype(np.uint8), np.ones((9, 9))) == 0].any()


@pytest.mark.usefixtures("place")
def test_json_is_printed(run: Run) -> None:
    result = run("segment", "test/a.jpg", "test/nobody.bmp", "--as", "json", *MODEL)
    assert (result.code, result.err) == (0, "")
    one, none = map(json.loads, result.out.splitlines())
    assert none == {"file": "test/nobody.bmp", "frame": None, "time": None, "faces": []}
    (face,) = one["faces"]
    assert face["score"] > 0.5
    mask = pocketface.Mask.from_dict(face["result"])
    np.testing.assert_array_equal(mask.mask, masks_of("test/a.jpg")[0].mask)
    assert not Path("masks").exists()
    (head,) = json.loads(run("segment", "test/a.jpg", "--heads", "--as", "json", *MODEL).out)[
        "faces"
    ]
    assert (head["box"], head["score"], head["landmarks"]) == (None, None, None)


@pytest.mark.usefixtures("place")
def test_heads_are_not_searched_for_faces(run: Run) -> None:
    result = run("segment", "test/nobody.bmp", "--heads", *MODEL)
    assert (result.code, result.err) == (0, "")
    assert (cv2.imread("masks/nobody.png") == 255).all()
    for flag in (("--score", "0.2"), ("--detector", "face-detection-n")):
        refused = run("segment", "test/nobody.bmp", "--heads", *flag, *MODEL)
        assert refused.code == 2
        assert f"{flag[0]} {flag[1]}: --heads searches no faces" in refused.err


@pytest.mark.usefixtures("place")
def test_photos_that_differ_by_their_suffix_keep_it(run: Run) -> None:
    shutil.copy("test/nobody.bmp", "test/a.bmp")
    assert run("segment", "test", *MODEL).code == 0
    assert files_in("masks") == [
        "masks/a.bmp.png", "masks/a.jpg.png", "masks/more/b.png", "masks/nobody.png"
    ]  # fmt: skip


@pytest.mark.usefixtures("place")
def test_photos_of_one_name_are_in_their_own_folders(run: Run) -> None:
    os.makedirs("other")
    shutil.copy("test/nobody.bmp", "other/nobody.bmp")
    assert run("segment", "test/nobody.bmp", "other", "--heads", *MODEL).code == 0
    assert files_in("masks") == ["masks/other/nobody.png", "masks/test/nobody.png"]


@pytest.mark.usefixtures("place")
def test_nothing_is_overwritten_unasked(run: Run) -> None:
    os.makedirs("out/more")
    for old, kind in (("out/more/b.png", ()), ("out/more/b-7.png", ("--each",))):
        Path(old).write_text("precious")
        refused = run("segment", "test", "--output", "out", *kind, *MODEL)
        assert refused.code == 2
        assert f"--output out: {old} is there already" in refused.err
        assert files_in("out") == [old]
        assert Path(old).read_text() == "precious"
        assert run("segment", "test", "--output", "out", *kind, "--force", *MODEL).code == 0
        shutil.rmtree("out/more")
        for path in files_in("out"):
            os.remove(path)
        os.makedirs("out/more")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("test/more/b.png", "--output", "test/more"), "b.png is one of the photos to be read"),
        (("test", "--output", "test/masks"), "--output test/masks: lies in test, among the photos"),
        (("test", "--output", "test/a.jpg"), "--output test/a.jpg: is a file"),
        (("test/a.jpg", "--as", "json", "--output", "x"), "--output x: --as json is printed"),
        (("test/a.jpg", "--as", "overlay", "--each"), "--each: only with --as mask, not overlay"),
        (("clip.mp4", "--as", "cutout"), "--as cutout: not for a video, as clip.mp4"),
        (("clip.mp4", "--each"), "--each: not for a video, as clip.mp4"),
        (("none.jpg",), "none.jpg: no such file or folder"),
        (("0",), "0: a camera or a stream; expected photos, folders of photos and videos"),
        (("rtsp://a/b.mp4",), "rtsp:/a/b.mp4: a camera or a stream; expected photos"),
        (("none.mp4",), "none.mp4: no such file or folder"),
        (("test/half.jpg",), "none of the 1 photos and videos could be read"),
        (("bad.mp4",), "none of the 1 photos and videos could be read"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    run: Run, place: Path, arguments: tuple[str, ...], message: str
) -> None:
    os.makedirs("other")
    for copy in ("other/a.jpg", "clip.mp4"):
        shutil.copy("test/a.jpg", copy)
    Path("bad.mp4").write_text("just a text\n" * 100)
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    result = run("segment", *arguments, "--force", *MODEL)
    assert result.code == 2
    assert message in result.err
    assert result.out == ""
    assert before == {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("place")
def test_a_model_of_another_task_is_refused(run: Run) -> None:
    result = run("segment", "test", "--load-weights", "face-detection-n")
    assert result.code == 2
    assert "is for face-detection; expected a face segmenter" in result.err
    result = run("segment", "test", *MODEL, "--detector", "glasses-n")
    assert result.code == 2
    assert "is for face-classification; expected a face detector" in result.err
    assert "none.onnx: no such file" in run("segment", "test", "--load-weights", "none.onnx").err
    assert not Path("masks").exists()


@pytest.mark.parametrize("kind", ["mask", "overlay"])
@pytest.mark.usefixtures("place")
def test_a_video_keeps_its_sound(run: Run, kind: str) -> None:
    photo = cv2.imread("test/a.jpg")
    write_video(Path("clip.mov"), [photo] * 3, sound=[("aac", 0.3)])
    result = run("segment", "clip.mov", "test/a.jpg", "--as", kind, *MODEL)
    assert (result.code, result.err) == (0, "")
    assert "1 photo, 3 frames, 4 faces, " in result.out
    with open_container(Path(f"{kind}s/clip.mp4")) as container:
        assert len(container.streams.audio) == 1
    with open_video(Path(f"{kind}s/clip.mp4")) as video:
        frames = [frame.pixels for frame in video.frames]
    assert len(frames) == 3
    still = cv2.imread(str(Path(f"{kind}s/a").with_suffix(".png" if kind == "mask" else ".jpg")))
    for frame in frames:
        assert np.abs(frame[:, : still.shape[1]].astype(int) - still).mean() < 6


@pytest.mark.usefixtures("place")
def test_a_video_of_masks_of_several_classes_is_refused(run: Run) -> None:
    write_colour_model(Path("colour.onnx"), "background", "face", "hair")
    write_video(Path("clip.mp4"), [cv2.imread("test/a.jpg")] * 2)
    result = run("segment", "test/a.jpg", "clip.mp4", *MODEL)
    assert result.code == 2
    assert "--as mask: not for a video, as clip.mp4, by a model of 2 classes" in result.err
    assert "hint: --as json has them for each frame" in result.err
    assert not Path("masks").exists()
    for words in (("clip.mp4", "--as", "json"), ("clip.mp4", "--as", "overlay"), ("test/a.jpg",)):
        assert run("segment", *words, *MODEL).code == 0
    lines = run("segment", "clip.mp4", "--as", "json", *MODEL).out.splitlines()
    masks = json.loads(lines[0])["faces"][0]["result"]["masks"]
    assert masks.keys() == {"face", "hair"}


@pytest.mark.usefixtures("place")
def test_frames_of_a_video_as_json(run: Run) -> None:
    write_video(Path("clip.mp4"), [cv2.imread("test/a.jpg")] * 2)
    lines = [
        json.loads(line)
        for line in run("segment", "clip.mp4", "--as", "json", *MODEL).out.splitlines()
    ]
    assert [(line["file"], line["frame"], line["time"]) for line in lines] == [
        ("clip.mp4", 0, 0.0),
        ("clip.mp4", 1, 0.1),
    ]
    assert all(len(line["faces"]) == 1 for line in lines)
