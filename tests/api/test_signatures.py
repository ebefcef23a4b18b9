"""What the public functions look like to somebody who reads their help."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pocketface
from pocketface.api.given import sources
from pocketface.cli import main
from pocketface.errors import UserError

WORK = ("train", "export", "evaluate", "compress", "benchmark", "verify", "templates", "blur")
FUNCTIONS = [name for name in pocketface.__all__ if inspect.isfunction(getattr(pocketface, name))]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_typed_and_documented(name: str) -> None:
    function: Callable[..., Any] = getattr(pocketface, name)
    signature = inspect.signature(function)
    assert signature.return_annotation is not inspect.Signature.empty
    text = inspect.getdoc(function) or ""
    assert ("Args:" in text) == bool(signature.parameters)
    assert name not in WORK or "Returns:" in text
    told = re.findall(r"(?m)^    (\w+): ", text.partition("Args:")[2].partition("\n\n")[0])
    assert told == list(signature.parameters)
    parameters = list(signature.parameters.values())
    assert all(one.annotation is not inspect.Parameter.empty for one in parameters)
    # What is worked on, and where to: the rest is named.
    assert all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in parameters[2:])


def test_every_public_name_is_documented() -> None:
    assert set(WORK) < set(FUNCTIONS)
    for name in set(pocketface.__all__) - {"__version__"}:
        value = getattr(pocketface, name)
        assert inspect.isclass(value) or name in FUNCTIONS, name
        assert inspect.getdoc(value), name


LABELS = "--{0}-ann-files faces.json --{0}-data-roots ."
COMMANDS = {
    "train": f"train --template glasses-n --save-checkpoints-to out {LABELS.format('train')}",
    "export": "export --template glasses-n --save-model-to out",
    "evaluate": f"eval {LABELS.format('test')}",
    "compress": "compress --template glasses-n --save-checkpoints-to out "
    f"{LABELS.format('train')} {LABELS.format('val')}",
    "benchmark": "benchmark glasses-n",
    "verify": "verify glasses-n",
    "blur": "blur photo.jpg --output out",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_call_these_functions(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    real = getattr(pocketface, name)

    def see(*arguments: Any, **options: Any) -> None:
        inspect.signature(real).bind(*arguments, **options)
        raise UserError("seen")

    monkeypatch.setattr(importlib.import_module(f"pocketface.api.{name}"), name, see)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faces.json").write_text("{}")
    assert main(COMMANDS[name].split()) == 2
    assert capsys.readouterr().err == "pocketface: error: seen\n"


def test_rooms_do_not_take_the_functions_names() -> None:
    for name in (
        "exporting.run",
        "api.export",
        "cli.export",
        "apps.template_table",
        "training.fit",
    ):
        importlib.import_module(f"pocketface.{name}")
    assert all(inspect.isfunction(getattr(pocketface, name)) for name in WORK)


@pytest.mark.parametrize(
    ("model", "weights", "meant"),
    [
        ("face-detection-n", None, ("face-detection-n", None)),
        ("mine.yaml", None, ("mine.yaml", None)),
        ("face-detecton-n", None, ("face-detecton-n", None)),
        ("run/latest.pth", None, (None, "run/latest.pth")),
        ("model.xml", None, (None, "model.xml")),
        ("face-detection-n", "run/latest.pth", ("face-detection-n", "run/latest.pth")),
        (None, "run/latest.pth", (None, "run/latest.pth")),
        (None, None, (None, None)),
    ],
)
def test_what_a_model_is(model: Any, weights: Any, meant: tuple[Any, Any]) -> None:
    assert sources(model, weights) == meant
