"""A table never has figures of other settings than those it was asked for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import yaml

from pocketface.errors import UserError
from pocketface.models.weights import read_weights, write_weights
from pocketface.tools import ablations

from ..tiny_network import write_tiny_weights

EDITS = {"initial_weights": None}


class Recorded:
    """Stands in for `pocketface train` and `eval`."""

    def __init__(self, folder: Path) -> None:
        self.begun: list[bool] = []
        self.weights = read_weights(write_tiny_weights(folder))
        self.stops_at = 100

    def train(self, *arguments: object) -> None:
        flags = dict(zip(arguments[1::2], arguments[2::2], strict=False))
        self.begun.append("--resume-from" not in flags)
        write_weights(
            Path(str(flags["--save-checkpoints-to"])) / "latest.pth",
            template_text=self.weights.template_text,
            state_dict=self.weights.state_dict,
            epochs=min(int(str(flags["--epochs"])), self.stops_at),
        )

    def evaluated(self, *arguments: object) -> dict[str, float]:
        return {"ap": float(read_weights(Path(str(arguments[1]))).epochs)}


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    recorded = Recorded(tmp_path)
    monkeypatch.setattr(ablations, "run", recorded.train)
    monkeypatch.setattr(ablations, "evaluated", recorded.evaluated)
    (tmp_path / "photos.json").write_text("{}")
    (tmp_path / "test.json").write_text("{}")
    return recorded


def figures(
    folder: Path, *options: object, epochs: int = 8, edits: dict[str, Any] = EDITS, **asked: object
) -> float:
    photos = folder / "photos.json"
    given = argparse.Namespace(
        epochs=epochs, train_ann_files=[photos], train_data_roots=["."], precision="32-true"
    )
    row = folder / "row"
    checkpoint = ablations.trained(
        ablations.TEMPLATE, edits, row, ablations.other(given, **asked), *options
    )
    flags = ("--test-ann-files", folder / "test.json")
    return ablations.figures_of(checkpoint, row / "figures.json", *flags)["ap"]


def test_a_row_goes_on_and_what_is_done_is_read(recorded: Recorded, tmp_path: Path) -> None:
    recorded.stops_at = 5
    assert figures(tmp_path) == 5
    recorded.stops_at = 100
    assert figures(tmp_path) == 8  # figures of the unfinished network do not stay
    assert figures(tmp_path) == 8
    assert recorded.begun == [True, False]


@pytest.mark.parametrize("is_old", [False, True], ids=["settings", "a receipt alone"])
@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"epochs": 16}, "row: was made with other epochs than these"),
        ({"epochs": 4}, "latest.pth: has 8 epochs: expected at most 4"),
        ({"precision": "bf16-mixed"}, "other precision"),
        ({"edits": {**EDITS, "hyper_parameters.repeats": 3}}, "other template"),
        ({"train_ann_files": ["test.json"]}, "other photos"),
    ],
)
def test_another_training_is_no_row_of_this_table(
    recorded: Recorded,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, Any],
    what: str,
    is_old: bool,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test.json").write_text("other photos")
    figures(tmp_path)
    if is_old:
        kept = tmp_path / "row" / "settings.yaml"
        settings = yaml.safe_load(kept.read_text())
        kept.unlink()
        photos = {"train_annotations": [{"sha256": one} for one in settings["photos"]]}
        content = {"starts": [{"settings": settings, "files": photos}]}
        (tmp_path / "row" / "receipt.yaml").write_text(yaml.safe_dump(content))
        (tmp_path / "row" / "figures.json").unlink()
        assert figures(tmp_path) == 8
        kept.unlink()
    with pytest.raises(UserError, match=what):
        figures(tmp_path, **change)
    assert recorded.begun == [True]


def test_another_seed_is_another_training(recorded: Recorded, tmp_path: Path) -> None:
    figures(tmp_path, "--seed", 1)
    with pytest.raises(UserError, match="row: was made with other options than these"):
        figures(tmp_path, "--seed", 2)
    assert recorded.begun == [True]


def test_other_photos_to_measure_on_give_other_figures(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures(tmp_path)
    monkeypatch.setattr(ablations, "evaluated", lambda *_: {"ap": 70.0})
    assert figures(tmp_path) == 8
    (tmp_path / "test.json").write_text("changed")
    assert figures(tmp_path) == 70
    assert recorded.begun == [True]
