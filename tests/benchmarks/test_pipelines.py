"""The steps from pixels to answers, in this process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import pocketface
from pocketface.benchmarks.pipelines import open_pipeline
from pocketface.benchmarks.worker import CaseWorker
from pocketface.data.images import read_image
from pocketface.tasks.timing import public_items

from .conftest import GLASSES, case_of

PUBLIC = public_items()
ITEMS = {"face-detection": PUBLIC, "face-classification": PUBLIC}


def test_the_steps_of_a_detector_are_those_of_predict(exported: Path) -> None:
    model = pocketface.load(exported / "model.onnx")
    pipeline = open_pipeline(case_of(exported / "model.onnx", "onnxruntime"))
    for item in PUBLIC:
        image = read_image(item.path)
        batch, aside = pipeline.steps.prepare([image], [None])
        (found,) = pipeline.steps.finish(pipeline.steps.infer(batch), aside)
        wanted = model.predict(image)
        assert len(wanted) == 1
        assert np.array_equal(found.boxes, wanted.boxes)
        assert np.array_equal(found.scores, wanted.scores)
    assert len(pipeline.model.predict(image, score_threshold=0.02)) > 1


def test_the_steps_of_a_classifier_are_those_of_predict() -> None:
    model = pocketface.load(GLASSES)
    pipeline = open_pipeline(case_of(GLASSES, "torch"))
    images = [read_image(item.path) for item in PUBLIC]
    points = [item.landmarks for item in PUBLIC]
    batch, aside = pipeline.steps.prepare(images, points)
    found = pipeline.steps.finish(pipeline.steps.infer(batch), aside)
    wanted = [model.predict(i, p[None])[0] for i, p in zip(images, points, strict=True)]
    assert [one.label for one in found] == [one.label for one in wanted] == ["glass", "no_glass"]
    assert [one.score for one in found] == pytest.approx([one.score for one in wanted], abs=1e-5)


def test_a_turn_times_every_step_of_every_batch() -> None:
    worker = CaseWorker(case_of(GLASSES, "torch", batch=2), ITEMS)
    opened = worker.open()
    assert (opened.task, opened.precision, opened.name, opened.callers) == (
        "face-classification",
        "fp32",
        "glasses-n",
        1,
    )
    assert opened.bytes == GLASSES.stat().st_size
    assert opened.load_ms > 0 < opened.first_ms
    turn = worker.turn(0.2)
    assert turn.seconds.shape[1] == 4
    assert (turn.seconds > 0).all()
    assert turn.seconds[:-1].sum() <= 0.2  # the last one may end later
    assert 0 < turn.cpu < 1
    assert len(turn.resident) == 0


def test_several_callers_keep_a_throughput_session_busy(exported: Path) -> None:
    worker = CaseWorker(case_of(exported / "model.xml", "openvino:throughput", threads=2), ITEMS)
    callers = worker.open().callers
    turn = worker.turn(0.3)
    assert np.isnan(turn.seconds[:, 0]).all()
    assert np.isfinite(turn.seconds[:, 1:]).all()
    # All of them worked all the time.
    assert turn.seconds[:, 1:].sum() > 0.5 * callers * 0.3


def test_batches_share_the_photos_in_memory(
    exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    way = case_of(exported / "model.xml", "openvino:throughput", threads=2, batch=4)
    worker = CaseWorker(way, ITEMS)
    worker.open()
    read: list[Path] = []
    monkeypatch.setattr(
        "pocketface.benchmarks.worker.read_image",
        lambda path: read.append(path) or np.zeros((40, 40, 3), np.uint8),
    )
    worker.turn(0.1)
    assert len(read) == len(worker.items)
