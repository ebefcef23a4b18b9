"""Other ways to run a file give the same answers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pocketface
from pocketface.errors import ImageError, UserError

MakeModel = Callable[..., Path]


@pytest.mark.parametrize(
    ("mode", "tolerance"), [("script", 1e-3), ("channels-last", 1e-3), ("bf16", 0.5)]
)
def test_torch_modes_answer_as_the_network_does(
    mode: str, tolerance: float, exported: Path
) -> None:
    path = exported / "weights.safetensors"
    model = pocketface.load(path)
    size = model.contract.input
    batch = np.random.default_rng(0).uniform(0, 255, (2, 3, size.height, size.width))
    images = batch.astype(np.float32)
    wanted = model.raw(images)
    found = pocketface.load(path, runtime=f"torch:{mode}").raw(images)
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        assert found[name].dtype == np.float32
        assert np.abs(found[name] - array).max() <= tolerance
    if mode == "bf16":  # it is another arithmetic, not the same under another name
        assert any((found[name] != array).any() for name, array in wanted.items())


@pytest.mark.filterwarnings("ignore:.*script_method:DeprecationWarning")  # of TorchInductor
def test_a_compiled_network_answers_as_it_did(exported: Path) -> None:
    if shutil.which("c++") is None:
        pytest.skip("needs a C++ compiler")
    path = exported / "weights.safetensors"
    model = pocketface.load(path)
    size = model.contract.input
    images = np.random.default_rng(0).uniform(0, 255, (1, 3, size.height, size.width))
    wanted = model.raw(images.astype(np.float32))
    found = pocketface.load(path, runtime="torch:compile").raw(images.astype(np.float32))
    for name, array in wanted.items():
        assert np.abs(found[name] - array).max() <= 1e-3


def test_openvino_for_throughput_answers_as_for_latency(exported: Path) -> None:
    path = exported / "model.xml"
    one, other = (
        pocketface.load(path, runtime=runtime, threads=2)
        for runtime in ("openvino", "openvino:throughput")
    )
    assert one.session.at_once == 1
    assert other.session.at_once >= 1
    size = one.contract.input
    images = np.random.default_rng(0).uniform(0, 255, (1, 3, size.height, size.width))
    wanted, found = (model.raw(images.astype(np.float32)) for model in (one, other))
    for name, array in wanted.items():
        assert np.abs(found[name] - array).max() <= 1e-3


def test_a_graph_of_cuda_needs_cuda(exported: Path) -> None:
    with pytest.raises(UserError, match=r"'torch:cuda-graph': device 'cpu': expected cuda"):
        pocketface.load(exported / "weights.safetensors", runtime="torch:cuda-graph")
    with pytest.raises(UserError, match=r"expected one of torch, torch:compile, torch:script"):
        pocketface.load(exported / "weights.safetensors", runtime="torch:fast")


def test_threads_are_those_of_one_inference(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime has another pool, which works on graphs of parallel branches alone."""
    onnxruntime = pytest.importorskip("onnxruntime")
    opened = []
    true = onnxruntime.InferenceSession

    def open_one(*arguments: Any, **options: Any) -> Any:
        opened.append(true(*arguments, **options))
        return opened[-1]

    monkeypatch.setattr(onnxruntime, "InferenceSession", open_one)
    pocketface.load(exported / "model.onnx", threads=3)
    pocketface.load(exported / "model.onnx")
    # Each file is checked before, by a session of its own, which runs nothing.
    check, *_ = options = [one.get_session_options() for one in opened]
    assert check.intra_op_num_threads == 1
    options = options[1::2]
    assert [one.intra_op_num_threads for one in options] == [3, 0]
    assert [one.inter_op_num_threads for one in options] == [0, 0]


@pytest.mark.parametrize("runtime", ["openvino", "openvino:throughput"])
def test_the_cpu_that_openvino_chooses_has_the_settings_of_the_cpu(
    runtime: str, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    openvino = pytest.importorskip("openvino")
    compiled = []
    true = openvino.Core.compile_model

    def compile_one(*arguments: Any) -> Any:
        compiled.append(true(*arguments))
        return compiled[-1]

    monkeypatch.setattr(openvino.Core, "compile_model", compile_one)
    for device in ("cpu", "auto"):
        pocketface.load(exported / "model.xml", runtime=runtime, device=device, threads=1)
    cpu, auto = compiled
    found = auto.get_property("DEVICE_PROPERTIES")["CPU"]
    for name in ("INFERENCE_NUM_THREADS", "NUM_STREAMS", "INFERENCE_PRECISION_HINT"):
        assert found[name] == cpu.get_property(name)


def test_photos_from_disk_keep_their_order(make_model: MakeModel, tmp_path: Path) -> None:
    import cv2

    model = pocketface.load(make_model([[0, 0, 10, 10]], [1.0]))
    blues = [250, 10, 200, 150, 240, 20, 180]
    files = []
    for index, blue in enumerate(blues):
        files.append(tmp_path / f"{index}.png")
        cv2.imwrite(str(files[-1]), np.full((80, 160, 3), blue, np.uint8))
    found = model.predict_batch(files, score_threshold=0.0, batch_size=2)
    assert [float(one.scores[0]) for one in found] == pytest.approx([b / 255 for b in blues])
    files[3].write_text("no photo")
    with pytest.raises(ImageError, match=r"3\.png"):
        model.predict_batch(files, batch_size=2)
