from __future__ import annotations

import hashlib
import json
from argparse import Namespace
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import pytest
import torch
from torch import Tensor

import pocketface
from pocketface.errors import ModelFileError, UserError
from pocketface.files import sha256_file
from pocketface.model_templates.catalogue import shipped_weights
from pocketface.model_templates.contract import CONTRACT_KEY, Metric
from pocketface.models.network import Network
from pocketface.models.weights import build_network, halved, read_weights, write_weights
from pocketface.models.weights_formats import SECTION_KEY, TEMPLATE_KEY
from pocketface.tasks.describe import contract_for
from pocketface.tasks.templates import open_template, parse_template

TEMPLATE = (Path(__file__).parents[1] / "tiny_template.yaml").read_text()
METRIC = Metric(key="ap50", display_name="AP50", value=0.5, unit="%", protocol="toy")


@pytest.fixture
def network() -> Network:
    torch.manual_seed(3)
    return Network(parse_template(TEMPLATE, source="tiny").architecture).eval()


@pytest.fixture(params=[".safetensors", ".pth"])
def file(request: pytest.FixtureRequest, network: Network, tmp_path: Path) -> Path:
    path = tmp_path / f"weights{request.param}"
    write_weights(
        path,
        template_text=TEMPLATE,
        state_dict=network.state_dict(),
        epochs=7,
        data="toy photos",
        seed=11,
        metrics=[METRIC],
    )
    return path


def test_what_is_written_is_read(file: Path, network: Network) -> None:
    weights = read_weights(file)
    assert (weights.epochs, weights.data, weights.seed) == (7, "toy photos", 11)
    assert weights.metrics == (METRIC,)
    assert weights.template_text == TEMPLATE
    assert weights.template.name == "tiny"
    assert weights.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    images = torch.rand(1, 3, 64, 96) * 255
    rebuilt = build_network(weights)
    assert not rebuilt.training
    with torch.no_grad():
        for a, b in zip(rebuilt(images), network(images), strict=True):
            assert torch.equal(a, b)


def test_nothing_is_made_only_to_be_replaced(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random values cost most of the time of opening; on the meta device, seconds of imports."""
    for name in ("normal_", "uniform_"):
        monkeypatch.setattr(Tensor, name, lambda *_, **__: pytest.fail("made random values"))
    build_network(read_weights(file))


def test_equal_weights_are_equal_files(network: Network, tmp_path: Path) -> None:
    contents = set()
    for index in range(8):
        path = tmp_path / f"{index}.safetensors"
        write_weights(path, template_text=TEMPLATE, state_dict=network.state_dict(), epochs=1)
        contents.add(path.read_bytes())
    assert len(contents) == 1


def test_half_the_size(network: Network, tmp_path: Path) -> None:
    """Kernels are rounded to 16 bits, and nothing else; they are FP32 to whoever reads them."""
    state = network.state_dict()
    norm = next(name for name in state if name.endswith("running_var"))
    state[norm] += 1e6  # beyond FP16
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    write_weights(whole, template_text=TEMPLATE, state_dict=state, epochs=1)
    write_weights(half, template_text=TEMPLATE, state_dict=halved(state), epochs=1)
    kernels = [value for value in state.values() if value.ndim > 1]
    saved = whole.stat().st_size - half.stat().st_size
    assert saved == pytest.approx(2 * sum(value.numel() for value in kernels), abs=2000)
    for name, value in read_weights(half).state_dict.items():
        expected = state[name].half().float() if value.ndim > 1 else state[name]
        assert torch.equal(value, expected)


def test_a_lightning_checkpoint_is_read(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "epoch.pth"
    states = {f"network.{k}": v for k, v in network.state_dict().items()}
    content = {
        "epoch": 4,
        "optimizer_states": [{"lr": 0.1}],
        "state_dict": states | {"loss.weight": torch.ones(1)},
        "pocketface": {"template": TEMPLATE, "epochs": 4},
    }
    torch.save(content, path)
    weights = read_weights(path)
    assert weights.epochs == 4
    assert weights.state_dict.keys() == network.state_dict().keys()


def test_safetensors_say_what_they_are_to_whoever_opens_them(
    network: Network, tmp_path: Path
) -> None:
    safetensors = pytest.importorskip("safetensors")
    path = tmp_path / "w.safetensors"
    write_weights(path, template_text=TEMPLATE, state_dict=network.state_dict(), epochs=1, seed=5)
    with safetensors.safe_open(path, framework="np") as handle:
        metadata = handle.metadata()
    assert metadata[TEMPLATE_KEY] == TEMPLATE
    section = json.loads(metadata[SECTION_KEY])
    assert (section["epochs"], section["seed"], section["data"]) == (1, 5, None)
    assert CONTRACT_KEY not in metadata


def test_older_safetensors_are_refused(network: Network, tmp_path: Path) -> None:
    """They had a contract in place of the section."""
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "older.safetensors"
    metadata = {TEMPLATE_KEY: TEMPLATE, CONTRACT_KEY: "{}"}
    safetensors.save_file(network.state_dict(), path, metadata=metadata)
    with pytest.raises(ModelFileError, match="written by an older pocketface") as caught:
        read_weights(path)
    assert "checkpoint" in str(caught.value.hint)


def flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0x04
    path.write_bytes(data)


@pytest.mark.parametrize("position", [1, 9, 40, 3000, -5000, -2500])
def test_a_flipped_bit_is_refused_or_harmless(file: Path, network: Network, position: int) -> None:
    flip(file, position)
    message, weights = "", None
    try:
        weights = read_weights(file)
    except ModelFileError as error:
        message = str(error)
    if weights is None:
        assert message.startswith(str(file))
        assert "\n" not in message
    else:  # padding between the tensors of a .pth
        assert file.suffix == ".pth"
        for name, tensor in network.state_dict().items():
            assert torch.equal(weights.state_dict[name], tensor)


def test_a_flipped_bit_of_a_tensor_is_refused(file: Path, network: Network) -> None:
    tensor = network.state_dict()["backbone.stem.0.weight"].numpy().tobytes()
    flip(file, file.read_bytes().index(tensor) + 100)
    with pytest.raises(ModelFileError, match="damaged"):
        read_weights(file)


@pytest.mark.parametrize("content", ["half", "text", "empty", "header"])
def test_a_damaged_file_is_refused(file: Path, content: str) -> None:
    whole = file.read_bytes()
    file.write_bytes(
        {
            "half": whole[: len(whole) // 2],
            "text": b"name: face-detection-n\n",
            "empty": b"",
            "header": bytes(b ^ 0xFF for b in whole[:64]) + whole[64:],
        }[content]
    )
    with pytest.raises(ModelFileError, match="damaged") as caught:
        read_weights(file)
    assert "\n" not in str(caught.value)


def test_missing_and_unknown_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"none\.pth: cannot be read: No such file"):
        read_weights(tmp_path / "none.pth")
    with pytest.raises(ModelFileError, match=r"\.safetensors or \.pth"):
        read_weights(tmp_path / "model.onnx")
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(ModelFileError, match=r"folder\.pth: is a folder; expected a file"):
        read_weights(tmp_path / "folder.pth")


def test_other_peoples_files_are_refused(network: Network, tmp_path: Path) -> None:
    torch.save({"state_dict": network.state_dict()}, tmp_path / "a.pth")
    with pytest.raises(ModelFileError, match="no 'pocketface' section"):
        read_weights(tmp_path / "a.pth")
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(network.state_dict(), tmp_path / "a.safetensors")
    with pytest.raises(ModelFileError, match=r"no metadata 'pocketface\.template'"):
        read_weights(tmp_path / "a.safetensors")


def test_a_pickle_that_runs_code_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (Path(tmp_path / "ran"),)  # type: ignore[return-value]

    torch.save({"pocketface": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ModelFileError, match="not written by pocketface: holds objects of"):
        read_weights(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_a_pickle_that_asks_for_memory(tmp_path: Path) -> None:
    class Large:
        def __reduce__(self) -> tuple[object, tuple[int]]:
            return bytearray, (1 << 40,)

    torch.save({"pocketface": Large()}, tmp_path / "large.pth")
    with pytest.raises(ModelFileError, match=r"holds objects of '\w+\.bytearray'"):
        read_weights(tmp_path / "large.pth")


def test_checkpoints_of_others(network: Network, tmp_path: Path) -> None:
    states = network.state_dict()
    torch.save(states, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(ModelFileError, match=r"not written by pocketface, but .* before 1\.6"):
        read_weights(tmp_path / "old.pth")
    torch.save({"state_dict": states, "args": Namespace(lr=1)}, tmp_path / "other.pth")
    with pytest.raises(ModelFileError, match=r"holds objects of 'argparse\.Namespace'$"):
        read_weights(tmp_path / "other.pth")


@pytest.mark.parametrize("compressed", [False, True])
def test_an_archive_that_unpacks_to_more(
    network: Network, tmp_path: Path, compressed: bool
) -> None:
    path = tmp_path / "w.pth"
    write_weights(path, template_text=TEMPLATE, state_dict=network.state_dict(), epochs=1)
    with ZipFile(path, "a", ZIP_DEFLATED if compressed else ZIP_STORED) as archive:
        archive.writestr("archive/data/999", bytes(100 << 20))
    if compressed:
        with pytest.raises(ModelFileError, match=r"w\.pth: its .* bytes unpack to 105,"):
            read_weights(path)
    else:
        assert read_weights(path).epochs == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("head.levels.0.boxes.bias"), "'head.levels.0.boxes.bias' is missing"),
        (lambda s: s.update(extra=torch.ones(1)), "unexpected tensor 'extra'"),
        (
            lambda s: s.update({"head.levels.0.boxes.bias": torch.ones(5)}),
            r"'head.levels.0.boxes.bias' is torch.float32 \(5,\), expected torch.float32 \(4,\)",
        ),
        (
            lambda s: s.update({"head.levels.0.boxes.bias": torch.ones(4).half()}),
            "torch.float16",
        ),
    ],
)
def test_tensors_that_do_not_fit(network: Network, tmp_path: Path, change, message: str) -> None:
    states = dict(network.state_dict())
    change(states)
    path = tmp_path / "w.pth"
    torch.save(
        {
            "state_dict": {f"network.{k}": v for k, v in states.items()},
            "pocketface": {"template": TEMPLATE, "epochs": 1},
        },
        path,
    )
    with pytest.raises(ModelFileError, match=message):
        read_weights(path)
    with pytest.raises(ModelFileError, match=message):
        write_weights(
            tmp_path / "w.safetensors", template_text=TEMPLATE, state_dict=states, epochs=1
        )
    assert not (tmp_path / "w.safetensors").exists()


@pytest.mark.parametrize("state", [None, 5, [1], [{}], [{"module_cls_name": 1}]])
def test_hooks_of_another_form_are_refused(network: Network, tmp_path: Path, state: object) -> None:
    path = tmp_path / "w.pth"
    section = {"template": TEMPLATE, "epochs": 1, "hooks": {"compression_state": state}}
    states = {f"network.{name}": one for name, one in network.state_dict().items()}
    torch.save({"state_dict": states, "pocketface": section}, path)
    for work in (pocketface.load, lambda path: pocketface.export(path, tmp_path / "out")):
        with pytest.raises(ModelFileError, match=r"pocketface\.hooks: .*expected compression_sta"):
            work(path)


def test_shipped_weights(network: Network, tmp_path: Path) -> None:
    path, template = tmp_path / "tiny.safetensors", tmp_path / "template.yaml"
    template.write_text(TEMPLATE)
    assert shipped_weights(open_template(template)) is None
    write_weights(path, template_text=TEMPLATE, state_dict=network.state_dict(), epochs=1)
    size = path.stat().st_size
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()

    def name(size: int, sha256: str) -> None:
        spec = f"{{file: tiny.safetensors, sha256: {sha256}, size: {size}}}"
        template.write_text(TEMPLATE.replace("weights: null", f"weights: {spec}"))

    name(size, sha256)
    assert shipped_weights(open_template(template)) == path
    name(size + 1, sha256)
    with pytest.raises(ModelFileError, match=f"{size} bytes; .* says {size + 1}"):
        shipped_weights(open_template(template))
    name(size, "a" * 64)
    with pytest.raises(ModelFileError, match=f"SHA-256 is {sha256}; .* says aaaa"):
        shipped_weights(open_template(template))
    path.unlink()
    with pytest.raises(ModelFileError, match="No such file"):
        shipped_weights(open_template(template))


def test_contract(file: Path) -> None:
    weights = read_weights(file)
    contract = contract_for(weights.template, weights=weights, height=32, width=64)
    assert contract.input.shape == (-1, 3, 32, 64)
    cells = 4 * 8 + 2 * 4 + 1 * 2
    assert {o.name: o.shape for o in contract.outputs} == {
        "boxes": (-1, cells, 4),
        "scores": (-1, cells),
        "landmarks": (-1, cells, 5, 2),
    }
    assert contract.provenance.checkpoint_sha256 == weights.sha256
    assert (contract.provenance.data, contract.provenance.seed) == ("toy photos", 11)
    assert contract.metrics == ()  # measured on another input
    assert contract_for(weights.template, weights=weights).metrics == (METRIC,)


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        ("resize: letterbox", "resize: stretch", False),
        ("nms_iou: 0.45", "nms_iou: 0.6", False),
        ("score_threshold: 0.3", "score_threshold: 0.4", True),
    ],
)
def test_figures_are_of_an_input_and_nms(file: Path, old: str, new: str, kept: bool) -> None:
    weights = read_weights(file)
    assert old in TEMPLATE
    template = parse_template(TEMPLATE.replace(old, new), source="tiny")
    assert contract_for(template, weights=weights).metrics == ((METRIC,) if kept else ())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[no_glass, glass]",
            "[glass, no_glass]",
            r"dataset\.classes \[no_glass, glass\]; .*own\.yaml has \[glass, no_glass\]",
        ),
        ("eyes: [0.", "eyes: [0.0", r"input\.eyes \[0\..*\]; .*own\.yaml has \[0\.0"),
    ],
)
def test_weights_answer_what_they_learnt(tmp_path: Path, old: str, new: str, message: str) -> None:
    shipping = open_template("glasses-n")
    path = shipped_weights(shipping)
    assert path is not None
    weights, text = read_weights(path), shipping.text
    assert text.count(old) == 1
    (tmp_path / "own.yaml").write_text(text.replace(old, new))
    own = open_template(tmp_path / "own.yaml")
    with pytest.raises(ModelFileError, match=f"made for {message}"):
        weights.described_by(own)
    described = weights.described_by(own, learns_anew=True)
    assert (described.sha256, described.template) == (sha256_file(path), own.spec)
    assert described.measured_with == weights.template
    again = described.described_by(shipping, learns_anew=True)
    assert again.measured_with == weights.template


def test_input_sizes() -> None:
    template = parse_template(TEMPLATE, source="tiny")
    with pytest.raises(UserError, match=r"--input-size 48x96 .* multiples of 32"):
        contract_for(template, height=48)
    with pytest.raises(UserError, match="--input-size 0x96"):
        contract_for(template, height=0)
    fixed = parse_template(TEMPLATE.replace(", multiple_of: 32", ""), source="fixed")
    assert contract_for(fixed, height=64, width=96).input.shape == (-1, 3, 64, 96)
    with pytest.raises(UserError, match="fixed input of 64x96"):
        contract_for(fixed, height=128)
