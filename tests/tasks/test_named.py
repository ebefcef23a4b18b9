"""What a template's name opens, and where it is taken for a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import pocketface
from pocketface.errors import MissingPackageError, ModelFileError, UserError
from pocketface.model_templates import template_path
from pocketface.model_templates.catalogue import READY_FILE, ready_file
from pocketface.models.weights import write_weights
from pocketface.tasks import named
from pocketface.tasks.named import model_path, weights_path
from pocketface.tasks.weights import model_file, open_weights

NAME = "face-detection-n"
HALF, FULL = READY_FILE, "weights.safetensors"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The runtimes that seem to be installed."""
    some: set[str] = set()
    monkeypatch.setattr(named, "is_installed", lambda name: name in some)
    return some


@pytest.mark.parametrize("name", [None, 5, b"x"])
def test_what_names_nothing_is_told(name: Any) -> None:
    with pytest.raises(UserError, match="expected a text or a path"):
        pocketface.load(name)


def test_a_name_with_a_line_break_is_told_in_one_line() -> None:
    with pytest.raises(ModelFileError) as caught:
        pocketface.load(f"{NAME}\n")
    assert str(caught.value).startswith(f"{NAME} : no such file")


@pytest.mark.parametrize(
    ("there", "asked", "expected"),
    [
        ({"onnxruntime", "torch"}, {}, HALF),
        ({"onnxruntime"}, {}, HALF),
        ({"openvino"}, {}, HALF),
        ({"torch"}, {}, FULL),
        ({"litert", "torch"}, {}, FULL),
        ({"onnxruntime", "torch"}, {"runtime": "openvino"}, HALF),
        ({"onnxruntime", "torch"}, {"runtime": "torch"}, FULL),
        ({"onnxruntime", "torch"}, {"runtime": "torch:script"}, FULL),
        ({"onnxruntime", "torch"}, {"device": "cuda"}, FULL),
        ({"onnxruntime", "torch"}, {"device": "cuda:1"}, FULL),
        ({"onnxruntime", "torch"}, {"runtime": "onnxruntime", "device": "cuda"}, HALF),
        ({"openvino", "torch"}, {"device": "gpu"}, HALF),
        ({"onnxruntime"}, {"device": "cuda"}, HALF),
    ],
)
def test_which_file_a_name_opens(
    installed: set[str], there: set[str], asked: dict[str, Any], expected: str
) -> None:
    installed |= there
    assert model_path(NAME, **asked) == template_path(NAME).with_name(expected)


@pytest.mark.parametrize(
    ("there", "name", "asked", "package", "extra"),
    [
        (set(), NAME, {}, "onnxruntime", "onnx"),
        ({"litert"}, NAME, {}, "onnxruntime", "onnx"),
        ({"onnxruntime"}, NAME, {"runtime": "torch"}, "torch", "train"),
        ({"onnxruntime"}, "face-detection-0200", {}, "torch", "train"),
    ],
)
def test_a_name_that_nothing_here_opens(
    installed: set[str],
    there: set[str],
    name: str,
    asked: dict[str, Any],
    package: str,
    extra: str,
) -> None:
    installed |= there
    with pytest.raises(MissingPackageError) as found:
        model_path(name, **asked)
    assert f"{package!r} is not installed" in str(found.value)
    assert f"`pip install 'pocketface[{extra}]'`" in str(found.value)


def test_load_takes_names_and_gives_what_was_asked_for() -> None:
    assert pocketface.load(NAME).session.runtime == "onnxruntime"
    assert pocketface.load(NAME, runtime="openvino").session.runtime == "openvino"
    assert pocketface.load(NAME, runtime="torch").path.name == FULL
    small = pocketface.load(NAME, input_size=(320, 320))
    assert small.session.runtime == "onnxruntime"
    assert (small.contract.input.height, small.contract.input.width) == (320, 320)


def test_another_runtime_where_the_usual_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pocketface.runtimes.is_installed", lambda name: name == "openvino")
    assert pocketface.load(NAME).session.runtime == "openvino"


@pytest.mark.parametrize(
    "text", ["face-detecton-n", "face-detection-N", "face_detection_n", "face-detection-n "]
)
def test_a_misspelt_name(text: str) -> None:
    for use in (pocketface.load, model_path, weights_path, lambda name: open_weights(None, name)):
        with pytest.raises(ModelFileError, match=r"no such file, and no template of this") as found:
            use(text)
        assert found.value.hint == f"did you mean {NAME!r}?"


def test_a_name_without_weights() -> None:
    for use in (pocketface.load, weights_path):
        with pytest.raises(UserError, match="face-detection-0204 ships no weights") as found:
            use("face-detection-0204")
        # `benchmark` and a detector have no such flag.
        assert "--load-weights" not in str(found.value.hint)


def test_a_file_of_that_name_is_written_with_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(NAME).write_text("mine")
    assert model_path(NAME) == ready_file(NAME)
    assert model_path(f"./{NAME}").read_text() == "mine"
    assert weights_path(f"./{NAME}").read_text() == "mine"


def test_weights_are_wanted_of_a_name_where_only_they_serve() -> None:
    assert weights_path(NAME) == template_path(NAME).with_name(FULL)
    assert open_weights(None, NAME).template.name == NAME


def test_a_snapshot_beside_a_template_comes_before_what_ships(tmp_path: Path) -> None:
    own = tmp_path / "template.yaml"
    own.write_bytes(template_path(NAME).read_bytes())
    assert model_file(str(own), None) == template_path(NAME).with_name(FULL)
    snapshot = tmp_path / "snapshot.pth"
    weights = open_weights(None, NAME)
    write_weights(
        snapshot,
        template_text=weights.template_text,
        state_dict=weights.state_dict,
        epochs=weights.epochs,
    )
    assert model_file(str(own), None) == snapshot
    assert model_file(NAME, None) == ready_file(NAME)
