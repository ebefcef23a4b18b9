"""Figures of a recogniser, the thresholds that a training settles, and what follows from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pocketface.compressing.channels import pruned
from pocketface.compressing.run import settled
from pocketface.data.images import read_image
from pocketface.embedding import Embedding
from pocketface.errors import DataError, InputError, PocketfaceError, UserError
from pocketface.evaluation.verification import BINS
from pocketface.models.network import make_network
from pocketface.models.weights import Weights, read_weights, write_weights
from pocketface.tasks import task_of
from pocketface.tasks.describe import contract_for
from pocketface.tasks.measuring import Labels, Measured, Options
from pocketface.tasks.recognition.measure import evaluate, measure, people_of
from pocketface.tasks.recognition.model import FaceRecognizer
from pocketface.tasks.recognition.rules import RecognitionRules, recognition_rules
from pocketface.tasks.recognition.settling import rules_of
from pocketface.tasks.templates import (
    open_template,
    parse_template,
    settled_text,
    with_settled,
)

from ..every_task import LANDMARKS, digest, write_photos
from .tiny_recognizer import TINY, write_list

TASK = task_of("face-recognition")
MEASURED = """\
inference:
  thresholds: [{fmr: 0.1, cosine: 0.2}, {fmr: 0.01, cosine: 0.4}, {fmr: 0.001, cosine: 0.5}]
  calibration: {slope: 10.0, offset: -4.0}
  measured_on: three photos
"""
SETTLED = TINY.replace("inference: {}\n", MEASURED)


def recognizer(text: str = TINY) -> FaceRecognizer:
    contract = contract_for(parse_template(text, source="test"))
    session: Any = SimpleNamespace(runtime="none", device="cpu")
    return FaceRecognizer(contract=contract, session=session, path=Path("tiny"))


def saying(model: FaceRecognizer, folder: Path, angles: Sequence[float | None]) -> FaceRecognizer:
    """A model that turns each photo of `write_photos` by so many degrees."""
    known = {
        digest(read_image(folder / f"{index}.png")): angle for index, angle in enumerate(angles)
    }

    def embedding(photo: NDArray[np.uint8]) -> Embedding:
        angle = np.radians(known[digest(photo)] or 0)
        vector = np.zeros(8, np.float32)
        vector[:2] = np.cos(angle), np.sin(angle)
        return Embedding(vector)

    model.cut = lambda image, _: [image]  # type: ignore[method-assign]
    model.embed = lambda photos, **_: [embedding(one) for one in photos]  # type: ignore[method-assign]
    return model


PEOPLE = ("ann", "ann", "bob", "bob", None)
ANGLES = (0, 20, 90, 130, 60)


def labels(folder: Path, **more: Any) -> Labels:
    names = write_photos(folder, len(PEOPLE))
    photos = list(zip(names, PEOPLE, strict=True))
    return Labels([write_list(folder / "all.identities.json", photos, LANDMARKS, **more)], [folder])


def test_all_pairs_are_measured_and_unknown_people_left_out(tmp_path: Path) -> None:
    given = labels(tmp_path)
    samples = TASK.samples.read(given, rules={})
    found = measure(saying(recognizer(), tmp_path, ANGLES), samples)
    assert found.figures["images"] == 5
    assert found.figures["people"] == 2
    assert found.figures["roc_auc"] == 1.0  # 20 and 40 degrees; two people's are 70 and more
    # The nearest other face of the one at 90 degrees is the stranger's at 60.
    assert found.figures["rank_1"] == pytest.approx(0.75)
    assert people_of(samples).tolist() == [0, 0, 1, 1, -1]


@pytest.mark.parametrize("people", [22, 23])  # 946 and 1,012 pairs of two
def test_rates_that_too_few_pairs_can_tell_are_left_out(tmp_path: Path, people: int) -> None:
    names = write_photos(tmp_path, 2 * people)
    photos = [(name, f"person {index // 2}") for index, name in enumerate(names)]
    given = Labels([write_list(tmp_path / "all.identities.json", photos, LANDMARKS)], [tmp_path])
    angles = [5.0 * (index // 2) + index % 2 for index in range(2 * people)]
    model = saying(recognizer(), tmp_path, angles)
    for found in (
        measure(model, TASK.samples.read(given, rules={})).figures,
        evaluate(model, given, Options()).figures,
    ):
        assert found["tar_1e-2"] == 1.0
        assert found["tar_1e-3"] == (None if people == 22 else 1.0)
        assert found["tar_1e-4"] is None


def test_pairs_of_a_protocol_are_measured_by_their_folds(tmp_path: Path) -> None:
    pairs = [(0, 1, 1), (0, 2, 1), (2, 3, 2), (1, 3, 2)]
    given = labels(tmp_path, pairs=pairs)
    found = evaluate(saying(recognizer(), tmp_path, ANGLES), given, Options())
    assert found.figures["fold_accuracy"] == 1.0
    assert found.protocol["pairs"] == "4 of the protocol"
    wrong = evaluate(saying(recognizer(), tmp_path, (0, 90, 20, 100, 60)), given, Options())
    assert wrong.figures["fold_accuracy"] == 0.25  # refusing all is as good as any threshold


def test_a_photo_without_a_face_is_like_no_other(tmp_path: Path) -> None:
    given = labels(tmp_path)
    path = given.files[0]
    content = json.loads(path.read_text(encoding="utf-8"))
    content["photos"][1]["landmarks"] = None
    path.write_text(json.dumps(content), encoding="utf-8")
    samples = TASK.samples.read(given, rules={})
    found = measure(saying(recognizer(), tmp_path, ANGLES), samples).figures
    assert found["no_face"] == 1
    # Its pair of one person is as low as two of the four of two people, the other above all.
    assert found["roc_auc"] == pytest.approx((2 * 0.5 / 4 + 1) / 2)


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        (Options(nms_iou=0.5), "--nms-iou"),
        (Options(score_threshold=0.5), "--score-threshold"),
        (Options(mistakes=Path("x.png")), "--mistakes-to"),
    ],
)
def test_options_of_other_tasks_are_refused(options: Options, flag: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{flag}: not for tiny, which is for face-recognition"):
        evaluate(recognizer(), labels(tmp_path), options)


@pytest.mark.parametrize(
    ("people", "what"),
    [
        ((None, None, None), "nobody whose name is known"),
        (("ann", "ann", None), "one person alone"),
        (("ann", "bob", None), "one photo of each person"),
    ],
)
def test_photos_that_nobody_can_be_compared_in_are_refused(
    tmp_path: Path, people: Sequence[str | None], what: str
) -> None:
    photos = list(zip(write_photos(tmp_path, 3), people, strict=True))
    path = write_list(tmp_path / "all.identities.json", photos, LANDMARKS)
    samples = TASK.samples.read(Labels([path], [tmp_path]), rules={})
    with pytest.raises(DataError, match=f"^--val-ann-files: its photos with a face show {what}: "):
        TASK.samples.check(samples, flag="--val-ann-files")


# What a training settles ------------------------------------------------------------------------


def test_a_validation_settles_what_cosines_mean(tmp_path: Path) -> None:
    people = [f"person {index // 4}" for index in range(80)]
    names = write_photos(tmp_path, 80)
    path = write_list(
        tmp_path / "all.identities.json", list(zip(names, people, strict=True)), LANDMARKS
    )
    samples = TASK.samples.read(Labels([path], [tmp_path]), rules={})
    angles = [18.0 * (index // 4) + 4.0 * (index % 4) for index in range(80)]
    found = measure(saying(recognizer(), tmp_path, angles), samples)
    text = settled_text(TINY, found.settled)
    model = recognizer(text)
    assert model.rules.measured_on == "80 photos of 20 people"
    assert [point.fmr for point in model.rules.thresholds] == [
        0.3,
        0.1,
        0.03,
        0.01,
    ]  # of 3,040 pairs
    cosines = [point.cosine for point in model.rules.thresholds]
    assert cosines == sorted(cosines)
    # Neighbours of two people are 6 degrees apart at the nearest, two photos of one 12 at most.
    assert np.cos(np.radians(12)) < cosines[-1] <= 1
    near, far = model.probability(np.cos(np.radians(4))), model.probability(0.0)
    assert near is not None
    assert far is not None
    assert 1 > near > 0.5 > far > 0


def test_photos_without_a_face_say_nothing_of_what_cosines_mean(tmp_path: Path) -> None:
    people = [f"person {index // 4}" for index in range(80)]
    names = write_photos(tmp_path, 80)
    photos = list(zip(names, people, strict=True))
    angles = [18.0 * (index // 4) + 4.0 * (index % 4) for index in range(80)]
    path = write_list(tmp_path / "all.identities.json", photos, LANDMARKS)
    content = json.loads(path.read_text(encoding="utf-8"))
    for entry in content["photos"][::4]:
        entry["landmarks"] = None
    path.write_text(json.dumps(content), encoding="utf-8")
    some = [photo for place, photo in enumerate(photos) if place % 4]
    without = write_list(tmp_path / "some.identities.json", some, LANDMARKS)
    model = saying(recognizer(), tmp_path, angles)
    found, expected = (
        measure(model, TASK.samples.read(Labels([file], [tmp_path]), rules={})).settled
        for file in (path, without)
    )
    assert found == expected
    assert found["measured_on"] == "60 photos of 20 people"


def test_a_training_without_validation_leaves_old_thresholds_out() -> None:
    text = settled_text(SETTLED, {})
    assert recognizer(text).rules.thresholds == ()
    assert recognizer(text).rules.calibration is None
    assert settled_text(TINY, {}) == TINY


def test_another_recipe_of_the_same_weights_keeps_their_thresholds() -> None:
    then, now = (parse_template(text, source="test") for text in (SETTLED, TINY))
    kept = contract_for(with_settled(now, then))
    assert recognition_rules(kept).thresholds[1].cosine == 0.4
    assert with_settled(now, None) is now


@pytest.mark.parametrize("embedded", [SETTLED.replace("cosine: 0.4", "cosine: 0.45"), TINY])
def test_thresholds_are_those_of_the_weights_and_not_of_a_template(
    tmp_path: Path, embedded: str
) -> None:
    weights = written(tmp_path, embedded)
    path = tmp_path / "template.yaml"
    path.write_text(SETTLED, encoding="utf-8")
    described = weights.described_by(open_template(path))
    rules = recognition_rules(contract_for(described.template, weights=described))
    assert rules == recognition_rules(contract_for(weights.template, weights=weights))


def test_thresholds_of_another_input_size_are_left_out(tmp_path: Path) -> None:
    text = SETTLED.replace("0.461]", "0.461], multiple_of: 8").replace("kernel: 4, ", "")
    weights = written(tmp_path, text)
    for given in (weights, None):
        kept = contract_for(weights.template, weights=given)
        other = contract_for(weights.template, weights=given, height=40, width=40)
        assert recognition_rules(kept).thresholds
        assert recognition_rules(other) == RecognitionRules()


def test_pruned_weights_have_no_thresholds_of_the_whole_ones(tmp_path: Path) -> None:
    narrow = pruned(written(tmp_path, SETTLED), 0.5, tmp_path / "pruned.safetensors")
    assert narrow.template.inference == {}


def test_fine_tuned_weights_have_the_thresholds_that_are_measured_of_them(tmp_path: Path) -> None:
    before = written(tmp_path, TINY)
    found = parse_template(SETTLED, source="test").inference
    promise: Any = SimpleNamespace(measure=lambda _: Measured({}, settled=found))
    after = settled(before, promise)
    rules = recognition_rules(contract_for(after.template, weights=after))
    assert rules.thresholds[1].cosine == 0.4
    assert read_weights(before.path).template.inference == found
    for name, value in before.state_dict.items():
        assert value.equal(after.state_dict[name])


def written(folder: Path, text: str) -> Weights:
    network = make_network(parse_template(text, source="test").architecture)
    path = folder / "weights.safetensors"
    write_weights(path, template_text=text, state_dict=network.state_dict(), epochs=1)
    return read_weights(path)


def test_threshold_of_a_rate_between_two() -> None:
    model = recognizer(SETTLED)
    assert model.threshold(max_fmr=0.01) == 0.4
    assert model.threshold(max_fmr=0.1**1.5) == pytest.approx(0.3)  # half-way in the logarithm
    assert model.threshold(max_fmr=0.5) == 0.2  # the most frequent that was measured
    for rate in (1e-4, 1.0, float("nan")):
        with pytest.raises(UserError, match=r"--max-fmr \S+: expected 0.001, the smallest"):
            model.threshold(max_fmr=rate)
    text: Any = "0.01"
    with pytest.raises(InputError, match=r"^max_fmr is '0\.01': expected a number"):
        model.threshold(max_fmr=text)


def test_a_slope_that_rounds_to_nothing_tells_nothing() -> None:
    """Of 25,001 pairs of one person one more is alike."""
    same, others = np.zeros((2, BINS), np.int64)
    same[[0, -1]], others[[0, -1]] = (12500, 12501), 12500
    with pytest.raises(DataError, match="hardly score higher than pairs of two"):
        rules_of(same, others, measured_on="these")


def test_a_model_that_was_never_measured_says_so() -> None:
    model = recognizer()
    assert model.probability(0.9) is None
    with pytest.raises(UserError, match="tiny: its thresholds were never measured") as caught:
        model.threshold(max_fmr=0.01)
    assert "recognize calibrate" in str(caught.value.hint)


def test_probability_is_a_logistic_curve() -> None:
    model = recognizer(SETTLED)
    assert model.probability(0.4) == pytest.approx(0.5)
    assert model.probability(0.5) == pytest.approx(1 / (1 + np.exp(-1)))


def test_embeddings_of_two_models_are_not_compared() -> None:
    one, other = Embedding(np.ones(1, np.float32)), Embedding(np.ones(2, np.float32))
    with pytest.raises(InputError, match="have 1 and 2 components: expected two of the same model"):
        one.similarity(other)
    assert one.similarity(one) == 1.0
    assert one == Embedding(np.ones(1, np.float32))
    assert one != other
    assert one.to_dict() == {"vector": [1.0]}


# Bad templates ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kernel: 4", "kernel: 3", "head.kernel is 3, but input.height 32 makes a map of 4 cells"),
        ("[face]", "[face, mask]", "dataset.classes is .*: expected 1"),
        ("resize: align, eyes: [0.342, 0.657, 0.461]", "resize: stretch", "input.resize does not"),
        ("0.461]", "0.461], multiple_of: 8", "input.multiple_of does not go with .*head.kernel"),
        (
            "inference: {}",
            "inference: {thresholds: [{fmr: 0.01, cosine: 0.1}, {fmr: 0.1, cosine: 0.2}]}",
            "thresholds: expected falling fmr and rising cosine",
        ),
        ("size: 8", "size: 1", "size"),
        ("margin: 0.2", "margin: -1", "margin"),
        ("type: arcface", "type: circle", "loss"),
    ],
)
def test_bad_templates_are_refused(old: str, new: str, message: str) -> None:
    assert TINY.count(old) == 1
    with pytest.raises(UserError, match=message):
        parse_template(TINY.replace(old, new), source="test")


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_embeddings_without_a_direction_are_no_answer(value: float) -> None:
    model = recognizer()
    session: Any = SimpleNamespace(
        runtime="none",
        device="cpu",
        run=lambda batch: {"embedding": np.full((len(batch), 8), value, np.float32)},
    )
    model.session = session
    with pytest.raises(PocketfaceError, match="tiny: the network's embeddings are not finite, or"):
        model.embed([np.zeros((32, 32, 3), np.uint8)])
