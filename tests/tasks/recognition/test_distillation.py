"""Teachers of recognisers: ours and other people's, their cache, and what is refused."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from pocketface.data.identities import read_identities
from pocketface.errors import DataError, ModelFileError, UserError
from pocketface.files import cache_folder
from pocketface.model_templates.recipe import TeacherInputSpec
from pocketface.model_templates.schema import TemplateFile
from pocketface.models.network import make_network
from pocketface.models.weights import write_weights
from pocketface.tasks import task_of
from pocketface.tasks.describe import contract_for
from pocketface.tasks.load import load_as
from pocketface.tasks.recognition import distillation
from pocketface.tasks.recognition.crops import collate
from pocketface.tasks.recognition.distillation import EmbeddingTeacher, find_teacher
from pocketface.tasks.recognition.embeddings import embeddings_of
from pocketface.tasks.recognition.foreign import open_foreign
from pocketface.tasks.recognition.model import FaceRecognizer
from pocketface.tasks.templates import parse_template

from ...pixel_recognizer import write_detector, write_recognizer
from ...tiny_network import write_tiny_weights
from .tiny_recognizer import TINY, write_list

LEARN = task_of("face-recognition").learn
SIDE = 32
POINTS = contract_for(parse_template(TINY, source="test")).input.points
TAKES = TeacherInputSpec(points=tuple((x / SIDE, y / SIDE) for x, y in POINTS or ()))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def photos_in(folder: Path, count: int = 4) -> Any:
    names = []
    for index in range(count):
        image = np.zeros((SIDE, SIDE, 3), np.uint8)
        image[:] = (40 * index + 10, 100, 200 - 30 * index)
        assert cv2.imwrite(str(folder / f"{index}.png"), image)
        names.append((f"{index}.png", "ann" if index % 2 else None))
    path = write_list(folder / "all.identities.json", names, POINTS)
    return read_identities([path], [folder]).photos


def write_mean_of_colours(path: Path, *, outputs: int = 1, size: int = 3) -> Path:
    """An ONNX file whose vector is the mean of the three channels."""
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    made = [
        helper.make_tensor_value_info(f"y{index}", TensorProto.FLOAT, [1, size, 1, 1])
        for index in range(outputs)
    ]
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], [f"y{index}"]) for index in range(outputs)
    ]
    graph = helper.make_graph(nodes, "mean", [image], made)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def template_file(folder: Path, distillation: str, text: str = TINY) -> TemplateFile:
    text = text.replace("  schedule:", f"  distillation: {distillation}\n  schedule:")
    path = folder / "template.yaml"
    path.write_text(text, encoding="utf-8")
    return TemplateFile(path, text, parse_template(text, source="test"))


def inline(takes: TeacherInputSpec) -> str:
    return takes.model_dump_json()


def test_a_teacher_tells_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_mean_of_colours(tmp_path / "mean.onnx")
    monkeypatch.setattr(distillation, "TOLD_EVERY", 2)
    with caplog.at_level("INFO", distillation.__name__):
        EmbeddingTeacher(path, takes=TAKES, weight=1.0).embeddings(photos_in(tmp_path, 5))
    assert caplog.messages == [
        "mean.onnx looks at 5 photos",
        "mean.onnx has seen 2 of 5 photos",
        "mean.onnx has seen 4 of 5 photos",
    ]


def test_a_file_of_others_gets_the_pixels_that_it_wants(tmp_path: Path) -> None:
    path = write_mean_of_colours(tmp_path / "mean.onnx")
    takes = TAKES.model_copy(
        update={"colour": "RGB", "mean": (10.0, 20.0, 30.0), "std": (2.0, 4.0, 5.0)}
    )
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[:] = (70, 60, 50)  # BGR
    points = np.array([POINTS], np.float32)
    (found,) = open_foreign(path, takes).predict(image, points)
    wanted = np.array([(50 - 10) / 2, (60 - 20) / 4, (70 - 30) / 5])
    np.testing.assert_allclose(found.vector, wanted / np.linalg.norm(wanted), atol=1e-5)


def test_a_face_is_brought_to_the_points_of_the_file(tmp_path: Path) -> None:
    model = open_foreign(write_mean_of_colours(tmp_path / "mean.onnx"), TAKES)
    image = np.random.default_rng(0).integers(0, 256, (3 * SIDE, 3 * SIDE, 3), dtype=np.uint8)
    moved = np.add(np.array([POINTS], np.float32), (40, 25))
    (face,) = model.cut(image, moved)
    assert (face == image[25 : 25 + SIDE, 40 : 40 + SIDE]).all()


@pytest.mark.parametrize("change", [{"outputs": 2}])
def test_a_file_that_is_no_recogniser_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = write_mean_of_colours(tmp_path / "two.onnx", **change)
    with pytest.raises(ModelFileError, match=r"two.onnx: outputs .* expected one vector for a"):
        open_foreign(path, TAKES)


def test_a_teacher_looks_once_at_each_list_of_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_mean_of_colours(tmp_path / "mean.onnx")
    photos = photos_in(tmp_path)
    found = EmbeddingTeacher(path, takes=TAKES, weight=1).embeddings(photos)
    colours = np.array([[40 * i + 10, 100, 200 - 30 * i] for i in range(4)], np.float64)
    np.testing.assert_allclose(
        found, colours / np.linalg.norm(colours, axis=1, keepdims=True), atol=1e-3
    )
    (stored,) = (cache_folder() / "embeddings").iterdir()
    with monkeypatch.context() as patched:
        patched.setattr(
            "pocketface.tasks.recognition.distillation.open_foreign",
            lambda *_: pytest.fail("again"),
        )
        again = EmbeddingTeacher(path, takes=TAKES, weight=2).embeddings(photos)
    assert (again == found).all()
    # Other photos behind the same names, and a damaged cache, are seen to.
    os.utime(photos[0].path, ns=(1, 1))
    assert (EmbeddingTeacher(path, takes=TAKES, weight=1).embeddings(photos) == found).all()
    assert len(list(stored.parent.iterdir())) == 2
    for file in stored.parent.iterdir():
        file.write_bytes(b"\x93NUMPY")
    assert (EmbeddingTeacher(path, takes=TAKES, weight=1).embeddings(photos) == found).all()


@pytest.mark.parametrize(
    "parts", [["model.xml", "model.bin"], ["model.savedmodel/a", "model.savedmodel/b"]]
)
def test_a_teacher_is_known_by_all_its_files(tmp_path: Path, parts: list[str]) -> None:
    """Its stored embeddings are not those of other tensors in the `.bin`."""
    known = set()
    for contents in (["1", "1"], ["1", "2"], ["2", "1"]):
        for part, content in zip(parts, contents, strict=True):
            (tmp_path / part).parent.mkdir(exist_ok=True)
            (tmp_path / part).write_text(content)
        path = tmp_path / Path(parts[0]).parts[0]
        if path.is_dir():
            (path / "assets.extra").mkdir(exist_ok=True)
            (path / "assets.extra" / "pocketface.json").write_text("{}")
        known.add(EmbeddingTeacher(path, takes=None, weight=1).sha256)
    assert len(known) == 3


def test_a_damaged_photo_has_no_embedding(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pocketface.tasks.recognition.embeddings._AT_ONCE", 2)
    photos = photos_in(tmp_path)
    photos[2].path.write_bytes(b"no picture")
    model = open_foreign(write_mean_of_colours(tmp_path / "mean.onnx"), TAKES)
    done: list[int] = []
    at_once: list[int] = []
    embed = model.embed
    monkeypatch.setattr(model, "embed", lambda faces: at_once.append(len(faces)) or embed(faces))
    found = embeddings_of(model, photos, on_progress=lambda index, _: done.append(index))
    assert np.isnan(found).all(1).tolist() == [False, False, True, False]
    assert f"has no embedding: {photos[2].path}" in caplog.text
    assert done == [1, 2, 3, 4]
    assert at_once == [2, 1]
    alone = [embeddings_of(model, [photo])[0] for photo in (photos[0], photos[1], photos[3])]
    assert (found[[0, 1, 3]] == alone).all()
    with pytest.raises(DataError, match=r"^1 of 1 photos cannot be used: .*\.png"):
        embeddings_of(model, photos[2:3])


@pytest.mark.parametrize("size", [3, 8])
def test_a_student_learns_from_a_teacher_with_and_without_labels(tmp_path: Path, size: int) -> None:
    path = write_mean_of_colours(tmp_path / "mean.onnx")
    text = TINY.replace("size: 8", f"size: {size}")
    text = text.replace("loss: {type: arcface, scale: 16, margin: 0.2}", "loss: null")
    spec = f"{{teacher: {path.name}, weight: 2.0, input: {inline(TAKES)}}}"
    student = template_file(tmp_path, spec, text)
    photos = photos_in(tmp_path)
    teacher = find_teacher(student)
    learner: Any = LEARN.learner(student.spec, photos, teacher=teacher)
    # A projection is made where the numbers of components differ.
    assert (len(list(learner.parameters())) == 1) == (size != 3)
    crops = LEARN.crops(student.spec, photos, seed=0, passes=1)
    crops.preload(budget=2**30)
    images, targets = collate(crops[[(0, index) for index in range(4)]])
    torch.manual_seed(0)
    network = make_network(student.spec.architecture).train()
    optimizer = torch.optim.Adam([*network.parameters(), *learner.parameters()], lr=0.02)
    history = []
    for step in range(40):
        losses = learner.losses(network, images, targets, seed=step)
        assert set(losses) == {"taught"}
        optimizer.zero_grad()
        losses["taught"].backward()
        optimizer.step()
        history.append(losses["taught"].item())
    assert history[-1] < 0.3 * history[0]


def test_our_own_weights_teach_too(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = make_network(parse_template(TINY, source="test").architecture)
    weights = tmp_path / "teacher.safetensors"
    write_weights(weights, template_text=TINY, state_dict=network.state_dict(), epochs=1)
    teacher = find_teacher(template_file(tmp_path, "{teacher: teacher.safetensors}"))
    assert teacher is not None
    assert teacher.path == weights
    photos = photos_in(tmp_path)
    wanted = embeddings_of(load_as(FaceRecognizer, weights), photos)
    np.testing.assert_allclose(teacher.embeddings(photos), wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "takes", "message"),
    [
        ("none.onnx", TAKES, "/none.onnx: no such file; expected a face recogniser"),
        ("none.pth", None, "/none.pth: no such file; expected a face recogniser"),
        ("no-template", None, "/no-template: no such file; expected a face recogniser"),
        ("folder", None, "/folder: is a folder without template.yaml; expected a face recogniser"),
        ("folder.onnx", TAKES, "/folder.onnx: is a folder; expected a file"),
        ("folder.pth", None, "/folder.pth: is a folder; expected a file"),
        ("text.onnx", TAKES, "/text.onnx: damaged, or not an .onnx file: .*; expected a face"),
        ("text.safetensors", None, "/text.safetensors: damaged.*; expected a face recogniser"),
        ("text.txt", TAKES, "/text.txt: unknown kind of model file; expected one of .xml"),
        ("two.onnx", TAKES, "/two.onnx: outputs .*: expected one vector for a face"),
        ("detector.safetensors", None, "is for face-detection; expected a face recogniser"),
        ("detector.onnx", None, "is for face-detection; expected a face recogniser"),
        ("glasses-n", None, "is for face-classification; expected a face recogniser"),
        ("siamese-n", None, "siamese-n: ships no weights; expected a face recogniser"),
        ("mean.onnx", None, "/mean.onnx has no contract: expected .*distillation.input too"),
    ],
)
def test_a_teacher_that_cannot_be_used_is_named_with_template_and_key(
    name: str, takes: TeacherInputSpec | None, message: str, tmp_path: Path
) -> None:
    for folder in ("folder", "folder.onnx", "folder.pth"):
        (tmp_path / folder).mkdir()
    for text in ("text.onnx", "text.safetensors", "text.txt"):
        (tmp_path / text).write_text("just a text")
    write_mean_of_colours(tmp_path / "mean.onnx")
    write_mean_of_colours(tmp_path / "two.onnx", outputs=2)
    write_tiny_weights(tmp_path).rename(tmp_path / "detector.safetensors")
    write_detector(tmp_path / "detector.onnx", 40)
    given = "" if takes is None else f", input: {inline(takes)}"
    student = template_file(tmp_path, f"{{teacher: {name}{given}}}")
    key = r"template.yaml: hyper_parameters\.distillation\.teacher: "
    with pytest.raises(UserError, match=f"^{re.escape(str(tmp_path))}/{key}.*{message}") as caught:
        find_teacher(student)
    assert "\n" not in str(caught.value)


def test_how_our_own_teachers_take_a_face_is_not_said_twice(tmp_path: Path) -> None:
    write_recognizer(tmp_path / "ours.onnx")
    student = template_file(tmp_path, f"{{teacher: ours.onnx, input: {inline(TAKES)}}}")
    with pytest.raises(UserError, match=r"template.yaml: .*distillation.input: .* says how it tak"):
        find_teacher(student)
    assert find_teacher(template_file(tmp_path, "null")) is None
