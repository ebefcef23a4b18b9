"""Faces as a training sees them, which of them make a batch, and what a learner keeps of people."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pocketface.data.align import align_face
from pocketface.data.identities import read_identities
from pocketface.errors import DataError, UserError
from pocketface.model_templates.schema import Template, TemplateFile
from pocketface.models.network import make_network
from pocketface.tasks import task_of
from pocketface.tasks.describe import contract_for
from pocketface.tasks.disguise import wear_glasses
from pocketface.tasks.learning import EpochSampler
from pocketface.tasks.measuring import Labels
from pocketface.tasks.recognition.crops import PeopleCrops, collate
from pocketface.tasks.recognition.rules import AugmentationSpec
from pocketface.tasks.recognition.sampler import PeopleSampler
from pocketface.tasks.templates import parse_template
from pocketface.training.fit import fit
from pocketface.training.request import FitRequest

from .tiny_recognizer import TINY, write_list

SIDE = 32
ARCFACE = "{type: arcface, scale: 16, margin: 0.2}"


def template_with(loss: str = ARCFACE, **augmentation: Any) -> Template:
    text = TINY.replace(ARCFACE, loss)
    return parse_template(
        text.replace("{crop: face}", str({"crop": "face", **augmentation})), source="test"
    )


def crops_of(folder: Path, people: list[str | None], **augmentation: Any) -> PeopleCrops:
    """Photos that are aligned faces already, of one grey level each."""
    template = template_with()
    target = contract_for(template).input
    names = []
    for index, person in enumerate(people):
        names.append((f"{index}.png", person))
        image = np.full((SIDE, SIDE, 3), 40 + index, np.uint8)
        assert cv2.imwrite(str(folder / f"{index}.png"), image)
    path = write_list(folder / "faces.identities.json", names, target.points)
    crops = PeopleCrops(
        read_identities([path], [folder]).photos,
        spec=AugmentationSpec.model_validate({"crop": "face", "flip": 0.0, **augmentation}),
        target=target,
        together=None,
        seed=0,
        passes=10,
    )
    crops.preload(budget=2**30)
    return crops


def test_without_augmentation_a_sample_is_the_aligned_face(tmp_path: Path) -> None:
    crops = crops_of(tmp_path, ["ann", None])
    face, image_id, progress = crops.sample((5, 1))
    assert (face == 41).all()
    assert (image_id, progress) == (1, 0.5)


def test_a_large_face_is_learnt_as_it_is_looked_at(tmp_path: Path) -> None:
    """All pixels of the photo count, as in `align_face`; of noise the difference is large."""
    target = contract_for(template_with()).input
    points = np.array(target.points) * 5
    noise = np.random.default_rng(0).integers(0, 256, (5 * SIDE, 5 * SIDE, 3), dtype=np.uint8)
    assert cv2.imwrite(str(tmp_path / "a.png"), noise)
    path = write_list(tmp_path / "a.identities.json", [("a.png", "ann")], points)
    crops = PeopleCrops(
        read_identities([path], [tmp_path]).photos,
        spec=AugmentationSpec(crop="face", flip=0.0),
        target=target,
        together=None,
        seed=0,
        passes=1,
    )
    crops.preload(budget=2**30)
    np.testing.assert_array_equal(crops.sample((0, 0))[0], align_face(noise, points, target))


def test_photos_left_out_leave_the_others_their_people(tmp_path: Path) -> None:
    """A learner knows people by `image_id`, which stays the position among all that were read."""
    target = contract_for(template_with()).input
    lists = []
    for name, people in (("first", ["ann", "bob", "eve"]), ("second", ["bob", "ann"])):
        folder = tmp_path / name
        folder.mkdir()
        for index in range(len(people)):
            image = np.full((SIDE, SIDE, 3), 10 * len(lists) + index, np.uint8)
            assert cv2.imwrite(str(folder / f"{index}.png"), image)
        photos = [(f"{index}.png", person) for index, person in enumerate(people)]
        lists.append(write_list(folder / "a.identities.json", photos, target.points))
    (tmp_path / "first" / "0.png").write_bytes(b"damaged")
    without_a_face = json.loads(lists[1].read_text())
    del without_a_face["photos"][0]["landmarks"]
    lists[1].write_text(json.dumps(without_a_face))
    samples = read_identities(lists, [one.parent for one in lists]).photos
    learn = task_of("face-recognition").learn
    crops = learn.crops(template_with(), samples, seed=0, passes=1)
    crops.preload(budget=2**30)
    learner: Any = learn.learner(template_with(), samples, teacher=None)
    _, targets = collate(crops[[(0, place) for place in range(len(crops))]])
    names = [learner.rows[row] for row in learner.people[targets.image_ids]]
    greys = [int(face[0, 0, 0]) for face in crops._pixels]
    assert list(zip(names, greys, strict=True)) == [("bob", 1), ("eve", 2), ("ann", 11)]


def test_faces_that_end_go_on_as_their_edge_does(tmp_path: Path) -> None:
    crops = crops_of(tmp_path, ["ann", "bob"], shift=0.3, scale=0.3, rotate=40)
    for run in range(10):
        assert (crops.sample((run, 0))[0] == 40).all()


@pytest.mark.parametrize(
    "change",
    [
        {"jitter": {"chance": 1, "brightness": 0.5}},
        {"quality": 1.0},
        {"glasses": 1.0},
        {"mask": 1.0},
    ],
)
def test_augmentation_changes_faces_and_is_seeded(tmp_path: Path, change: dict[str, Any]) -> None:
    crops = crops_of(tmp_path, ["ann", "bob"], **change)
    faces = [crops.sample((run, 0))[0] for run in range(20)]
    assert sum((face != 40).any() for face in faces) > 2
    assert all((crops.sample((run, 0))[0] == face).all() for run, face in enumerate(faces))
    assert any((one != other).any() for one, other in pairwise(faces))


def test_a_photo_that_ends_is_black_beyond(tmp_path: Path) -> None:
    crops = crops_of(tmp_path, ["ann"], ends=1.0)
    sides = set()
    for run in range(40):
        face, _, _ = crops.sample((run, 0))
        black = (face == 0).all(2)
        assert (face[~black] == 40).all()
        middle = slice(SIDE // 5 + 1, -(SIDE // 5) - 1)
        assert not black[middle, middle].any()
        edges = (black[0], black[-1], black[:, 0], black[:, -1])
        there = {place for place, edge in enumerate(edges) if edge.all()}
        assert len(there) <= 2
        sides |= there
    assert sides == {0, 1, 2, 3}


def test_grey_has_no_colours(tmp_path: Path) -> None:
    crops = crops_of(tmp_path, ["ann"], grey=1.0)
    crops._pixels[0][:] = (200, 20, 90)
    face, _, _ = crops.sample((0, 0))
    assert (face == face[0, 0, 0]).all()


def test_glasses_lie_before_the_eyes() -> None:
    points = [(38.3, 51.7), (73.5, 51.5), (56.0, 71.7), (41.5, 92.4), (70.7, 92.2)]
    for seed in range(20):
        face = np.full((112, 112, 3), 200, np.uint8)
        wear_glasses(face, points, np.random.default_rng(seed))
        rows, columns = np.nonzero((face != 200).any(2))
        assert 28 < rows.min() < 52 < rows.max() < 82  # from brows to cheeks
        assert columns.min() < 30
        assert columns.max() > 82
        assert (face[85:] == 200).all()


def loss_template(loss: str) -> Template:
    return template_with(loss)


@pytest.mark.parametrize("kind", ["contrastive", "triplet"])
def test_batches_of_pairs_have_several_photos_of_each_person(tmp_path: Path, kind: str) -> None:
    people = ["ann"] * 5 + ["bob"] * 2 + ["eve"] * 9 + ["once", None, None]
    samples = crops_of(tmp_path, people).photos
    learn = task_of("face-recognition").learn
    crops = learn.crops(loss_template(f"{{type: {kind}, photos: 3}}"), samples, seed=0, passes=1)
    sampler = learn.loader(
        crops, batch_size=6, repeats=2, seed=0, first_epoch=0, rank=0, world_size=1
    )
    assert isinstance(sampler, PeopleSampler)
    batches = list(sampler)
    assert len(batches) == len(sampler) == len(people) * 2 // 6
    seen: Counter[str | None] = Counter()
    for batch in batches:
        names = Counter(people[place] for _, place in batch)
        assert all(count % 3 == 0 for count in names.values())
        assert len(batch) == 6
        assert len(set(batch)) == 6  # nothing is cut the same way twice
        assert len({place for _, place in batch}) >= 5  # bob has two photos
        seen += names
    assert set(seen) == {"ann", "bob", "eve"}
    assert max(seen.values()) - min(seen.values()) <= 6
    assert list(sampler) == batches
    sampler.set_epoch(1)
    assert list(sampler) != batches


@pytest.mark.parametrize(
    ("people", "batch_size", "error", "message"),
    [
        (["ann", "ann", "bob", "eve"], 8, DataError, r"1 people have two or more .* expected two"),
        (["ann", "bob", "eve"], 8, DataError, r"^0 people have two or more training photos"),
        (["ann", "ann", "bob", "bob"], 7, UserError, r"--batch-size 7: expected 8 or more"),
    ],
)
def test_batches_without_pairs_of_both_kinds_are_refused(
    tmp_path: Path, people: list[str | None], batch_size: int, error: type[Exception], message: str
) -> None:
    samples = crops_of(tmp_path, people).photos
    learn = task_of("face-recognition").learn
    crops = learn.crops(loss_template("{type: triplet, photos: 4}"), samples, seed=0, passes=1)
    with pytest.raises(error, match=message):
        learn.loader(
            crops, batch_size=batch_size, repeats=1, seed=0, first_epoch=0, rank=0, world_size=1
        )


def test_processes_share_the_batches_of_pairs(tmp_path: Path) -> None:
    samples = crops_of(tmp_path, ["ann"] * 6 + ["bob"] * 6).photos
    learn = task_of("face-recognition").learn
    crops = learn.crops(loss_template("{type: triplet, photos: 2}"), samples, seed=0, passes=1)
    batches = [
        list(
            learn.loader(
                crops, batch_size=4, repeats=2, seed=0, first_epoch=0, rank=rank, world_size=2
            )
        )
        for rank in range(2)
    ]
    assert [len(one) for one in batches] == [3, 3]
    assert not {tuple(one) for one in batches[0]} & {tuple(one) for one in batches[1]}


def test_losses_of_people_take_any_batch(tmp_path: Path) -> None:
    crops = crops_of(tmp_path, ["ann", "bob"])
    loader = task_of("face-recognition").learn.loader
    options = {"batch_size": 2, "repeats": 1, "seed": 0, "first_epoch": 0}
    assert type(loader(crops, **options, rank=0, world_size=1)) is EpochSampler


def test_a_batch_of_one_photo_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    crops_of(tmp_path, ["ann", "ann", "bob", "bob"])
    text = TINY.replace("batch_size: 4", "batch_size: 1")
    template = TemplateFile(tmp_path / "t.yaml", text, parse_template(text, source="test"))
    train = Labels([tmp_path / "faces.identities.json"], [tmp_path])
    request = FitRequest(template=template, train=train, output=tmp_path / "run", gpu_num=0)
    with pytest.raises(UserError, match=r"^--batch-size 1: expected 2 or more"):
        fit(request)
    assert not (tmp_path / "run").exists()


def test_unknown_people_do_not_count_for_losses_of_labels(tmp_path: Path) -> None:
    crops = crops_of(tmp_path, ["ann", "bob", None])
    template = template_with()
    learner = task_of("face-recognition").learn.learner(template, crops.photos, teacher=None)
    torch.manual_seed(0)
    network = make_network(template.architecture).eval()

    def loss(places: list[int]) -> float:
        images, targets = collate(crops[[(0, place) for place in places]])
        (value,) = learner.losses(network, images, targets, seed=0).values()
        return value.item()

    assert loss([0, 1, 2]) == pytest.approx(loss([0, 1]))
    assert loss([0, 1]) != pytest.approx(loss([0, 0]))
    assert loss([2, 2]) == 0


@pytest.mark.parametrize("loss", [ARCFACE, "{type: softmax}"])
def test_processes_have_the_same_losses_and_gradients_whatever_their_batches(
    tmp_path: Path, loss: str
) -> None:
    """They would wait for each other for ever."""
    crops = crops_of(tmp_path, ["ann", "bob", None])
    template = template_with(loss)
    learner: Any = task_of("face-recognition").learn.learner(template, crops.photos, teacher=None)
    learner.weight, learner.taught = 1.0, torch.ones(3, 5)
    learner.taught[2] = torch.nan  # a photo that the teacher cannot read
    learner.project = torch.nn.Linear(8, 5, bias=False)
    network = make_network(template.architecture).eval()
    learnt = [*network.parameters(), *learner.parameters()]
    for places in ([0, 1], [2, 2]):
        images, targets = collate(crops[[(0, place) for place in places]])
        losses = learner.losses(network, images, targets, seed=0)
        assert list(losses) == ["people", "taught"]
        found = torch.autograd.grad(sum(losses.values()), learnt, allow_unused=True)
        assert all(one is not None and bool(one.isfinite().all()) for one in found)


def test_losses_are_computed_in_full_precision(tmp_path: Path) -> None:
    crops = crops_of(tmp_path, ["ann", "bob"])
    template = template_with()
    learner: Any = task_of("face-recognition").learn.learner(template, crops.photos, teacher=None)
    torch.manual_seed(0)
    network = make_network(template.architecture).eval()
    images, targets = collate(crops[[(0, 0), (0, 1)]])
    with torch.no_grad():  # each face is where its person's direction is: all cosines are 1
        learner.loss.weight.copy_(network(images.float(), raw=True))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (loss,) = learner.losses(network, images, targets, seed=0).values()
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(bool(p.grad.isfinite().all()) for p in learner.parameters())


def test_weights_of_people_are_trained_and_not_exported(tmp_path: Path) -> None:
    crops = crops_of(tmp_path, ["ann", "bob", "ann", None])
    template = template_with()
    learner: Any = task_of("face-recognition").learn.learner(template, crops.photos, teacher=None)
    assert {name: tuple(p.shape) for name, p in learner.named_parameters()} == {
        "loss.weight": (2, 8)
    }
    assert set(learner.state_dict()) == {"loss.weight"}
    assert not list(learner.buffers())  # which would be averaged in each step
    assert not any("loss" in name for name in make_network(template.architecture).state_dict())


def test_what_cannot_be_learnt_is_refused(tmp_path: Path) -> None:
    crops = crops_of(tmp_path, ["ann", "ann", None])
    learn = task_of("face-recognition").learn
    with pytest.raises(DataError, match=r"show 1 people .* expected two or more"):
        learn.learner(template_with(), crops.photos, teacher=None)
    with pytest.raises(UserError, match=r"loss is null: expected a loss, or hyper_"):
        learn.learner(template_with("null"), crops.photos, teacher=None)
