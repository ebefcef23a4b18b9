"""examples/web in a headless Chromium: the same faces as Python, and nothing leaves the page."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

import pocketface
from pocketface.apps.recognize_verdict import Judge
from pocketface.data.images import list_images
from pocketface.model_templates.catalogue import ready_file
from pocketface.results import Detections
from pocketface.tasks.model import Model

from ..colour_model import write_colour_model
from ..constant_model import write_model
from ..pixel_recognizer import MEASURED, write_recognizer

SERVED = (
    *("index.html", "style.css", "page.js", "file.js", "detector.js", "segmenter.js"),
    *("resize.js", "framed.js", "align.js", "recognizer.js", "compare.js"),
)
VENDORED = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
)
_VENDOR = Path(__file__).resolve().parents[2] / "examples/web/vendor"

pytestmark = pytest.mark.skipif(
    not all((_VENDOR / name).exists() for name in VENDORED),  # before an export takes its time
    reason="needs examples/web/vendor (cd examples/web && npm ci)",
)


@pytest.fixture(scope="module")
def model(onnx_file: Path) -> Model:
    pytest.importorskip("onnxruntime")
    return pocketface.load(onnx_file, runtime="onnxruntime")


@pytest.fixture(scope="module")
def site(
    examples: Path, onnx_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The page with a freshly exported detector alone."""
    folder = page(examples, tmp_path_factory.mktemp("site"))
    shutil.copy(onnx_file, folder)
    (folder / "models.json").write_text('["model.onnx"]')
    with served(folder) as url:
        yield url


def page(examples: Path, folder: Path) -> Path:
    """The page in a folder, without models."""
    for name in SERVED:
        shutil.copy(examples / "web" / name, folder)
    shutil.copytree(examples / "web/vendor", folder / "vendor")
    return folder


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder, as `python -m http.server` serves it."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        port = server.stdout.readline().split(" port ")[1].split()[0]
        try:
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def browse(examples: Path, site: str, node: str) -> Any:
    """Calls examples/web/test/browser.mjs and gives its report."""
    if not (examples / "web/node_modules/playwright-core").is_dir():
        pytest.skip("needs examples/web/node_modules (cd examples/web && npm ci)")
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("needs Chromium (Debian: apt install chromium)")

    def call(*arguments: str | Path, url: str = site) -> dict[str, Any]:
        done = subprocess.run(
            [node, "test/browser.mjs", "--chromium", chromium, "--url", url, *map(str, arguments)],
            cwd=examples / "web",
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    return call


def shown(faces: list[dict[str, Any]]) -> Detections:
    """What the page says, as Python says it."""
    return Detections(
        boxes=np.array([face["box"] for face in faces], np.float32).reshape(-1, 4),
        scores=np.array([face["score"] for face in faces], np.float32),
        landmarks=np.array([face["landmarks"] for face in faces], np.float32).reshape(-1, 5, 2),
    )


def close_up(folder: Path) -> Path:
    """A face that fills the photo; it is the second look that places its landmarks."""
    photo = cv2.imread(str(photo_of_package("grace_hopper.jpg")))
    assert photo is not None
    path = folder / "close-up.png"
    cv2.imwrite(str(path), photo[110:337, 175:357])
    return path


def photo_of_package(name: str) -> Path:
    """A photo in the public domain that a package brings."""
    if name == "astronaut.png":
        skimage = pytest.importorskip("skimage")
        return Path(skimage.__path__[0], "data", name)
    matplotlib = pytest.importorskip("matplotlib")
    return Path(matplotlib.get_data_path(), "sample_data", name)


def test_same_faces_and_nothing_leaves(
    browse: Any, model: Model, site: str, tmp_path: Path
) -> None:
    photo = photo_of_package("grace_hopper.jpg")
    turned = tmp_path / "turned.jpg"  # stored lying on its side, with the EXIF tag that says so
    pillow = pytest.importorskip("PIL.Image")
    with pillow.open(photo) as image:
        exif = pillow.Exif()
        exif[0x0112] = 6
        image.transpose(pillow.Transpose.ROTATE_90).save(turned, quality=95, exif=exif)
    no_photo = tmp_path / "text.jpg"
    no_photo.write_text("no photo")
    photos = (photo, turned, close_up(tmp_path))

    report = browse(*(word for path in (*photos, no_photo) for word in ("--photo", path)))

    for path, said in zip(photos, report["photos"], strict=False):
        here, there = model.predict(path), shown(said["faces"])
        assert len(here.scores) == 1
        np.testing.assert_allclose(there.boxes, here.boxes, atol=0.5)
        np.testing.assert_allclose(there.landmarks, here.landmarks, atol=0.5)
        np.testing.assert_allclose(there.scores, here.scores, atol=1e-3)
    assert report["photos"][3]["status"].startswith("text.jpg: not a photo")
    own = urlsplit(site).netloc
    assert {urlsplit(url).netloc for url in report["requests"]} == {own}
    assert report["blocked"] == "connect-src"
    assert report["errors"] == []


def test_masks_are_drawn_as_make_web_leaves_the_page(
    browse: Any, model: Model, examples: Path, onnx_file: Path, tmp_path: Path
) -> None:
    folder = page(examples, tmp_path)
    segmenter = ready_file("face-segmentation-n")
    assert segmenter is not None
    models = json.loads((examples / "web/models.json").read_text())
    for path in models:
        name = Path(path).parent.name
        file = onnx_file if name == "face-detection-n" else ready_file(name)
        assert file is not None, name
        (folder / path).parent.mkdir()
        shutil.copy(file, folder / path)
    shutil.copy(examples / "web/models.json", folder)
    photo = photo_of_package("grace_hopper.jpg")

    with served(folder) as url:
        report = browse("--photo", photo, "--no-masks", url=url)

    assert report["opened"].startswith("Ready")
    ((said,), unmasked) = (report["photos"], report["unmasked"])
    landmarks = model.predict(photo).landmarks
    (mask,) = pocketface.load(segmenter, runtime="onnxruntime").predict(photo, landmarks)
    assert said["faces"][0]["area"] == pytest.approx(mask.area, rel=0.01)
    assert "area" not in unmasked["faces"][0]
    assert ", masks " in said["status"]
    assert ", masks " not in unmasked["status"]
    assert report["errors"] == []


def test_models_that_are_listed_and_not_there_are_named(
    browse: Any, examples: Path, onnx_file: Path, tmp_path: Path
) -> None:
    """And the others are opened all the same."""
    folder = page(examples, tmp_path)
    shutil.copy(onnx_file, folder)
    (folder / "models.json").write_text('["people.onnx", "model.onnx", "masks.onnx"]')
    photo = photo_of_package("grace_hopper.jpg")
    with served(folder) as url:
        report = browse("--photo", photo, url=url)
    missing = "is not beside this page; see README.md"
    assert report["opened"] == f"people.onnx {missing}; masks.onnx {missing}"
    assert report["photos"][0]["status"].startswith("1 face in ")


def test_a_detector_without_landmarks_shows_its_boxes(
    browse: Any, examples: Path, tmp_path: Path
) -> None:
    folder = page(examples, tmp_path)
    write_model(folder / "model.onnx", [[10, 10, 40, 50], [60, 10, 90, 50]], [0.9, 0.8])
    write_colour_model(folder / "segmenter.onnx", "face")
    (folder / "models.json").write_text('["model.onnx", "segmenter.onnx"]')
    photo = tmp_path / "white.png"
    cv2.imwrite(str(photo), np.full((80, 160, 3), 255, np.uint8))
    with served(folder) as url:
        report = browse("--photo", photo, url=url)
    (said,) = report["photos"]
    assert [face["box"] for face in said["faces"]] == [[10, 10, 40, 50], [60, 10, 90, 50]]
    assert said["status"].startswith("2 faces in ")
    assert said["status"].endswith("No masks: this detector finds no landmarks")
    assert report["errors"] == []


@pytest.mark.parametrize("classes", [("face",), ("background", "face", "glasses")], ids=len)
def test_masks_of_a_segmenter(
    browse: Any, model: Model, classes: tuple[str, ...], tmp_path: Path
) -> None:
    """Their areas; test_masks.py compares their probabilities."""
    photo = photo_of_package("grace_hopper.jpg")
    segmenter = write_colour_model(tmp_path / "segmenter.onnx", *classes)

    report = browse("--segmenter", segmenter, "--photo", photo)

    (said,) = report["photos"]
    landmarks = model.predict(photo).landmarks
    (mask,) = pocketface.load(segmenter, runtime="onnxruntime").predict(photo, landmarks)
    (face,) = said["faces"]
    assert mask.area > 1000
    assert face["area"] == pytest.approx(mask.area, rel=0.01)
    assert ", masks " in said["status"]
    assert report["segmenter"].startswith("Ready")
    assert report["errors"] == []


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_recognizer(tmp_path_factory.mktemp("recognizer") / "model.onnx", **MEASURED)


@pytest.fixture
def pairs(tmp_path: Path) -> list[tuple[Path, Path]]:
    """Two photos of one person, of which one is small and turned, or close; of two; of three."""
    hopper, astronaut = (
        photo_of_package(f"{name}") for name in ("grace_hopper.jpg", "astronaut.png")
    )
    image = cv2.imread(str(hopper))
    assert image is not None
    height, width = image.shape[:2]
    turned = tmp_path / "turned.png"
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 20, 0.7)
    cv2.imwrite(str(turned), cv2.warpAffine(image, turn, (width, height)))
    other = cv2.imread(str(astronaut))
    assert other is not None
    crowd = tmp_path / "crowd.png"
    cv2.imwrite(str(crowd), np.hstack([other, cv2.resize(image, (430, 512)), other[:, ::-1]]))
    return [
        *((hopper, turned), (hopper, astronaut), (hopper, crowd), (crowd, hopper)),
        (hopper, close_up(tmp_path)),
    ]


def test_two_photos_are_compared_as_in_python(
    browse: Any, model: Model, recognizer: Path, pairs: list[tuple[Path, Path]]
) -> None:
    flags = [word for one, two in pairs for word in ("--first", one, "--second", two)]

    report = browse("--recognizer", recognizer, *flags)

    assert not report["people"]  # before a recogniser is open
    here = pocketface.load(recognizer, runtime="onnxruntime")
    assert isinstance(here, pocketface.FaceRecognizer)
    judge = Judge(here, 0.001)
    answers = []
    for (one, two), said in zip(pairs, report["compared"], strict=True):
        faces = model.predict(one, score_threshold=0.5)
        sides = faces.boxes[:, 2:] - faces.boxes[:, :2]
        largest = int(sides.prod(axis=1).argmax())
        (person,) = here.predict(one, faces.landmarks[largest][None])
        others = here.predict(two, model.predict(two, score_threshold=0.5).landmarks)
        expected = max(person.similarity(other) for other in others)
        found = re.fullmatch(r"(\w+) \((\d+) %, similarity (-?\d\.\d+)\)", said["said"])
        assert found, said
        assert float(found[3]) == pytest.approx(expected, abs=1e-3)
        verdict = judge(expected, small=False)
        assert found[1] == verdict.answer
        assert verdict.probability is not None
        assert int(found[2]) == pytest.approx(100 * verdict.probability, abs=1)
        answers.append(verdict.answer)
    assert {"yes", "no"} <= set(answers), answers
    assert report["errors"] == []


def test_comparing_is_offered_where_a_recogniser_is_listed(
    browse: Any, examples: Path, onnx_file: Path, recognizer: Path, tmp_path: Path
) -> None:
    folder = page(examples, tmp_path)
    shutil.copy(onnx_file, folder / "detector.onnx")
    shutil.copy(recognizer, folder / "recognizer.onnx")
    (folder / "models.json").write_text('["detector.onnx", "recognizer.onnx"]')
    black = tmp_path / "black.png"
    cv2.imwrite(str(black), np.zeros((40, 40, 3), np.uint8))
    photo = photo_of_package("grace_hopper.jpg")
    with served(folder) as url:
        report = browse(
            *("--first", photo, "--second", photo, "--first", photo, "--second", black), url=url
        )
    assert report["people"]
    both, one = report["compared"]
    assert both["said"].startswith("yes (")
    assert one["said"] == "Choose two photos."
    assert one["status"] == "black.png: no face in it"
    assert (both["drawn"], one["drawn"]) == ([True, True], [True, False])
    assert report["errors"] == []


def test_twenty_photos(browse: Any, model: Model, shared: Path) -> None:
    paths = list_images(shared / "wider_face" / "WIDER_val")[::25][:20]
    report = browse(*(word for path in paths for word in ("--photo", path)))
    corners = scores = 0.0
    faces = 0
    for path, said in zip(paths, report["photos"], strict=True):
        here, there = model.predict(path), shown(said["faces"])
        assert len(there.scores) == len(here.scores), path.name
        faces += len(here.scores)
        corners = max(corners, float(np.abs(there.boxes - here.boxes).max(initial=0)))
        scores = max(scores, float(np.abs(there.scores - here.scores).max(initial=0)))
    assert faces > 40
    # 0.00012 px and 4e-7 here; another Chromium may decode photos a little differently.
    assert corners < 0.5
    assert scores < 5e-3


def test_camera(browse: Any, model: Model, tmp_path: Path) -> None:
    photo = cv2.imread(str(photo_of_package("grace_hopper.jpg")))
    frame = cv2.resize(photo, (512, 600))[:480]
    video = tmp_path / "camera.mjpeg"
    video.write_bytes(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes())

    report = browse("--camera", video)

    # Chromium scales the video to the camera's format, and its colours go through YUV.
    width, height = map(int, re.findall(r"\d+", report["camera"]["status"])[-2:])
    here = model.predict(cv2.resize(frame, (width, height)))
    there = shown(report["camera"]["faces"])
    assert len(here.scores) == len(there.scores) == 1
    np.testing.assert_allclose(there.boxes, here.boxes, atol=8)
    assert report["errors"] == []


def test_refused_models(browse: Any, onnx_file: Path, tmp_path: Path) -> None:
    whole = onnx_file.read_bytes()
    damaged, cut, foreign = (tmp_path / f"{name}.onnx" for name in ("damaged", "cut", "foreign"))
    damaged.write_bytes(whole[:99_999] + bytes([whole[99_999] ^ 4]) + whole[100_000:])
    cut.write_bytes(whole[:-1])
    onnx = pytest.importorskip("onnx")
    other = onnx.load_from_string(whole)
    del other.metadata_props[:]
    foreign.write_bytes(other.SerializeToString())

    report = browse(*(word for path in (damaged, cut, foreign) for word in ("--model", path)))

    assert "does not match its SHA-256" in report["models"][0]
    assert "damaged" in report["models"][1]
    assert "no pocketface contract" in report["models"][2]
    assert report["errors"] == []
