"""A classifier trained from labelled faces: its samples, its loss, and whole trainings."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import yaml
from torch import Tensor

import pocketface
from pocketface.data.align import align_face
from pocketface.data.labelled_faces import LabelledFace
from pocketface.errors import DataError
from pocketface.model_templates import template_path
from pocketface.model_templates.contract import InputSpec
from pocketface.model_templates.strict_yaml import read_yaml
from pocketface.tasks.classification.face_crops import FaceCrops, FaceTargets, collate
from pocketface.tasks.classification.learn import LABEL_SMOOTHING, ClassificationLearner
from pocketface.tasks.classification.rules import AugmentationSpec
from pocketface.tasks.learning import EpochSampler
from pocketface.tasks.measuring import Labels as Files
from pocketface.tasks.templates import open_template
from pocketface.training.fit import fit
from pocketface.training.report import FitReport
from pocketface.training.request import FitRequest

from ...labelled_lists import write_labelled_faces

POINTS = np.array([[22, 30], [42, 30], [32, 40], [24, 50], [40, 50]], np.float32)
TARGET = InputSpec(
    shape=(-1, 3, 32, 32),
    resize="align",
    points=((11.0, 15.0), (21.0, 15.0), (16.0, 20.0), (12.0, 25.0), (20.0, 25.0)),
)


def make_faces(folder: Path, count: int, *, seed: int) -> Path:
    """Pictures of noise; with a dark bar across the eyes they are labelled glass."""
    generator = np.random.default_rng(seed)
    rows: list[tuple[str, str, np.ndarray | None]] = []
    for index in range(count):
        picture = generator.integers(90, 200, (8, 8, 3), dtype=np.uint8)
        picture = cv2.resize(picture, (64, 64), interpolation=cv2.INTER_CUBIC)
        worn = index % 3 == 0
        if worn:
            picture[26:34, 12:52] = generator.integers(0, 30, 3)
        name = f"{seed}-{index}.png"
        assert cv2.imwrite(str(folder / name), picture)
        rows.append((name, "glass" if worn else "no_glass", POINTS))
    path = folder / f"{seed}.csv"
    write_labelled_faces(path, rows)
    return path


def write_template(path: Path, *, classes: list[str]) -> None:
    """That of glasses-n with a smaller input and network, for short trainings."""
    content = read_yaml(template_path("glasses-n"))
    content |= {"initial_weights": None, "metrics": []}
    content["name"] = path.stem
    content["dataset"]["classes"] = classes
    content["input"] |= {"height": 32, "width": 32}
    content["architecture"]["backbone"]["stem_channels"] = 8
    content["hyper_parameters"]["ema_decay"] = 0.8
    content["hyper_parameters"]["schedule"]["warmup_iterations"] = 4
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("glasses")
    write_template(folder / "template.yaml", classes=["no_glass", "glass"])
    for seed, count in ((0, 90), (1, 60)):
        make_faces(folder, count, seed=seed)
    return folder


def train(folder: Path, output: Path, **options: Any) -> FitReport:
    request = FitRequest(
        template=open_template(folder / "template.yaml"),
        train=Files([folder / "0.csv"], [folder]),
        val=Files([folder / "1.csv"], [folder]),
        output=output,
        batch_size=16,
        workers=0,
        progress=False,
    )
    return fit(replace(request, **options))


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> FitReport:
    return train(folder, tmp_path_factory.mktemp("run") / "out", epochs=8)


def test_it_learns(trained: FitReport, folder: Path) -> None:
    assert (trained.epochs, trained.metric_name) == (8, "balanced accuracy")
    assert trained.best_value is not None
    assert trained.best_value > 0.95
    assert trained.best is not None
    model = pocketface.load(trained.best)
    picture = cv2.imread(str(folder / "1-0.png"))
    (found,) = model.predict(picture, POINTS[None])
    assert found.label == "glass"


def test_the_receipt_names_the_figure(trained: FitReport) -> None:
    receipt = yaml.safe_load((trained.latest.parent / "receipt.yaml").read_text())
    assert receipt["best_balanced_accuracy"] == pytest.approx(trained.best_value)
    assert receipt["starts"][0]["photos"] == 90


def test_a_resumed_training_goes_on_exactly(
    folder: Path, trained: FitReport, tmp_path: Path
) -> None:
    """The schedule of a training in two parts is that of the whole, so both ask for 8 epochs."""
    from pocketface.training import fit as room

    class Stop(Exception):
        pass

    before = room.Snapshots.on_train_epoch_end

    def stop(self: Any, trainer: Any, module: Any) -> None:
        before(self, trainer, module)
        if self.epochs == 3:
            raise Stop

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room.Snapshots, "on_train_epoch_end", stop)
        with pytest.raises(Stop):
            train(folder, tmp_path / "out", epochs=8)
    resumed = train(folder, tmp_path / "out", epochs=8, resume_from=tmp_path / "out" / "latest.pth")
    one, other = (
        torch.load(report.latest, weights_only=True)["state_dict"] for report in (trained, resumed)
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def faces_of(folder: Path) -> list[LabelledFace]:
    return [
        LabelledFace(folder / f"0-{index}.png", index, int(index % 3 == 0), POINTS.copy())
        for index in range(9)
    ]


def crops_of(faces: list[LabelledFace], **options: Any) -> FaceCrops:
    spec = AugmentationSpec.model_validate({"crop": "face", **options})
    crops = FaceCrops(faces, spec=spec, target=TARGET, seed=0, passes=10)
    crops.preload(budget=1e9)
    return crops


def test_samples_hang_on_seed_pass_and_index_alone(folder: Path) -> None:
    crops = crops_of(faces_of(folder))
    one, label, image_id = crops.sample((3, 5))
    again = crops.sample((3, 5))
    assert (one.shape, one.dtype) == ((3, 32, 32), torch.uint8)
    assert torch.equal(one, again[0])
    assert (label, image_id) == again[1:]
    assert not torch.equal(one, crops.sample((4, 5))[0])


def test_rarer_labels_come_more_often(folder: Path) -> None:
    faces = [*faces_of(folder)[1:3] * 20, faces_of(folder)[0]]
    crops = crops_of(faces)
    labels = [crops.sample((0, index))[1] for index in range(len(crops))]
    assert labels.count(0) == 40
    assert labels.count(1) == 20


def test_samples_are_on_average_what_the_network_is_asked(tmp_path: Path) -> None:
    """They are turned, zoomed and shifted about the crop that inference makes."""
    picture = np.zeros((64, 64, 3), np.uint8)
    cv2.circle(picture, (36, 44), 4, (255, 255, 255), -1)
    assert cv2.imwrite(str(tmp_path / "dot.png"), picture)
    face = LabelledFace(tmp_path / "dot.png", 0, 0, POINTS.copy())
    crops = crops_of([face], flip=0, photometric=False)

    def dot(image: np.ndarray) -> np.ndarray:
        places = np.argwhere(image) + 0.5
        return np.average(places, axis=0, weights=image[image > 0])

    places = [dot(crops.sample((run, 0))[0][0].numpy()) for run in range(800)]
    wanted = dot(align_face(picture, POINTS, TARGET)[..., 0])
    np.testing.assert_allclose(np.mean(places, axis=0), wanted, atol=0.2)
    assert (np.std(places, axis=0) > 0.5).all()


def test_flipped_samples_are_mirrored(folder: Path) -> None:
    plain, mirrored = (
        crops_of(faces_of(folder), flip=flip, photometric=False).sample((0, 3))[0]
        for flip in (0.0, 1.0)
    )
    assert torch.equal(plain.flip(-1), mirrored)
    assert not torch.equal(plain, mirrored)


def test_labels_are_smoothed_by_hand() -> None:
    def network(_: Tensor, raw: bool) -> Tensor:
        assert raw
        return torch.tensor([[2.0, 0.0]])

    labels = FaceTargets(torch.tensor([0]), torch.tensor([1]))
    images = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    losses = ClassificationLearner().losses(network, images, labels, seed=0)  # type: ignore[arg-type]
    share = LABEL_SMOOTHING / 2  # of the other label
    assert share > 0
    right, wrong = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2))
    expected = -(1 - share) * math.log(right) - share * math.log(wrong)
    assert losses["classes"].item() == pytest.approx(expected)
    assert list(losses) == ["classes"]


def test_faces_that_were_not_found_are_left_out(folder: Path) -> None:
    faces = faces_of(folder)
    for face in faces[1:]:
        face.landmarks[:] = np.nan
    assert len(crops_of(faces).faces) == 1
    with pytest.raises(DataError, match="none of the 8 photos has a face with landmarks"):
        crops_of(faces[1:])


def test_a_damaged_photo_is_left_out_and_named(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    faces = faces_of(folder)
    broken = tmp_path / "broken.png"
    broken.write_text("no photo")
    crops = crops_of([replace(faces[0], path=broken), *faces[1:]])
    assert (crops.used, {crops.sample((0, index))[2] for index in range(len(crops))}) == (
        8, set(range(1, 9)),
    )  # fmt: skip
    assert "left out 1 photos" in caplog.text
    assert "broken.png" in caplog.text
    with pytest.raises(DataError, match=r"1 of 1 photos cannot be used: .*broken"):
        crops_of([replace(faces[0], path=broken)])


def test_samples_that_fill_up_a_batch_are_as_hard_as_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(
        "pocketface.tasks.classification.face_crops.spoil",
        lambda picture, _, hardness, **__: seen.append(hardness) or picture,
    )
    crops = crops_of(faces_of(folder))
    (batch,) = EpochSampler(crops, batch_size=40, repeats=1, seed=0, first_epoch=3)
    for key in batch:
        crops.sample(key)
    assert len(seen) == 40
    assert seen == pytest.approx([0.3 + 0.7 * 3 / 6] * 40)


def test_validation_faces_of_one_label_measure_nothing(folder: Path, tmp_path: Path) -> None:
    rows = [("1-1.png", "no_glass", POINTS), ("1-2.png", "no_glass", POINTS)]
    write_labelled_faces(tmp_path / "one.csv", rows)
    message = "--val-ann-files: its 2 faces with landmarks all have the same label"
    with pytest.raises(DataError, match=message):
        train(folder, tmp_path / "out", val=Files([tmp_path / "one.csv"], [folder]))


def test_faces_without_landmarks_teach_nothing(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [("1-1.png", "no_glass", POINTS), ("1-2.png", "glass", None)]
    write_labelled_faces(tmp_path / "one.csv", rows)
    message = "--train-ann-files: its 1 faces with landmarks all have the same label"
    with pytest.raises(DataError, match=message):
        train(folder, tmp_path / "out", train=Files([tmp_path / "one.csv"], [folder]))
    assert "1 of 2 rows have no landmarks" in caplog.text


def test_what_cannot_be_kept_in_memory(folder: Path) -> None:
    spec = AugmentationSpec(crop="face")
    crops = FaceCrops(faces_of(folder), spec=spec, target=TARGET, seed=0, passes=1)
    with pytest.raises(DataError, match="9 faces need"):
        crops.preload(budget=1000)


def test_a_batch(folder: Path) -> None:
    crops = crops_of(faces_of(folder))
    images, labels = collate(crops[[(0, 0), (0, 1)]])
    assert images.shape == (2, 3, 32, 32)
    assert labels.labels.tolist() == [1, 0]
    assert labels.image_ids.tolist() == [0, 1]
