"""Models in several processes and threads: the answers are those of one alone."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from operator import methodcaller
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import pocketface
from pocketface.errors import MissingPackageError, ModelFileError

LONG = 60
"""Seconds after which something stands still; a pool takes two or three."""

PHOTO: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
PREDICT = methodcaller("predict", PHOTO, score_threshold=0)
FILES = {"onnxruntime": "model.onnx", "openvino": "model.xml", "torch": "weights.safetensors"}


@pytest.mark.parametrize("runtime", FILES)
def test_a_pickled_model_is_its_file_opened_again(exported: Path, runtime: str) -> None:
    model = pocketface.load(exported / FILES[runtime], runtime=runtime, threads=1)
    again = pickle.loads(pickle.dumps(model))
    assert repr(again) == repr(model)
    assert again.path == model.path.absolute()
    assert again.session is not model.session
    assert PREDICT(again) == PREDICT(model)
    assert PREDICT(pickle.loads(pickle.dumps(again))) == PREDICT(model)


def test_it_is_opened_as_it_was(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(exported)
    model = pocketface.load("model.bin", runtime="openvino:throughput", threads=1)
    other = pocketface.load("model.onnx", runtime="openvino")
    sized = pocketface.load("weights.safetensors", input_size=(128, 64))
    content = pickle.dumps((model, other, sized))
    assert len(content) < 2000
    monkeypatch.chdir("/")
    again = pickle.loads(content)
    assert [repr(one) for one in again] == [repr(one) for one in (model, other, sized)]
    assert again[0].session.at_once == model.session.at_once
    assert again[2].contract.input.shape == (-1, 3, 128, 64)


def test_a_file_that_is_gone_is_told_of(make_model: Callable[..., Path]) -> None:
    model = pocketface.load(make_model([[1.0, 1, 9, 9]], [0.9]))
    content = pickle.dumps(model)
    model.path.unlink()
    with pytest.raises(ModelFileError, match=r"constant\.onnx: no such file"):
        pickle.loads(content)


@pytest.mark.parametrize(
    "error", [ModelFileError("model.onnx: gone", hint="copy it"), MissingPackageError("openvino")]
)
def test_errors_come_whole_from_another_process(error: ModelFileError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.hint == error.hint


def test_a_model_that_load_did_not_open_has_no_file(make_model: Callable[..., Path]) -> None:
    model = pocketface.load(make_model([[1.0, 1, 9, 9]], [0.9]))
    made = pocketface.FaceDetector(contract=model.contract, session=model.session, path=model.path)
    with pytest.raises(TypeError, match="cannot be pickled: `load` did not open it"):
        pickle.dumps(made)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pools_answer_as_one_process(exported: Path, method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    models = [
        pocketface.load(exported / FILES[name], threads=1) for name in ("onnxruntime", "openvino")
    ]
    wanted = [PREDICT(model) for model in models]  # their threads are there when it forks
    context, count = multiprocessing.get_context(method), 2 if method == "fork" else 1
    with context.Pool(count) as pool:
        assert pool.map_async(PREDICT, models).get(LONG) == wanted
    with ProcessPoolExecutor(count, mp_context=context) as executor:
        assert list(executor.map(PREDICT, models, timeout=LONG)) == wanted


@pytest.mark.skipif(not hasattr(os, "fork"), reason="does not fork here")
@pytest.mark.parametrize("runtime", FILES)
def test_a_forked_process_uses_its_parents_model(exported: Path, runtime: str) -> None:
    """With two streams of OpenVINO's, and two threads of OpenMP's, it would stand still."""
    threads = 2 if runtime == "torch" else 1
    path = exported / FILES[runtime]
    code = (
        "import os\n"
        "import numpy, pocketface\n"
        f"model = pocketface.load({str(path)!r}, runtime={runtime!r}, threads={threads})\n"
        "photo = numpy.arange(16200).astype(numpy.uint8).reshape(60, 90, 3)\n"
        "wanted = model.predict(photo, score_threshold=0)\n"
        "child = os.fork()\n"
        "found = model.predict(photo, score_threshold=0)\n"
        "numpy.testing.assert_allclose(found.boxes, wanted.boxes, atol=1e-3)\n"
        "if not child:\n"
        "    os._exit(77)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        assert process.wait(LONG) == 77
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("runtime", FILES)
def test_ten_threads_share_a_model(exported: Path, runtime: str) -> None:
    model = pocketface.load(exported / FILES[runtime], threads=1)
    generator = np.random.default_rng(1)
    photos = [generator.integers(0, 256, (64, 96, 3), np.uint8) for _ in range(30)]
    ask = [methodcaller("predict", photo, score_threshold=0) for photo in photos]
    wanted = [one(model) for one in ask]
    with ThreadPoolExecutor(10) as pool:
        assert list(pool.map(lambda one: one(model), ask, timeout=LONG)) == wanted
