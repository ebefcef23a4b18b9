"""What is found wrong with a segmenter, and what is not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.apps import diagnose_masks as module
from pocketface.apps.diagnose_masks import AS_IT_IS, MARGIN, diagnose_masks
from pocketface.errors import DataError, UserError
from pocketface.runtimes.session import Outputs, Session
from pocketface.tasks.measuring import Labels
from pocketface.tasks.segmentation.model import FaceSegmenter

from ..segmenter_contract import segmenter_contract

SIDE, HEADS = 64, 12
SKIN, WALL = (90, 120, 200), (150, 110, 60)
"""BGR: a face is redder than what is around it."""

Answer = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From pictures (B, 3, H, W) to probabilities (B, 1, H, W)."""


def is_red(batch: NDArray[np.float32]) -> NDArray[np.float32]:
    return (batch[:, 2:] > 1.2 * batch[:, :1]).astype(np.float32)


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Labels:
    """Leaning eggs of skin's colour, each at another place, left of the middle and below it."""
    folder = tmp_path_factory.mktemp("heads")
    generator = np.random.default_rng(0)
    pairs = []
    for index in range(HEADS):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        centre = [int(one) for one in generator.integers((22, 34), (28, 40))]
        cv2.ellipse(mask, centre, (14, 20), 25, 0, 360, 1, -1)
        photo = np.where(mask[:, :, None] > 0, SKIN, WALL).astype(np.uint8)
        assert cv2.imwrite(str(folder / f"{index}.png"), photo)
        assert cv2.imwrite(str(folder / f"mask{index}.png"), mask)
        pairs.append({"image": f"{index}.png", "mask": f"mask{index}.png"})
    path = folder / "heads.masks.json"
    path.write_text(json.dumps({"classes": {"1": "face"}, "pairs": pairs}), encoding="utf-8")
    return Labels([path], [folder])


def diagnosed(
    patch: pytest.MonkeyPatch, heads: Labels, answer: Answer, **options: Any
) -> module.MaskDiagnosis:
    def load(_: type[FaceSegmenter], path: Path, **__: Any) -> FaceSegmenter:
        def run(batch: NDArray[np.float32]) -> Outputs:
            return {"mask": answer(batch)}

        contract = segmenter_contract("face", side=SIDE, batch=1)
        session = Session("fake", "cpu", None, {}, {}, run)
        return FaceSegmenter(contract=contract, session=session, path=path)

    patch.setattr(module, "load_as", load)
    return diagnose_masks(Path("model.onnx"), labels=heads, **options)


FAULTS: dict[str, Answer] = {
    AS_IT_IS: is_red,
    "mask mirrored": lambda x: is_red(x)[..., ::-1].copy(),
    "mask upside down": lambda x: is_red(x)[..., ::-1, :].copy(),
    "mask 1 px left": lambda x: np.roll(is_red(x), 1, 3),
    "mask 1 px down": lambda x: np.roll(is_red(x), -1, 2),
    "red and blue swapped": lambda x: is_red(x[:, ::-1]),
}
"""By the way that undoes them."""


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_by_what_undoes_it(
    monkeypatch: pytest.MonkeyPatch, heads: Labels, fault: str
) -> None:
    found = diagnosed(monkeypatch, heads, FAULTS[fault])
    assert found.trials[0].name == fault
    assert found.trials[0].iou == pytest.approx(1, abs=1e-6)
    assert found.verdict == ("as declared" if fault == AS_IT_IS else "mismatch")
    assert found.heads == HEADS
    gain, low, high = found.gain
    assert low <= gain <= high
    assert (gain > MARGIN) == (fault != AS_IT_IS)


def test_nothing_found_is_useless(monkeypatch: pytest.MonkeyPatch, heads: Labels) -> None:
    found = diagnosed(monkeypatch, heads, lambda x: np.zeros_like(x[:, :1]))
    assert found.verdict == "useless"


def test_few_heads_of_many_tell_of_no_mismatch(
    monkeypatch: pytest.MonkeyPatch, heads: Labels
) -> None:
    fault = "mask mirrored"
    found = diagnosed(monkeypatch, heads, FAULTS[fault], limit=5)
    assert (found.heads, found.too_few, found.verdict) == (5, True, "undecided")
    assert found.trials[0].name == fault
    assert found.gain[1] > MARGIN


def test_labels_of_another_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    labels = Labels([tmp_path / "faces.json"], [tmp_path])
    with pytest.raises(UserError, match=r"faces\.json: .*expected lists named ….masks\.json"):
        diagnosed(monkeypatch, labels, is_red)


def test_photos_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
    heads: Labels,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    shutil.copytree(heads.roots[0], tmp_path, dirs_exist_ok=True)
    (tmp_path / "0.png").write_bytes(b"no photo")
    progress: list[tuple[int, int]] = []
    found = diagnosed(
        monkeypatch,
        Labels(heads.files, [tmp_path]),
        is_red,
        on_progress=lambda *done: progress.append(done),
    )
    assert found.heads == HEADS - 1
    assert f"left out: {tmp_path / '0.png'}: " in caplog.text
    assert progress == [(done, HEADS) for done in range(1, HEADS + 1)]
    for index in range(HEADS):
        (tmp_path / f"{index}.png").write_bytes(b"no photo")
    with pytest.raises(DataError, match=f"{HEADS} of {HEADS} photos cannot be used: .*0.png: "):
        diagnosed(monkeypatch, Labels(heads.files, [tmp_path]), is_red)
