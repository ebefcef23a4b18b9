"""What a worker has on the disk of its machine, and what is left of it."""

from __future__ import annotations

import io
import pickle
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest

import pocketface
from pocketface import files
from pocketface.apps.archive.job import Job, Photo, Worker, job_of
from pocketface.apps.blur.manifest import Done
from pocketface.apps.blur.request import BlurRequest
from pocketface.apps.blur.who import WhoRequest
from pocketface.data.images import read_image

from ...pixel_recognizer import (
    MEASURED,
    landmarks_of,
    write_detector,
    write_photo,
    write_recognizer,
)

pytest.importorskip("fsspec")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Anna stays visible in a photo of three people."""
    write_detector(tmp_path / "three.onnx", 40, 40, 40)
    write_recognizer(tmp_path / "pixels.onnx", **MEASURED)
    model = pocketface.load(tmp_path / "pixels.onnx")
    assert isinstance(model, pocketface.FaceRecognizer)
    photo = read_image(write_photo(tmp_path / "anna.png", 1))
    gallery = pocketface.Gallery.open(tmp_path / "g.gallery", model)
    gallery.add("Anna Anonymous", *model.predict(photo, np.array([landmarks_of(0)], np.float32)))
    gallery.save()
    write_photo(tmp_path / "in" / "a.png", 1, 2, 3)
    who = WhoRequest(gallery=gallery.path, rule="except", recognizer=tmp_path / "pixels.onnx")
    request = BlurRequest(sources=(), detector=tmp_path / "three.onnx", who=who, threads=1)
    return job_of(request, str(tmp_path / "in"), str(tmp_path / "out"))


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporaries, in which this process has not looked yet."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(files, "_swept", set())
    return folder


def test_the_gallery_goes_to_no_disk_of_a_worker(job: Job, scratch: Path, tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(job.models)) as archive:
        assert sorted(archive.getnames()) == ["detector/three.onnx", "recognizer/pixels.onnx"]
    (tmp_path / "g.gallery").unlink()
    assert "Anna" not in repr(job)
    worker = Worker(pickle.loads(pickle.dumps(job)))
    line = worker.answer(Photo("a.png", "")).line
    assert isinstance(line, Done)
    assert (line.faces, line.hidden) == (3, 2)
    there = [path for path in scratch.rglob("*") if path.is_file()]
    assert sorted(path.name for path in there) == ["pixels.onnx", "three.onnx"]
    assert not any(b"Anonymous" in path.read_bytes() for path in there)
    (folder,) = scratch.iterdir()
    assert folder.stat().st_mode & 0o077 == 0
    del worker
    assert list(scratch.iterdir()) == []


def test_what_a_killed_worker_leaves_is_removed_by_the_next(
    job: Job, scratch: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "job"
    packed.write_bytes(pickle.dumps(job))
    code = (
        "import os, pickle, signal, sys; from pathlib import Path\n"
        "from pocketface.apps.archive.job import Worker\n"
        "worker = Worker(pickle.loads(Path(sys.argv[1]).read_bytes()))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(packed)], timeout=120)
    assert killed.returncode == -signal.SIGKILL
    (left,) = scratch.iterdir()
    worker = Worker(job)
    (own,) = scratch.iterdir()
    assert own != left
    del worker
