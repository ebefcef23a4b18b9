"""Weights ship with figures of their own and a receipt, all files at once or none."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import yaml

from pocketface.errors import UserError
from pocketface.files import atomic_write, sha256_file
from pocketface.models.weights import read_weights, write_weights
from pocketface.tasks.templates import open_template
from pocketface.tools import average, ship

from ..tiny_network import TEMPLATE, write_tiny_weights

FIGURES = {**dict.fromkeys((*ship.HELD_OUT, *ship.LEARNT), 50.0), "wider_hard": 60.0}
SHIPPED = TEMPLATE.replace(
    "metrics: []\n",
    "metrics:\n"
    "  - {key: wider_easy, display_name: easy, value: 40.0, unit: '%', protocol: other photos}\n",
)


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The template that is to get weights; others are there already."""
    path = tmp_path / "shipped" / "template.yaml"
    path.parent.mkdir()
    path.write_text(SHIPPED.replace("nms_iou: 0.45", "nms_iou: 0.6"))
    for name in ("weights.safetensors", "receipt.yaml", "curves.png"):
        path.with_name(name).write_text("old")
    (tmp_path / "lists").mkdir()
    for name, count in (("wider_val", 3), ("train.val", 2)):
        content: dict[str, Any] = {"annotations": [], "categories": [{"id": 1, "name": "face"}]}
        content["images"] = [
            {"id": one, "file_name": f"{one}.jpg", "width": 9, "height": 9} for one in range(count)
        ]
        (tmp_path / "lists" / f"{name}.json").write_text(json.dumps(content))
    monkeypatch.setattr(ship, "template_path", lambda _: path)
    monkeypatch.setattr(ship, "measured", lambda *_: FIGURES)
    return path


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return write_tiny_weights(folder)


def started(monkeypatch: pytest.MonkeyPatch, script: Any, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", [script.__name__, *map(str, arguments)])
    script.main()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_all_files_of_a_training_ship(
    template: Path,
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("receipt.yaml", "curves.png"):
        checkpoint.with_name(name).write_text(f"new {name}")
    folder = template.parent
    started(monkeypatch, ship, "tiny", checkpoint, "data", folder.parent / "lists")
    spec = open_template(str(template)).spec
    assert spec.initial_weights is not None
    assert spec.initial_weights.sha256 == sha256_file(folder / "weights.safetensors")
    assert read_weights(folder / "weights.safetensors").epochs == 3
    protocol = "3 held-out WIDER photos, letterbox to 96x64, score floor 0.02, NMS IoU 0.6"
    assert [(one.key, one.value, one.protocol) for one in spec.metrics] == [
        ("wider_easy", 50.0, protocol),
        ("wider_medium", 50.0, protocol),
        ("wider_hard", 60.0, protocol),
    ]
    assert contents(folder)["receipt.yaml"] == b"new receipt.yaml"
    assert contents(folder)["curves.png"] == b"new curves.png"
    printed = capsys.readouterr().out
    assert f"wider_easy: 50.0, was 40.0 on other photos; now {protocol}\n" in printed
    assert "2 training photos: ap50 50.00" in printed


def test_nothing_ships_without_a_receipt(
    template: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(template.parent)
    with pytest.raises(UserError, match=r"run/weights\.safetensors: expected .* receipt\.yaml"):
        started(monkeypatch, ship, "tiny", checkpoint, "data", template.parents[1] / "lists")
    assert contents(template.parent) == before


def test_a_dry_run_writes_nothing_and_needs_no_receipt(
    template: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(template.parent)
    lists = template.parents[1] / "lists"
    started(monkeypatch, ship, "tiny", checkpoint, "data", lists, "--dry-run")
    assert contents(template.parent) == before


def test_old_files_stay_where_a_new_one_cannot_be_written(
    template: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.with_name("receipt.yaml").write_text("new")
    before = contents(template.parent)
    text = SHIPPED.replace("initial_weights: null", "initial_weights: {}")
    with pytest.raises(UserError, match="initial_weights"):
        ship.place(checkpoint, template, text, metrics="", checkpoint=checkpoint, dry=False)

    def full(path: Path, mode: Literal["wb", "w"] = "wb") -> Any:
        if path == template:  # the last that is written
            raise OSError("disk full")
        return atomic_write(path, mode)

    monkeypatch.setattr(ship, "atomic_write", full)
    with pytest.raises(OSError, match="disk full"):
        started(monkeypatch, ship, "tiny", checkpoint, "data", template.parents[1] / "lists")
    assert contents(template.parent) == before


def test_an_average_ships_with_the_receipts_of_both(
    template: Path,
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint.with_name("receipt.yaml").write_text("hours: 2")
    (tmp_path / "other").mkdir()
    other = write_tiny_weights(tmp_path / "other", seed=1)
    mean = tmp_path / "mean" / "weights.safetensors"
    started(monkeypatch, average, other, checkpoint, "--output", mean)
    tensors = [read_weights(path).state_dict for path in (other, checkpoint, mean)]
    for one, two, both in zip(*(list(each.values()) for each in tensors), strict=True):
        if both.is_floating_point():
            torch.testing.assert_close(both, (one + two) / 2)
    receipt = {
        "mean_of": [
            {"file": other.name, "sha256": sha256_file(other)},
            {"file": checkpoint.name, "sha256": sha256_file(checkpoint), "receipt": {"hours": 2}},
        ]
    }
    assert yaml.safe_load(mean.with_name("receipt.yaml").read_text()) == receipt
    with pytest.raises(UserError, match=r"expected a folder without receipt\.yaml"):
        started(monkeypatch, average, other, checkpoint, "--output", mean)
    started(monkeypatch, ship, "tiny", mean, "data", tmp_path / "lists")
    assert yaml.safe_load(template.with_name("receipt.yaml").read_text()) == receipt
    assert contents(template.parent)["curves.png"] == b"old"
    assert "curves.png stays as it was" in capsys.readouterr().out


def test_quantizers_have_no_mean(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = read_weights(checkpoint)
    hooked = tmp_path / "hooked.safetensors"
    write_weights(
        hooked,
        template_text=read.template_text,
        state_dict=read.state_dict,
        epochs=1,
        hooks={"compression_state": []},
    )
    mean = tmp_path / "mean" / "weights.safetensors"
    with pytest.raises(UserError, match=r"hooked\.safetensors: has quantizers"):
        started(monkeypatch, average, checkpoint, hooked, "--output", mean)
    assert not mean.parent.exists()
