"""Galleries: what is kept, found and forgotten, and files that are none."""

from __future__ import annotations

import io
import json
import os
import unicodedata
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pocketface
from pocketface import DataError, Embedding, FaceRecognizer, InputError, UserError
from pocketface.apps.gallery import Gallery, stamped

from ..pixel_recognizer import SIZE, write_recognizer

NAMES = ("Anna", "Zoë/Ж\\..", "😀 " + "x" * 300, "line\nbreak", "a=b,c")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> FaceRecognizer:
    return open_model(tmp_path_factory.mktemp("model") / "pixels.onnx")


def open_model(path: Path, **options: Any) -> FaceRecognizer:
    model = pocketface.load(write_recognizer(path, **options))
    assert isinstance(model, FaceRecognizer)
    return model


def face(seed: int, *, near: int | None = None, share: float = 0.3) -> Embedding:
    """A random direction, or one near that of another seed."""
    vector = np.random.default_rng(seed).normal(size=SIZE)
    vector /= np.linalg.norm(vector)
    if near is not None:
        vector = share * vector + (1 - share) * face(near).vector
        vector /= np.linalg.norm(vector)
    return Embedding(vector.astype(np.float32))


def filled(path: Path, model: FaceRecognizer) -> Gallery:
    gallery = Gallery.open(path, model)
    for place, name in enumerate(NAMES):
        gallery.add(name, face(place))
    gallery.save()
    return gallery


def test_people_are_found_again_in_the_file(tmp_path: Path, model: FaceRecognizer) -> None:
    path = tmp_path / "new" / "all.gallery"
    gallery = filled(path, model)
    for found in (gallery, Gallery.open(path), Gallery.open(path, model)):
        assert len(found) == 5
        assert set(found.names) == set(NAMES)
        for place, name in enumerate(NAMES):
            match = found.find(face(100 + place, near=place))
            assert match is not None
            assert match.name == name
            expected = face(100 + place, near=place).similarity(face(place))
            assert match.similarity == pytest.approx(expected, abs=1e-6)
    assert [one.name for one in path.parent.iterdir()] == ["all.gallery"]  # no lock, no temporary


def test_the_best_face_of_a_person_counts(tmp_path: Path, model: FaceRecognizer) -> None:
    gallery = Gallery.open(tmp_path / "a.gallery", model)
    assert gallery.find(face(1)) is None
    photo = tmp_path / "b.jpg"
    photo.write_bytes(b"1")
    gallery.add("Anna", face(1))
    gallery.add("Anna", face(2), photo=photo)
    gallery.add("Bert", face(3))
    match = gallery.find(face(9, near=2, share=0.1))
    assert match is not None
    assert (match.name, match.photo) == ("Anna", "b.jpg")
    assert (len(gallery), gallery.names) == (3, ("Anna", "Bert"))


def test_one_name_in_two_forms_is_one_person(tmp_path: Path, model: FaceRecognizer) -> None:
    gallery = Gallery.open(tmp_path / "a.gallery", model)
    for form in ("NFC", "NFD"):
        gallery.add(unicodedata.normalize(form, " Zoë "), face(1))
    assert gallery.names == (unicodedata.normalize("NFC", "Zoë"),)
    assert gallery.forget(unicodedata.normalize("NFD", "Zoë")) == 2


@pytest.mark.parametrize("name", ["", "  ", "a\0b"])
def test_names_that_are_none(tmp_path: Path, model: FaceRecognizer, name: str) -> None:
    gallery = Gallery.open(tmp_path / "a.gallery", model)
    with pytest.raises(UserError, match="expected a text that is not empty"):
        gallery.add(name, face(1))


@pytest.mark.parametrize(
    "vector", [np.ones(SIZE), np.full(SIZE, np.nan), np.eye(1, SIZE - 1)[0], np.zeros(SIZE)]
)
def test_vectors_that_are_no_embedding(
    tmp_path: Path, model: FaceRecognizer, vector: np.ndarray
) -> None:
    gallery = Gallery.open(tmp_path / "a.gallery", model)
    gallery.add("Anna", face(1))
    wrong = Embedding(vector.astype(np.float32))
    with pytest.raises(InputError):
        gallery.add("Anna", wrong)
    with pytest.raises(InputError):
        gallery.find(wrong)
    assert len(gallery) == 1


def test_nothing_of_the_forgotten_is_left_in_the_file(
    tmp_path: Path, model: FaceRecognizer
) -> None:
    path = tmp_path / "a.gallery"
    photo = tmp_path / "secret-place.jpg"
    photo.write_bytes(b"1")
    gallery = Gallery.open(path, model)
    gallery.add("Secret Person", face(1), photo=photo)
    gallery.add("Bert", face(2))
    gallery.save()
    traces = [b"Secret Person", b"secret-place", face(1).vector.tobytes()]
    assert all(trace in path.read_bytes() for trace in traces)
    again = Gallery.open(path)
    assert again.forget("Secret Person") == 1
    assert again.names == ("Bert",)
    again.save()
    assert not any(trace in path.read_bytes() for trace in traces)
    assert face(2).vector.tobytes() in path.read_bytes()
    assert {one.name for one in tmp_path.iterdir()} == {"secret-place.jpg", "a.gallery"}
    match = Gallery.open(path).find(face(1))
    assert match is not None
    assert match.name == "Bert"


def test_a_name_that_is_not_there_is_refused_with_near_ones(
    tmp_path: Path, model: FaceRecognizer
) -> None:
    gallery = filled(tmp_path / "a.gallery", model)
    with pytest.raises(UserError, match="nobody is called 'Ana'") as caught:
        gallery.forget("Ana")
    assert caught.value.hint == "did you mean 'Anna'?"
    assert len(gallery) == 5


def test_what_others_wrote_meanwhile_is_kept(tmp_path: Path, model: FaceRecognizer) -> None:
    path = tmp_path / "a.gallery"
    filled(path, model)
    one, other = Gallery.open(path, model), Gallery.open(path, model)
    one.add("Carl", face(10))
    one.forget("Anna")
    other.add("Dora", face(11))
    one.save()
    other.save()
    expected = {*NAMES, "Carl", "Dora"} - {"Anna"}
    assert set(other.names) == set(Gallery.open(path).names) == expected


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path, model: FaceRecognizer) -> None:
    path = tmp_path / "a.gallery"

    def write(who: int) -> None:
        gallery = Gallery.open(path, model)
        for turn in range(8):
            gallery.add(f"{who}-{turn}", face(who))
            gallery.save()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert set(Gallery.open(path).names) == {
        f"{who}-{turn}" for who in range(4) for turn in range(8)
    }


def test_a_link_leads_to_the_file_that_is_changed(tmp_path: Path, model: FaceRecognizer) -> None:
    path, link = tmp_path / "real" / "a.gallery", tmp_path / "link.gallery"
    filled(path, model)
    link.symlink_to(Path("real") / "a.gallery")
    gallery = Gallery.open(link)
    gallery.forget("Anna")
    gallery.save()
    assert link.is_symlink()
    assert face(0).vector.tobytes() not in path.read_bytes()
    assert "Anna" not in Gallery.open(path).names
    assert {one.name for one in tmp_path.iterdir()} == {"real", "link.gallery"}
    assert [one.name for one in path.parent.iterdir()] == ["a.gallery"]


def test_a_gallery_is_for_its_owner_unless_its_permissions_say_more(
    tmp_path: Path, model: FaceRecognizer
) -> None:
    path = tmp_path / "a.gallery"
    gallery = filled(path, model)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    gallery.add("Bert", face(7))
    gallery.save()
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_photo_that_two_add_at_once_is_there_once(tmp_path: Path, model: FaceRecognizer) -> None:
    path, file = tmp_path / "a.gallery", tmp_path / "1.jpg"
    file.write_bytes(b"1")
    photo = stamped("Anna", file, "1.jpg")
    one, other = Gallery.open(path, model), Gallery.open(path, model)
    for gallery in (one, other):
        gallery.add_photo(photo, [face(1)], np.zeros((1, 4)))
        gallery.add("Bert", face(2))  # of no photo: two faces
    one.save()
    other.save()
    assert len(other) == len(Gallery.open(path)) == 3
    # Another face of the photo, from Python.
    one = Gallery.open(path)
    one.add_photo(photo, [face(4)], np.zeros((1, 4)))
    one.save()
    assert len(one) == 4


def test_a_photo_added_anew_is_not_the_one_that_is_forgotten(
    tmp_path: Path, model: FaceRecognizer
) -> None:
    path, file = tmp_path / "a.gallery", tmp_path / "1.jpg"
    file.write_bytes(b"1")
    photo = stamped("Anna", file, "1.jpg")
    filled(path, model)
    one, other = Gallery.open(path), Gallery.open(path)
    other.add_photo(photo, [face(11)], np.zeros((1, 4)))
    other.save()
    one.forget("Anna")
    one.add_photo(photo, [face(12)], np.zeros((1, 4)))
    one.save()
    stored = Gallery.open(path)
    assert len(stored) == len(NAMES)
    match = stored.find(face(12))
    assert match is not None
    assert (match.name, match.similarity) == ("Anna", pytest.approx(1))


def test_a_photo_without_a_face_gives_way_to_its_faces(
    tmp_path: Path, model: FaceRecognizer
) -> None:
    path, file = tmp_path / "a.gallery", tmp_path / "1.jpg"
    file.write_bytes(b"1")
    photo = stamped("Anna", file, "1.jpg")
    gallery = Gallery.open(path, model)
    gallery.add_photo(photo, [], np.empty((0, 4)))
    gallery.add("Bert", face(2))
    gallery.save()
    again = Gallery.open(path, model)
    assert again.has(photo)
    assert not again.has(photo, with_faces=True)
    again.add_photo(photo, [face(1)], np.zeros((1, 4)))
    assert again.has(photo, with_faces=True)
    again.save()
    stored = Gallery.open(path)
    assert [one.person for one in stored.content.photos] == ["Bert", "Anna"]
    assert stored.names == ("Anna", "Bert")
    found = stored.find(face(2))
    assert found is not None
    assert found.name == "Bert"


def test_another_model_is_refused_by_name(tmp_path: Path, model: FaceRecognizer) -> None:
    path = tmp_path / "a.gallery"
    filled(path, model)
    for options in ({"name": "other"}, {"checkpoint": "ab" * 32}):
        other = open_model(tmp_path / "other.onnx", **options)
        with pytest.raises(DataError, match="its embeddings are of pixels") as caught:
            Gallery.open(path, other)
        assert str(other.path) in str(caught.value)
        assert options.get("name", "abab") in str(caught.value)


def parts_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return buffer.getvalue()


def array(values: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array(values, **options), allow_pickle=True)
    return buffer.getvalue()


def header(**changes: Any) -> bytes:
    model = {"name": "n", "checkpoint_sha256": None, "input_sha256": "x", "size": SIZE}
    content = {"format": "pocketface gallery", "version": 1, "model": model} | changes
    return array(np.frombuffer(json.dumps(content).encode(), np.uint8))


def changed(**parts: bytes) -> Callable[[bytes], bytes]:
    return lambda content: packed(
        parts_of(content) | {f"{name}.npy": part for name, part in parts.items()}
    )


FAULTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "text": lambda _: b"just a text\n" * 100,
    "half": lambda content: content[: len(content) // 2],
    "end is gone": lambda content: content[:-30],
    "a byte is another": lambda content: (
        content[: (at := content.index(face(1).vector.tobytes()))]
        + bytes([content[at] ^ 1])
        + content[at + 1 :]
    ),
    "another archive": lambda _: packed({"readme.txt": b"hello"}),
    "a part is gone": lambda content: packed(
        {name: part for name, part in parts_of(content).items() if name != "boxes.npy"}
    ),
    "compressed": lambda content: packed(parts_of(content), zipfile.ZIP_DEFLATED),
    "a part is text": changed(people=b"hello"),
    "objects": changed(face_photo=array([{}], dtype=object)),
    "nobody's photo": changed(face_photo=array([0, 1, 2, 3, 99], dtype=np.int32)),
    "a number": changed(face_photo=array(7)),
    "other length": changed(embeddings=array(np.ones((5, SIZE)), dtype=np.float32)),
    "other shape": changed(embeddings=array(np.ones((5, 3)), dtype=np.float32)),
    "not numbers": changed(embeddings=array(np.full((5, SIZE), np.nan), dtype=np.float32)),
    "text is cut off": changed(people=array(np.frombuffer(b"Anna", np.uint8))),
    "no text": changed(photo_person=array(["a"] * 5)),
    "list as header": changed(header=array(np.frombuffer(b"[1]", np.uint8))),
    "deep header": changed(header=array(np.frombuffer(b"[" * 100_000, np.uint8))),
    "model is none": changed(header=header(model={"name": 1})),
    "without a size": changed(header=header(model=None)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_and_foreign_files_are_refused_in_one_line(
    tmp_path: Path, model: FaceRecognizer, fault: str
) -> None:
    path = tmp_path / "a.gallery"
    filled(path, model)
    path.write_bytes(FAULTS[fault](path.read_bytes()))
    with pytest.raises(DataError, match="not a gallery, or damaged") as caught:
        Gallery.open(path, model)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 300


def test_huge_arrays_are_not_made(tmp_path: Path, model: FaceRecognizer) -> None:
    path = tmp_path / "a.gallery"
    filled(path, model)
    claimed = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (10**12, SIZE)}
    np.lib.format.write_array_header_1_0(claimed, shape)
    path.write_bytes(changed(embeddings=claimed.getvalue())(path.read_bytes()))
    with pytest.raises(DataError, match="not a gallery"):
        Gallery.open(path, model)


def test_a_later_version_says_so(tmp_path: Path, model: FaceRecognizer) -> None:
    path = tmp_path / "a.gallery"
    filled(path, model)
    path.write_bytes(changed(header=header(version=2))(path.read_bytes()))
    with pytest.raises(DataError, match="of version 2: expected 1"):
        Gallery.open(path, model)


def test_no_gallery_where_one_is_expected(tmp_path: Path, model: FaceRecognizer) -> None:
    with pytest.raises(DataError, match="no such gallery"):
        Gallery.open(tmp_path / "none.gallery")
    with pytest.raises(UserError, match=r"expected a name that ends in \.gallery"):
        Gallery.open(tmp_path / "new.npz", model)
    (tmp_path / "folder.gallery").mkdir()
    with pytest.raises(DataError, match="is no regular file"):
        Gallery.open(tmp_path / "folder.gallery", model)


def test_the_highest_cosine_to_each_person(tmp_path: Path, model: FaceRecognizer) -> None:
    gallery = Gallery.open(tmp_path / "a.gallery", model)
    assert gallery.similarities(face(1)).shape == (0,)
    for name, number in (("Bert", 3), ("Anna", 1), ("Anna", 2)):
        gallery.add(name, face(number))
    for number in (1, 2, 3):
        expected = [
            max(face(one).similarity(face(number)) for one in (1, 2)),
            face(3).similarity(face(number)),
        ]
        np.testing.assert_allclose(gallery.similarities(face(number)), expected, atol=1e-6)
    gallery.save()
    gallery.forget("Anna")
    assert gallery.names == ("Bert",)
    np.testing.assert_allclose(gallery.similarities(face(3)), [1], atol=1e-6)


def test_a_link_to_a_gallery_that_is_not_there_yet(tmp_path: Path, model: FaceRecognizer) -> None:
    link = tmp_path / "link.gallery"
    link.symlink_to("real.gallery")
    gallery = Gallery.open(link, model)
    gallery.add("Anna", face(1))
    gallery.save()
    assert link.is_symlink()
    assert Gallery.open(tmp_path / "real.gallery").names == ("Anna",)


def test_a_pipe_is_no_gallery(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gallery")
    with pytest.raises(DataError, match=r"pipe\.gallery: is no regular file; expected a gallery"):
        Gallery.open(tmp_path / "pipe.gallery")
