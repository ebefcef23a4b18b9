"""Photos are packed for another machine, where a training fills some minutes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from pocketface.cli import main
from pocketface.data.coco import read_coco
from pocketface.data.images import read_image
from pocketface.models.weights import read_weights
from pocketface.tasks.measuring import Labels
from pocketface.tools import pack_photos, train_on_gpu

from ..small_training import drawn_photos, write_template

__all__ = ["drawn_photos"]


def packed(labels: Labels, output: Path, *options: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pack a list, and return the packed one."""
    lists, roots = labels.files, labels.roots
    given = ["pack", "--lists", *lists, "--roots", *roots, "--output", output, *options]
    monkeypatch.setattr(sys, "argv", [str(one) for one in given])
    pack_photos.main()
    return output / "part-0" / lists[0].name


def test_packed_photos_are_smaller_and_their_faces_lie_where_they_lay(
    drawn_photos: Labels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "packed"
    options = ("--side", "80", "--quality", "90", "--parts", "0.004")
    list_ = packed(drawn_photos, output, *options, monkeypatch=monkeypatch)
    before = read_coco(drawn_photos.files, drawn_photos.roots).photos
    after = read_coco([list_], [output]).photos
    assert len(after) == len(before) == 10
    for old, new in zip(before, after, strict=True):
        image = read_image(new.path)
        assert image.shape[:2] == (60, 80)
        scale = new.scale_to(*image.shape[:2])
        np.testing.assert_allclose(scale, 0.5)
        np.testing.assert_array_equal(new.boxes, old.boxes)
        for x0, y0, x1, y1 in (new.boxes * np.tile(scale, 2)).astype(int):
            face = image[y0:y1, x0:x1][5:-5, 5:-5]
            assert face.mean() > image.mean() + 60
    parts = sorted(output.iterdir())
    assert len(parts) > 1
    photos = [sum(file.stat().st_size for file in part.glob("*.webp")) for part in parts]
    assert max(photos) <= 0.004 * 2**20


def test_a_training_fills_the_minutes_and_goes_on_where_it_was_stopped(
    drawn_photos: Labels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begun: list[Path | None] = []

    class Here:
        """Trains in this process."""

        def __init__(self, command: list[str]) -> None:
            assert command[1:3] == ["-m", "pocketface"]
            flag = "--resume-from"
            begun.append(Path(command[command.index(flag) + 1]) if flag in command else None)
            self.code = main([*command[3:], "--seed", "1"])

        def wait(self, _: float) -> int:
            return self.code

    stand_in = SimpleNamespace(Popen=Here, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr(train_on_gpu, "subprocess", stand_in)
    monkeypatch.setattr(train_on_gpu, "EPOCH_S", 0.2)
    monkeypatch.setattr(train_on_gpu, "END_S", 0.0)
    template = write_template(tmp_path / "tiny.yaml")
    (labels,), (root,) = drawn_photos.files, drawn_photos.roots
    given = ["gpu", "--template", template, "--train-ann-files", labels, "--train-data-roots", root]
    given += ["--save-to", tmp_path / "run", "--minutes", "0.01", "--batch-size", "4"]
    given += ["--workers", "0", "--trial-steps", "3"]
    monkeypatch.setattr(sys, "argv", [str(one) for one in given])
    train_on_gpu.main()
    plan, latest = tmp_path / "run" / "template.yaml", tmp_path / "run" / "run" / "latest.pth"
    assert read_weights(latest).epochs == 1
    assert begun == [None, None]

    # As if it had been stopped.
    steps = train_on_gpu.planned(plan)["iterations_per_epoch"]
    train_on_gpu.write_plan(str(template), plan, steps=steps, epochs=2)
    for _ in range(2):  # the second time there is nothing to do
        capsys.readouterr()
        train_on_gpu.main()
        assert read_weights(latest).epochs == 2
        assert f"2 epochs of 2, {2 * steps * 4:,} samples" in capsys.readouterr().out
        assert begun == [None, None, latest]
