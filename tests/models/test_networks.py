"""One suite for every template of the catalogue, present and future."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from pocketface.model_templates import template_names, template_path
from pocketface.model_templates.anchor_heads import RetinaHeadSpec, StagesHeadSpec, TwoStageHeadSpec
from pocketface.model_templates.dense_heads import ProbabilisticTwoStageHeadSpec
from pocketface.model_templates.heads import SSDHeadSpec
from pocketface.model_templates.schema import Template
from pocketface.models.count import NetworkSize, count
from pocketface.models.network import blank_network, make_network, with_scale_folded
from pocketface.tasks.templates import open_template

SMALL = 128
HEAVY = 20.0  # GFLOPs at the template's own input, beyond which SMALL is used instead
DEEPER = ("faster-rcnn-r101-fpn",)
"""Of the same parts as another template, only more of them: for the full run."""


@dataclass
class Case:
    template: Template
    network: Any
    size: NetworkSize
    height: int
    width: int


def names_for(*problems: str) -> list[Any]:
    """Names of templates, of some tasks alone if these are named."""
    return [
        pytest.param(name, marks=[pytest.mark.full] if name in DEEPER else [])
        for name in template_names()
        if not problems or open_template(name).spec.problem in problems
    ]


@pytest.fixture(scope="module", params=names_for())
def case(request: pytest.FixtureRequest) -> Case:
    return make_case(request.param)


DETECTORS = pytest.mark.parametrize("case", names_for("face-detection"), indirect=True)
CLASSIFIERS = pytest.mark.parametrize("case", names_for("face-classification"), indirect=True)


def make_case(name: str) -> Case:
    template = open_template(name).spec
    torch.manual_seed(0)
    network = make_network(template.architecture)
    height, width = template.input.height, template.input.width
    size = count(template.architecture, height=height, width=width)
    if size.gflops > HEAVY:
        height = width = SMALL
    return Case(template, network, size, height, width)


def test_name_is_the_folders_name(case: Case) -> None:
    path = template_path(case.template.name)
    assert path.parent.name == case.template.name
    assert path.parent.parent.name == case.template.problem


@DETECTORS
def test_outputs_have_the_declared_shapes_and_ranges(case: Case) -> None:
    head = case.template.architecture.head
    cells = [
        math.ceil(case.height / stride) * math.ceil(case.width / stride)
        for stride in head.level_strides
    ]
    if isinstance(head, SSDHeadSpec):
        cells = [n * len(level.widths) for n, level in zip(cells, head.anchors, strict=True)]
    if isinstance(head, RetinaHeadSpec):
        cells = [n * head.anchors.for_each_cell for n in cells]
    two_stages, expected, dense = isinstance(head, StagesHeadSpec), sum(cells), head
    network = copy.deepcopy(case.network).eval()
    if isinstance(head, TwoStageHeadSpec):
        expected = head.rpn.post_nms_topk
    if isinstance(head, ProbabilisticTwoStageHeadSpec):
        expected, dense = head.proposals.post_nms_topk, head.first
        for level in network.head.first.levels:  # else no score is above `min_score`
            torch.nn.init.zeros_(level.classes.bias)
    images = torch.rand(2, 3, case.height, case.width) * 255
    with torch.no_grad():
        together = network(images)
        singles = [network(image[None]) for image in images]
    boxes, scores = together[:2]
    assert boxes.shape == (2, expected, 4)
    assert scores.shape == (2, expected)
    assert (len(together) == 3) == getattr(dense, "landmarks", False)
    for landmarks in together[2:]:
        assert landmarks.shape == (2, expected, 5, 2)
    assert all(output.isfinite().all() for output in together)
    assert ((scores >= 0) & (scores <= 1)).all()
    share = (boxes[..., 2:] > boxes[..., :2]).all(dim=-1).float().mean()
    assert share > (0.01 if two_stages else 0.5)  # small images fill few of the proposals
    assert not torch.equal(scores[0], scores[1])
    for index, single in enumerate(singles):
        if two_stages:
            # Proposals of nearly the same score may change places.
            apart = (single[0][0][:, None] - boxes[index]).abs().amax(-1).amin(1)
            assert (apart < 0.1).float().mean() > 0.99
            continue
        for one, batch in zip(single, together, strict=True):
            torch.testing.assert_close(one[0], batch[index], rtol=1e-3, atol=1e-3)


def test_without_random_values_it_is_the_same_network(case: Case) -> None:
    """What its state does not have, such as constants, must be there all the same."""
    torch.use_deterministic_algorithms(True)  # fills new memory with NaN
    try:
        blank = blank_network(case.template.architecture)
    finally:
        torch.use_deterministic_algorithms(False)
    values = torch.cat([one.flatten() for one in blank.parameters()])
    assert values.isnan().float().mean() > 0.5
    blank.load_state_dict(case.network.state_dict())
    for kind in ("named_parameters", "named_buffers"):
        found, expected = dict(getattr(blank, kind)()), dict(getattr(case.network, kind)())
        assert list(found) == list(expected)
        for name, tensor in expected.items():
            assert torch.equal(found[name], tensor)
            assert found[name].requires_grad == tensor.requires_grad
    height, width = (side if side <= 2 * SMALL else SMALL for side in (case.height, case.width))
    images = torch.rand(1, 3, height, width) * 255
    with torch.no_grad():
        answers = [network.eval()(images) for network in (blank, case.network)]
    for one, other in zip(*answers, strict=True):
        assert torch.equal(one, other)


def test_counted_size_agrees_with_the_published_one(case: Case) -> None:
    published = case.template.published
    if published is None:
        pytest.skip("nothing is published for this template")
    assert case.size.mparams == pytest.approx(published.mparams, rel=0.05)
    off = abs(case.size.gflops / published.gflops - 1)
    # A note explains a difference; without a difference it would mislead.
    assert (off > 0.05) == (published.note is not None)
    assert off < 0.08


def test_every_parameter_has_a_share_in_the_outputs(case: Case) -> None:
    """Gradients of the outputs, in random directions, reach every one."""
    network = case.network.train()
    network.zero_grad()
    # A map of one cell is zero behind a norm of one channel.
    side = max(SMALL, 2 * max(getattr(case.template.architecture.head, "strides", [0])))
    images = torch.rand(4, 3, side, side) * 255
    if isinstance(case.template.architecture.head, StagesHeadSpec):
        found = network(images, raw=True)  # no gradient leads through what is proposed
        outputs = (found.second.class_logits, found.second.deltas)
        if isinstance(case.template.architecture.head, TwoStageHeadSpec):
            outputs += (*found.rpn.logits, *found.rpn.deltas)
        else:
            outputs += (found.first.class_logits, found.first.distances, found.first.landmarks)
    else:
        outputs = network(images)
    torch.stack([(one * torch.randn_like(one)).sum() for one in outputs]).sum().backward()
    silent = [
        name
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
        and (
            parameter.grad is None
            or not parameter.grad.isfinite().all()
            or not parameter.grad.any()
        )
    ]
    assert not silent


@CLASSIFIERS
def test_a_classifier_answers_with_probabilities(case: Case) -> None:
    images = torch.rand(3, 3, case.height, case.width) * 255
    network = case.network.eval()
    with torch.no_grad():
        (shares,) = network(images)
        (alone,) = network(images[:1])
    assert shares.shape == (3, len(case.template.dataset.classes))
    torch.testing.assert_close(shares.sum(1), torch.ones(3))
    torch.testing.assert_close(alone[0], shares[0])
    assert not torch.equal(shares[0], shares[1])


def test_the_classic_glasses_network_is_counted_exactly() -> None:
    size = make_case("glasses-cnn").size
    assert size.mparams * 1e6 == pytest.approx(184_738, abs=0.5)


def test_our_glasses_network_is_small() -> None:
    size = make_case("glasses-n").size
    assert 0.02 <= size.mparams <= 0.1
    assert size.gflops <= 0.04


def test_a_folded_scale_changes_nothing(case: Case) -> None:
    """Not at the border either, and the network that was trained stays as it was."""
    network = case.network.eval()
    images = torch.rand(1, 3, SMALL, SMALL) * 255
    with torch.no_grad():
        wanted = network(images)
        folded = with_scale_folded(network)
        for again in (network(images), folded(images)):
            for got, one in zip(again, wanted, strict=True):
                torch.testing.assert_close(got, one, rtol=1e-3, atol=1e-3)
        off = (
            folded.backbone(folded.normalize(images))[0]
            - network.backbone(network.normalize(images))[0]
        )
    assert off.abs().max() < 1e-3
    has_mean = any(case.template.architecture.mean)
    assert len(list(folded.normalize.buffers())) == int(has_mean)


@pytest.mark.parametrize("colour", ["RGB", "BGR"])
def test_a_folded_scale_knows_its_colours(colour: str) -> None:
    """Means and deviations of three kinds go to their own channels."""
    architecture = open_template("glasses-n").spec.architecture.model_copy(
        update={"colour": colour, "mean": (124.0, 80.0, 30.0), "std": (58.0, 40.0, 25.0)}
    )
    torch.manual_seed(0)
    network = make_network(architecture).eval()
    folded = with_scale_folded(network)
    images = torch.rand(2, 3, 80, 80) * 255
    with torch.no_grad():
        first, other = (one.backbone(one.normalize(images))[0] for one in (network, folded))
        torch.testing.assert_close(other, first, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(folded(images)[0], network(images)[0])


def one_of_each_kind() -> list[Any]:
    """All names; those whose backbone and head another one has are for the full run."""
    kinds, names = set(), []
    for name in template_names():
        architecture = open_template(name).spec.architecture
        kind = (architecture.backbone.type, architecture.head.type)
        names.append(pytest.param(name, marks=[pytest.mark.full] if kind in kinds else []))
        kinds.add(kind)
    return names


@pytest.mark.parametrize("case", one_of_each_kind(), indirect=True)
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_a_traced_graph_takes_any_batch_size(case: Case) -> None:
    if case.size.gflops > HEAVY:
        pytest.skip("slow to trace, and of the same parts as the others")
    network = case.network.eval()
    images = torch.rand(3, 3, SMALL, SMALL) * 255
    with torch.no_grad():
        traced = torch.jit.trace(network, images[:1])
        for got, wanted in zip(traced(images), network(images), strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-3)
