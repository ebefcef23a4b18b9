from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pocketface
from pocketface.errors import ContractError, ModelFileError, TemplateError, UserError
from pocketface.model_templates import template_names
from pocketface.runtimes import seal
from pocketface.runtimes.session import Session, checked

MakeModel = Callable[..., Path]
BOXES, SCORES = [[10.0, 10.0, 30.0, 30.0]], [0.9]


@pytest.fixture
def files(exported: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(exported, tmp_path / "files")


@pytest.mark.parametrize(
    ("name", "runtime", "expected"),
    [
        ("model.onnx", None, "onnxruntime"),
        ("model.onnx", "openvino", "openvino"),
        ("model.xml", None, "openvino"),
        ("model.bin", None, "openvino"),
        ("model.pt", None, "torchscript"),
        ("weights.safetensors", None, "torch"),
        ("weights.pth", None, "torch"),
    ],
)
@pytest.mark.parametrize("kind", [str, Path])
def test_every_file_loads(
    exported: Path, name: str, runtime: str | None, expected: str, kind: Callable[[Path], Any]
) -> None:
    model = pocketface.load(kind(exported / name), runtime=runtime, threads=1)
    assert model.session.runtime == expected
    assert model.contract.name == "tiny"
    assert model.contract.input.shape == (-1, 3, 64, 96)
    found = model.predict(np.zeros((30, 40, 3), np.uint8), score_threshold=0)
    assert len(found) > 0
    assert found.landmarks is not None
    assert "tiny" in repr(model)


@pytest.mark.parametrize(
    "name", ["model.onnx", "model.xml", "model.pt", "weights.safetensors", "weights.pth"]
)
def test_names_of_files_and_folders_may_be_any_bytes(
    exported: Path, tmp_path: Path, name: str
) -> None:
    source = exported / name
    folder = tmp_path / os.fsdecode(b"mod\xe8les")
    folder.mkdir()
    stems = (source.stem, os.fsdecode(b"mod\xe8le"))
    for stem in stems:
        for part in seal.model_files(source):
            shutil.copy(part, folder / f"{stem}{part.suffix}")
        assert pocketface.load(folder / f"{stem}{source.suffix}").contract.name == "tiny"


@pytest.mark.parametrize("name", ["model.onnx", "model.xml", "model.pt", "weights.pth"])
def test_a_model_serves_several_threads(exported: Path, name: str) -> None:
    model = pocketface.load(exported / name, threads=1)
    generator = np.random.default_rng(0)
    photos = [generator.integers(0, 256, (64, 96, 3), np.uint8) for _ in range(24)]
    expected = [model.predict(photo, score_threshold=0) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda photo: model.predict(photo, score_threshold=0), photos))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)


def test_weights_files_state_where_they_come_from(exported: Path) -> None:
    source = pocketface.load(exported / "weights.safetensors").contract.provenance
    onnx = pocketface.load(exported / "model.onnx").contract.provenance
    assert source.checkpoint_sha256 is not None
    assert onnx == source


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.tfl", r"unknown kind of model file; expected one of \.xml, \.onnx"),
        ("model", "unknown kind"),
        ("none.onnx", r"none\.onnx: no such file"),
        ("none.bin", r"none\.xml: no such file"),
        ("none.pth", "no such file"),
        ("folder.onnx", "is a folder"),
        ("none.mlpackage", r"none\.mlpackage: no such folder"),
        ("file.mlpackage", "is a file; expected a folder"),
    ],
)
def test_no_such_file(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "file.mlpackage").touch()
    with pytest.raises(ModelFileError, match=message):
        pocketface.load(tmp_path / name)


def test_a_folder_s_files_are_named(tmp_path: Path) -> None:
    for name in ("model.xml", "model.bin", "model.onnx", "notes.txt"):
        (tmp_path / name).touch()
    with pytest.raises(ModelFileError, match="unknown kind") as caught:
        pocketface.load(tmp_path)
    inside = f"{tmp_path / 'model.onnx'}, {tmp_path / 'model.xml'}"
    assert caught.value.hint == f"name a file of the folder: {inside}"


def test_half_a_pair(files: Path) -> None:
    (files / "model.bin").unlink()
    with pytest.raises(
        ModelFileError, match=r"model\.xml: model\.bin, a part of it, cannot be read"
    ):
        pocketface.load(files / "model.xml")


IN_PLACE: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "is a named pipe; expected a file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is a device; expected a file"),
    "empty": (lambda path: path.touch(), "is empty: damaged"),
    "large": (lambda path: os.truncate(write(path), 10 << 30), "10,737,418,240 bytes are too many"),
}
"""What may stand where a file is expected, and what is said of it at once."""


def write(path: Path) -> Path:
    path.touch()
    return path


@pytest.mark.parametrize("kind", IN_PLACE)
@pytest.mark.parametrize(
    "name",
    [
        f"m.{end}"
        for end in ("xml", "bin", "onnx", "mlmodel", "tflite", "keras", "pt", "pth", "safetensors")
    ],
)
def test_no_file_to_read(tmp_path: Path, name: str, kind: str) -> None:
    make, message = IN_PLACE[kind]
    make(tmp_path / name)
    if name == "m.bin":
        (tmp_path / "m.xml").write_text("<net/>")
    with pytest.raises(ModelFileError, match=message) as caught:
        pocketface.load(tmp_path / name)
    assert name in str(caught.value)


@pytest.mark.parametrize("suffix", [".mlpackage", ".savedmodel"])
def test_folders_of_what_is_no_file(tmp_path: Path, suffix: str) -> None:
    folder, outside = tmp_path / f"m{suffix}", tmp_path / "outside"
    folder.mkdir()
    outside.write_text("secret")
    (folder / "part").symlink_to(outside)
    with pytest.raises(ModelFileError, match=r"'part' is a link that leads out of it"):
        pocketface.load(folder)
    (folder / "part").unlink()
    (folder / "part").symlink_to("..")
    with pytest.raises(ModelFileError, match=r"'part' is a link that leads out of it"):
        pocketface.load(folder)
    (folder / "part").unlink()
    os.mkfifo(folder / "part")
    with pytest.raises(ModelFileError, match=r"'part': is a named pipe"):
        pocketface.load(folder)


def test_a_file_that_may_not_be_read(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ModelFileError, match=r"model\.onnx: cannot be read: Permission denied"):
        pocketface.load(files / "model.onnx")


def test_the_seal_is_found_wherever_a_piece_of_the_file_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.onnx"
    for before in (0, 1, 7, 60, 81, 82, 83, 200):
        content = b"x" * before + seal.BLANK_SEAL.encode() + b"y" * 100
        path.write_bytes(content)
        monkeypatch.setattr(seal, "_PIECE", 1 << 20)
        seal.seal(path)
        for piece in (1, 10, 82, 100, 1 << 20):
            monkeypatch.setattr(seal, "_PIECE", piece)
            assert seal.check_seal(path)
        path.write_bytes(path.read_bytes()[:-1] + b"z")
        with pytest.raises(ModelFileError, match="damaged"):
            seal.check_seal(path)


def test_answers_are_held_to_what_the_file_says(tmp_path: Path) -> None:
    def session(
        answers: Callable[[], Any], shape: tuple[int, ...] = (1, 2), contract: str | None = "{}"
    ) -> Session:
        graph = Session("x", "cpu", contract, {}, {"a": shape}, lambda _: answers())
        return checked(graph, tmp_path / "m.onnx")

    picture = np.zeros((1, 3, 4, 4), np.float32)
    good = {"a": np.zeros((1, 2), np.float32)}
    assert session(lambda: good).run(picture) is good
    assert session(lambda: good, (-1, 2)).run(picture) is good
    assert session(lambda: good, (1, 3), contract=None).run(picture) is good  # somebody else's
    for answers, message in (
        (lambda: {}, "its answer 'a' is missing"),
        (lambda: {"a": np.zeros((1, 3))}, r"its answer 'a' is float64 \(1, 3\): expected \(1, 2\)"),
        (lambda: {"a": np.array([["x", "y"]])}, "its answer 'a' is <U1"),
        (lambda: {}["b"], "cannot be run: it has no 'b'"),
        (lambda: 1 // 0, "cannot be run: .*zero"),
    ):
        with pytest.raises(ModelFileError, match=rf"m\.onnx: {message}"):
            session(answers).run(picture)


@pytest.mark.parametrize(
    "name", ["model.onnx", "model.xml", "model.pt", "weights.safetensors", "weights.pth"]
)
@pytest.mark.parametrize("content", ["half", "text", "empty"])
def test_damaged_files(files: Path, name: str, content: str) -> None:
    path = files / name
    whole = path.read_bytes()
    path.write_bytes(
        {"half": whole[: len(whole) // 2], "text": b"hello\nworld\n", "empty": b""}[content]
    )
    with pytest.raises(ModelFileError, match=name.replace(".", r"\.")) as caught:
        pocketface.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "runtime", "message"),
    [
        ("model.bin", None, r"model\.xml with model\.bin: damaged, or changed since its export"),
        ("model.onnx", None, r"model\.onnx: damaged, or changed since its export"),
        ("model.pt", None, r"model\.pt: damaged, or changed since its export"),
        ("model.onnx", "openvino", r"model\.onnx: damaged, or changed since its export"),
    ],
)
def test_a_flipped_bit_that_loads(
    files: Path, name: str, runtime: str | None, message: str
) -> None:
    data = bytearray((files / name).read_bytes())
    data[len(data) // 2] ^= 1  # within the weights
    (files / name).write_bytes(data)
    with pytest.raises(ModelFileError, match=message):
        pocketface.load(files / name, runtime=runtime)


def test_an_edited_xml(files: Path) -> None:
    text = (files / "model.xml").read_text()
    assert '"score_threshold":0.3' in text
    (files / "model.xml").write_text(text.replace('threshold":0.3', 'threshold":0.1'))
    with pytest.raises(ModelFileError, match="changed since its export"):
        pocketface.load(files / "model.xml")


def test_pairs_of_two_exports(files: Path) -> None:
    from pocketface.exporting import ExportRequest, export_model
    from pocketface.models.weights import read_weights, write_weights

    read = read_weights(files / "weights.pth")
    other = files / "other.pth"
    states = {name: tensor * 2 for name, tensor in read.state_dict.items()}
    write_weights(other, template_text=read.template_text, state_dict=states, epochs=1)
    request = ExportRequest(
        weights=read_weights(other),
        folder=files / "other",
        formats=["openvino"],
        verify=False,
    )
    export_model(request)
    shutil.copy(files / "other" / "model.bin", files)
    with pytest.raises(ModelFileError, match=r"model\.xml with model\.bin: damaged, or changed"):
        pocketface.load(files / "model.xml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"runtime": "tensorrt"},
            r"runtime 'tensorrt': cannot open model\.onnx; .* openvino, openvino:\w+, onnxruntime",
        ),
        ({"runtime": "torch"}, r"runtime 'torch': cannot open"),
        ({"threads": 0}, "threads 0"),
        ({"threads": 1.5}, r"threads 1\.5: expected 1 to"),
        ({"threads": "2"}, "threads '2': expected 1 to"),
        ({"device": None}, "device None: expected a name"),
        ({"input_size": 640}, r"input_size is 640: expected \(height, width\)"),
        ({"input_size": (480, 640.0)}, r"input_size is \(480, 640\.0\): expected"),
        ({"device": "quantum"}, "device 'quantum': not usable by ONNX Runtime; .* cpu"),
        ({"device": "quantum", "runtime": "openvino"}, "device 'quantum': not usable by OpenVINO"),
    ],
)
def test_arguments(exported: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        pocketface.load(exported / "model.onnx", **arguments)


def test_a_device_that_torch_has_not(exported: Path) -> None:
    with pytest.raises(UserError, match="device 'quantum': not usable by PyTorch"):
        pocketface.load(exported / "weights.pth", device="quantum")
    with pytest.raises(UserError, match="device 'meta': computes nothing"):
        pocketface.load(exported / "weights.pth", device="meta")


@pytest.mark.parametrize("runtime", ["onnxruntime:fast", "", "tensorrt"])
def test_a_template_in_an_unknown_runtime(runtime: str) -> None:
    with pytest.raises(UserError, match=f"^runtime '{runtime}': expected one of .*onnxruntime"):
        pocketface.load("glasses-n", runtime=runtime)


def test_a_file_without_contract(make_model: MakeModel) -> None:
    path = make_model(BOXES, SCORES, contract=None)
    for runtime in ("onnxruntime", "openvino"):
        with pytest.raises(ContractError, match="no pocketface contract"):
            pocketface.load(path, runtime=runtime)


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> str:
    content = json.loads(pocketface.load(path).contract.to_json())
    change(content)
    return json.dumps(content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(contract_version=3), "contract_version"),
        (
            lambda c: c.update(task="mind-reading"),
            "unknown task 'mind-reading': expected one of face-detection, face-classification",
        ),
        (lambda c: c.pop("rules"), "rules: Field required"),
        (lambda c: c["rules"].pop("labels"), "labels: Field required"),
        (lambda c: c["rules"].update(more=1), "more"),
        (lambda c: c.update(more=1), "more"),
        (lambda c: c["input"].update(name="x"), "inputs x, but the graph has image"),
        (
            lambda c: c["input"].update(shape=[-1, 3, 80, 128]),
            r"input image \(-1, 3, 80, 128\), but the graph has \(-1, 3, 80, 160\)",
        ),
        (lambda c: c["input"].update(shape=[-1, 1, 80, 160]), "input shape"),
        (lambda c: c["input"].update(shape=[0, 3, 80, 160]), "input shape"),
        (lambda c: c["input"].update(value_range=[0, 1]), "input range"),
        (lambda c: c["outputs"].pop(), "outputs boxes: expected boxes"),
        (lambda c: c["outputs"][0].update(name="bboxes"), "outputs bboxes, scores"),
        (lambda c: c["outputs"].append(c["outputs"][0]), "two outputs of one name"),
        (
            lambda c: [o["shape"].__setitem__(1, 9) for o in c["outputs"]],
            r"output boxes \(-1, 9, 4\), but the graph has \(-1, 1, 4\)",
        ),
        (lambda c: c["outputs"][0].update(shape=[-1, 1, 5]), r"expected \(-1, 1, 4\)"),
        (lambda c: c["outputs"][0].update(shape=[-1, 4]), "outputs boxes, scores: expected"),
        (lambda c: c["rules"].update(nms_iou=0), "nms_iou"),
    ],
)
def test_a_contract_that_does_not_fit(
    make_model: MakeModel, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    text = changed(make_model(BOXES, SCORES), change)
    path = make_model(BOXES, SCORES, contract=text, name="changed.onnx")
    with pytest.raises(ContractError, match=message) as caught:
        pocketface.load(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[]", "null", '{"name": NaN}'])
def test_a_contract_that_is_none(make_model: MakeModel, text: str) -> None:
    with pytest.raises(ContractError, match="contract does not fit"):
        pocketface.load(make_model(BOXES, SCORES, contract=text))


VERSION_1 = """{
  "contract_version": 1, "name": "constant", "task": "face-detection", "version": "1",
  "input": {
    "name": "image", "shape": [-1, 3, 80, 160], "layout": "NCHW", "dtype": "float32",
    "colour": "BGR", "value_range": [0, 255], "resize": "letterbox", "pad_value": 0
  },
  "outputs": [
    {"name": "boxes", "shape": [-1, 1, 4], "meaning": "box", "unit": "px"},
    {"name": "scores", "shape": [-1, 1], "meaning": "score", "unit": "0-1"}
  ],
  "labels": ["face"], "score_threshold": 0.5, "nms_iou": 0.4, "nms": "runtime",
  "precision": "fp32", "provenance": {"template": "constant", "package_version": "0"}
}"""


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_contract_of_the_first_version(make_model: MakeModel, runtime: str) -> None:
    path = make_model(BOXES, SCORES, contract=VERSION_1)
    with pytest.raises(ContractError) as caught:
        pocketface.load(path, runtime=runtime)
    assert str(caught.value) == f"{path}: exported by an older pocketface: export it again"


def test_a_free_batch_needs_a_free_graph(make_model: MakeModel) -> None:
    free = changed(make_model(BOXES, SCORES), lambda c: c)
    path = make_model(BOXES, SCORES, contract=free, batch=1)
    with pytest.raises(ContractError, match=r"but the graph has \(1, 3, 80, 160\)"):
        pocketface.load(path)


def python(code: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


def test_importing_costs_nothing() -> None:
    loaded = python("import sys, pocketface; pocketface.__version__; print(*sys.modules)").split()
    ours = [name for name in loaded if name.startswith("pocketface")]
    assert ours == ["pocketface"]
    assert not {"numpy", "cv2", "pydantic", "yaml"} & set(loaded)


@pytest.mark.parametrize(
    ("file", "absent"),
    [("model.onnx", "openvino"), ("model.xml", "onnxruntime"), ("face-detection-n", "openvino")],
)
def test_loading_imports_one_runtime_and_nothing_of_training(
    exported: Path, file: str, absent: str
) -> None:
    code = (
        "import sys, numpy, pocketface; model = pocketface.load(sys.argv[1]); "
        "model.predict(numpy.zeros((9, 9, 3), numpy.uint8)); print(*sys.modules)"
    )
    named = file if file in template_names() else str(exported / file)
    loaded = set(python(code, named).split())
    heavy = {"torch", "lightning", "coremltools", "kornia", "nncf", "onnx", "scipy", "pandas"}
    assert not (heavy | {absent}) & loaded


def test_public_names() -> None:
    for name in pocketface.__all__:
        assert getattr(pocketface, name) is not None
        assert name in dir(pocketface)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pocketface.nothing  # noqa: B018


def test_weights_whose_template_breaks_the_rules_of_its_task(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from pocketface.models.network import make_network
    from pocketface.models.weights import write_weights
    from pocketface.tasks.templates import parse_template

    text = (Path(__file__).parents[1] / "tiny_template.yaml").read_text(encoding="utf-8")
    state = make_network(parse_template(text, source="tiny").architecture).state_dict()
    path = tmp_path / "wrong.pth"
    wrong = text.replace("score_threshold: 0.3", "score_threshold: 7")
    write_weights(path, template_text=wrong, state_dict=state, epochs=0)
    with pytest.raises(TemplateError, match=r"wrong\.pth: template: inference\.score_threshold"):
        pocketface.load(path)
