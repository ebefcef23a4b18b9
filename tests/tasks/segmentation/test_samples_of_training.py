"""Heads with masks as a training sees them: what is moved, covered and changed, and the losses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pocketface.data.mask_pairs import MaskPair
from pocketface.errors import DataError
from pocketface.model_templates.heads import MaskLossSpec
from pocketface.models.network import make_network
from pocketface.tasks import task_of
from pocketface.tasks.disguise import wear_mask
from pocketface.tasks.jitter import jitter
from pocketface.tasks.jitter_spec import JitterSpec
from pocketface.tasks.segmentation.covering import cover, dropout
from pocketface.tasks.segmentation.head_crops import HeadCrops, collate, moved_pair
from pocketface.tasks.segmentation.mask_loss import mask_losses
from pocketface.tasks.segmentation.rules import AugmentationSpec, DropoutSpec
from pocketface.tasks.segmentation.truths import Truths
from pocketface.tasks.templates import parse_template
from pocketface.training.datamodule import TrainingData

from ...segmenter_contract import segmenter_contract
from .tiny_segmenter import TINY, UNET

SIDE = 64
TARGET = segmenter_contract("face", side=SIDE).input
VALUES = np.arange(256).astype(np.uint8)


@pytest.fixture
def pairs(tmp_path: Path) -> list[MaskPair]:
    """Pictures whose white disc is the face, the second with a tag."""
    made = []
    for index, tags in enumerate([(), ("glasses",)]):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        cv2.circle(mask, (24 + 8 * index, 30), 14, 1, -1)
        names = tmp_path / f"{index}.png", tmp_path / f"{index}-mask.png"
        assert cv2.imwrite(str(names[0]), np.repeat(mask[:, :, None] * 255, 3, 2))
        assert cv2.imwrite(str(names[1]), mask)
        made.append(MaskPair(*names, index, VALUES, tags=tags))
    return made


def crops(pairs: list[MaskPair], **augmentation: Any) -> HeadCrops:
    spec = AugmentationSpec(crop="head", **augmentation)
    made = HeadCrops(pairs, spec=spec, target=TARGET, classes=["face"], seed=1)
    made.preload(budget=1e9)
    return made


def test_the_mask_moves_with_its_picture(pairs: list[MaskPair]) -> None:
    made = crops(pairs, rotate=40, scale=(0.7, 1.4), shift=0.2)
    sizes = set()
    for run in range(20):
        head, truth, image_id = made.sample((run, 0))
        assert image_id == 0
        sizes.add(int(truth.sum()))
        inside = cv2.erode(truth, np.ones((3, 3), np.uint8)) > 0
        outside = cv2.dilate(truth, np.ones((3, 3), np.uint8)) == 0
        assert head[inside].min() > 200
        if not (head[0, 0] > 0).any():  # else the border has another colour
            assert np.median(head[outside]) < 50
    assert len(sizes) > 15


def test_between_two_classes_lies_no_third() -> None:
    spec = AugmentationSpec(crop="head", rotate=40, scale=(0.7, 1.4))
    truth = np.zeros((SIDE, SIDE), np.uint8)
    truth[20:, 20:] = 3
    for seed in range(10):
        head = np.zeros((SIDE, SIDE, 3), np.uint8)
        _, moved = moved_pair(head, truth, spec, np.random.default_rng(seed))
        assert set(np.unique(moved)) == {0, 3}


def test_half_are_flipped(pairs: list[MaskPair]) -> None:
    made = crops(pairs)
    centres = {round(float(np.nonzero(made.sample((run, 0))[1])[1].mean())) for run in range(20)}
    assert centres == {24, SIDE - 1 - 24}


def test_samples_repeat_and_differ(pairs: list[MaskPair]) -> None:
    options = {"objects": 1.0, "quality": True, "rotate": 20.0}
    one, other = crops(pairs, **options), crops(pairs, **options)
    for a, b in zip(one.sample((3, 1))[:2], other.sample((3, 1))[:2], strict=True):
        np.testing.assert_array_equal(a, b)
    assert (one.sample((3, 1))[0] != one.sample((4, 1))[0]).any()


DROPOUT = {"chance": 1.0, "height": (0.3, 0.3), "width": (0.5, 0.5)}
JITTER = {"chance": 1.0, "contrast": 0.9}


@pytest.mark.parametrize(
    ("augmentation", "covers"),
    [
        ({"cloth": 1.0}, True),
        ({"objects": 1.0}, True),
        ({"dropout": DropoutSpec(**DROPOUT)}, True),
        ({"jitter": JitterSpec(**JITTER)}, False),
        ({"quality": True}, False),
    ],
)
def test_each_part_of_the_augmentation(
    pairs: list[MaskPair], augmentation: dict[str, Any], covers: bool
) -> None:
    """It changes samples, and not the heads that they are made of."""
    plain, made = crops(pairs, flip=0.0), crops(pairs, flip=0.0, **augmentation)
    head, truth, _ = plain.sample((0, 1))
    found = [made.sample((run, 1)) for run in range(10)]
    assert any((one[0] != head).any() for one in found)
    assert any((one[1] != truth).any() for one in found) == covers
    later = crops(pairs, flip=0.0, **augmentation).sample((9, 1))
    np.testing.assert_array_equal(found[9][0], later[0])
    np.testing.assert_array_equal(found[9][1], later[1])


def test_rare_kinds_come_more_often(pairs: list[MaskPair]) -> None:
    made = crops(pairs, tagged=3)
    assert (len(made), made.used) == (4, 2)
    ids = [item[2] for item in made[[(0, place) for place in range(4)]]]
    assert sorted(ids) == [0, 1, 1, 1]


def test_photos_in_memory_are_counted_once(
    pairs: list[MaskPair], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    made = TrainingData(
        task_of("face-segmentation"),
        crops(pairs, tagged=3),
        val=(),
        batch_size=2,
        repeats=1,
        seed=0,
        first_epoch=0,
        behind=0,
        workers=0,
    )
    made.preload(processes_here=1)
    assert "2 of 2 photos in memory" in caplog.text


def test_unreadable_pairs_are_left_out(
    pairs: list[MaskPair], caplog: pytest.LogCaptureFixture
) -> None:
    pairs[0].mask_path.write_bytes(b"no mask")
    made = crops(pairs)
    assert made.used == 1
    assert "left out 1 photos that cannot be used: " in caplog.text


@pytest.mark.parametrize(("value", "what"), [(0, "background"), (1, "face")])
def test_masks_of_one_class_are_named(
    value: int, what: str, pairs: list[MaskPair], caplog: pytest.LogCaptureFixture
) -> None:
    empty = np.full((SIDE, SIDE), value, np.uint8)
    assert cv2.imwrite(str(pairs[0].mask_path), empty)
    crops(pairs)
    assert f"1 of 2 heads are all {what}: {pairs[0].mask_path.name}" in caplog.text
    assert cv2.imwrite(str(pairs[1].mask_path), empty * 0)
    if value == 0:
        with pytest.raises(DataError, match=r"none of the 2 masks has face in its head: .*0-mask"):
            crops(pairs)


def test_a_class_in_no_mask_is_named(caplog: pytest.LogCaptureFixture) -> None:
    truths = Truths(["background", "face", "glasses"])
    truths.add(MaskPair(Path("a"), Path("a.png"), 0, VALUES), np.eye(2, dtype=np.uint8))
    truths.report()
    assert [record.getMessage() for record in caplog.records] == [
        "class glasses is in none of the 1 masks"
    ]


def test_what_is_covered_is_no_face() -> None:
    rng = np.random.default_rng(0)
    spec = DropoutSpec(chance=1, height=(0.3, 0.3), width=(0.5, 0.5))
    head, truth = np.full((SIDE, SIDE, 3), 7, np.uint8), np.ones((SIDE, SIDE), np.uint8)
    dropout(head, truth, spec, rng)
    assert (truth == 0).sum() == round(0.3 * SIDE) * SIDE // 2
    assert ((head != 7).any(2) <= (truth == 0)).all()
    head[:], truth[:] = 7, 1
    cover(head, truth, np.full((40, 40, 3), 200, np.uint8), rng)
    covered = truth == 0
    assert 20 < covered.sum() < SIDE * SIDE / 2
    assert (head[covered] > 90).all()
    assert (head[cv2.dilate(covered.astype(np.uint8), np.ones((15, 15))) == 0] == 7).all()


def test_a_medical_mask_covers_the_mouth_and_not_the_eyes() -> None:
    points = [(26.0, 28.0), (38.0, 28.0), (32.0, 34.0), (27.0, 40.0), (37.0, 40.0)]
    for seed in range(20):
        head, truth = np.full((SIDE, SIDE, 3), 7, np.uint8), np.ones((SIDE, SIDE), np.uint8)
        truth[wear_mask(head, points, np.random.default_rng(seed))] = 0
        assert ((head != 7).any(2) <= (truth == 0)).all()
        left, right, _, *mouth = (truth[int(y), int(x)] for x, y in points)
        assert left == right == 1
        assert not any(mouth)
        assert (truth == 0).mean() < 0.2


def test_jitter_by_definition() -> None:
    picture = np.random.default_rng(0).integers(60, 180, (8, 8, 3)).astype(np.uint8)
    same = jitter(picture, JitterSpec(chance=1), np.random.default_rng(0))
    np.testing.assert_allclose(same.astype(int), picture, atol=1)
    bright = [
        jitter(picture, JitterSpec(chance=1, brightness=0.4), np.random.default_rng(seed))
        for seed in range(30)
    ]
    ratios = [one.mean() / picture.mean() for one in bright]
    assert 0.59 < min(ratios) < 0.75
    assert 1.25 < max(ratios) < 1.41
    grey = np.full((4, 4, 3), 100, np.uint8)
    turned = jitter(grey, JitterSpec(chance=1, saturation=0.9, hue=0.5), np.random.default_rng(1))
    np.testing.assert_allclose(turned.astype(int), grey, atol=1)  # grey has no hue


@pytest.mark.parametrize("seed", range(5))
def test_contrast_and_saturation_by_definition(seed: int) -> None:
    picture = np.random.default_rng(0).integers(90, 160, (8, 8, 3)).astype(np.uint8)
    grey = picture @ (0.114, 0.587, 0.299)  # of BGR
    share = np.random.default_rng(seed)
    _, contrast, saturation = 1 + share.uniform(-1, 1, 3) * (0, 0.5, 0.5)
    spec = JitterSpec(chance=1, contrast=0.5, saturation=0.5)
    expected = grey[..., None] + saturation * (picture - grey[..., None])
    expected = grey.mean() + contrast * (expected - grey.mean())
    found = jitter(picture, spec, np.random.default_rng(seed))
    np.testing.assert_allclose(found.astype(float), expected, atol=1)


@pytest.mark.parametrize("seed", range(5))
def test_hue_keeps_brightness(seed: int) -> None:
    picture = np.random.default_rng(0).integers(110, 145, (8, 8, 3)).astype(np.uint8)
    found = jitter(picture, JitterSpec(chance=1, hue=0.5), np.random.default_rng(seed))
    assert (found != picture).any()
    before, after = (one @ (0.114, 0.587, 0.299) for one in (picture, found))  # of BGR
    np.testing.assert_allclose(after, before, atol=1)


def test_hue_turns_red_to_cyan() -> None:
    spec = JitterSpec(chance=1, hue=0.5)
    red = np.full((1, 1, 3), (60, 60, 160), np.uint8)
    for seed in range(200):
        share = np.random.default_rng(seed)
        share.uniform(-1, 1, 3)
        if abs(share.uniform(-0.5, 0.5)) > 0.49:
            blue, green, turned = jitter(red, spec, np.random.default_rng(seed))[0, 0].astype(int)
            assert turned < blue
            assert turned < green
            return
    raise AssertionError("no seed turns by half the circle")


@pytest.mark.parametrize("count", [1, 3])
def test_losses_fall_with_right_answers(count: int) -> None:
    classes = torch.randint(0, max(count, 2), (2, 16, 16), dtype=torch.uint8)
    planes = torch.nn.functional.one_hot(classes.long(), max(count, 2)).permute(0, 3, 1, 2).float()
    right = (planes[:, -count:] - 0.5) * 20
    spec = MaskLossSpec(cross_entropy=1.0, dice=1.0, boundary=1.0)
    good, bad = (mask_losses(sign * right, classes, spec) for sign in (1, -1))
    assert list(good) == ["cross_entropy", "dice", "boundary"]
    for name in good:
        assert good[name] < 0.01 < bad[name]
    assert list(mask_losses(right, classes, MaskLossSpec(cross_entropy=0, dice=2.0))) == ["dice"]


@pytest.mark.parametrize("count", [1, 3])
def test_dice_by_definition(count: int) -> None:
    """Of each class over the whole batch, and the mean over classes."""
    torch.manual_seed(0)
    logits, classes = torch.randn(2, count, 8, 8), torch.randint(0, max(2, count), (2, 8, 8))
    shares = logits.sigmoid() if count == 1 else logits.softmax(1)
    dice = []
    for index in range(count):
        true = (classes == (1 if count == 1 else index)).float()
        common, sizes = (shares[:, index] * true).sum(), shares[:, index].sum() + true.sum()
        dice.append((2 * common + 1) / (sizes + 1))
    spec = MaskLossSpec(cross_entropy=0, dice=0.5)
    found = mask_losses(logits, classes.to(torch.uint8), spec)["dice"]
    torch.testing.assert_close(found, 0.5 * (1 - torch.stack(dice).mean()))


def test_the_boundary_counts_near_borders_alone() -> None:
    classes = torch.zeros(1, 32, 32, dtype=torch.uint8)
    classes[:, :, 16:] = 1
    logits = (classes[:, None].float() - 0.5) * 20
    spec = MaskLossSpec(cross_entropy=0, boundary=1.0, boundary_width=2)
    far = logits.clone()
    far[..., :8] *= -1
    assert mask_losses(far, classes, spec)["boundary"] < 0.01
    for columns in (slice(14, 16), slice(16, 18)):  # one side of the border, and the other
        near = logits.clone()
        near[..., columns] *= -1
        assert mask_losses(near, classes, spec)["boundary"].item() == pytest.approx(5, abs=0.01)


def test_batches(pairs: list[MaskPair]) -> None:
    images, targets = collate(crops(pairs)[[(0, 0), (0, 1)]])
    assert (images.shape, images.dtype) == ((2, 3, SIDE, SIDE), torch.uint8)
    assert (targets.classes.shape, targets.image_ids.tolist()) == ((2, SIDE, SIDE), [0, 1])


def test_dropout_repeats_by_the_seed_alone(pairs: list[MaskPair]) -> None:
    aspp = "{type: aspp, classes: 1, stride: 8, channels: 8, rates: [1], dropout: 0.5}"
    template = parse_template(TINY.replace(UNET, aspp), source="test")
    learner = task_of("face-segmentation").learn.learner(template, [], teacher=None)
    network = make_network(template.architecture).train()
    images, targets = collate(crops(pairs)[[(0, 0), (0, 1)]])
    one, again, other = (
        learner.losses(network, images, targets, seed=seed)["cross_entropy"].item()
        for seed in (1, 1, 2)
    )
    assert one == again != other
