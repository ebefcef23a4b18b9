"""Checkpoints of Detectron2: their names, and the pickles of its model zoo."""

from __future__ import annotations

import os
import pickle
import resource
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pocketface.errors import ModelFileError
from pocketface.models.foreign_pickle import read_arrays
from pocketface.models.name_map import map_of, renamed
from pocketface.models.network import blank_network
from pocketface.models.weights import read_weights
from pocketface.tasks.templates import open_template
from pocketface.training.body import network_of_parts

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
Names = dict[str, tuple[int, ...]]


def backbone(depth: int) -> Names:
    """Detectron2's names and shapes of a ResNet (detectron2/modeling/backbone/resnet.py)."""
    found: Names = {}

    def convolution(name: str, given: int, taken: int, kernel: int) -> None:
        found[f"{name}.weight"] = (given, taken, kernel, kernel)
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"{name}.norm.{part}"] = (given,)

    convolution("backbone.bottom_up.stem.conv1", 64, 3, 7)
    before = 64
    for stage, count in enumerate(BLOCKS[depth]):
        width = 64 << stage
        for block in range(count):
            name = f"backbone.bottom_up.res{stage + 2}.{block}"
            if block == 0:
                convolution(f"{name}.shortcut", 4 * width, before, 1)
            convolution(f"{name}.conv1", width, before, 1)
            convolution(f"{name}.conv2", width, width, 3)
            convolution(f"{name}.conv3", 4 * width, width, 1)
            before = 4 * width
    return found


def layers(shapes: Names) -> Names:
    """Weights and biases of layers."""
    return {f"{n}.weight": s for n, s in shapes.items()} | {
        f"{n}.bias": s[:1] for n, s in shapes.items()
    }


def pyramid(finest: int) -> Names:
    return layers(
        {f"backbone.fpn_lateral{s}": (256, 64 << s, 1, 1) for s in range(finest, 6)}
        | {f"backbone.fpn_output{s}": (256, 256, 3, 3) for s in range(finest, 6)}
    )


def faster_rcnn(depth: int, *, classes: int = 1) -> Names:
    head = {
        "proposal_generator.rpn_head.conv": (256, 256, 3, 3),
        "proposal_generator.rpn_head.objectness_logits": (3, 256, 1, 1),
        "proposal_generator.rpn_head.anchor_deltas": (12, 256, 1, 1),
        "roi_heads.box_head.fc1": (1024, 12544),
        "roi_heads.box_head.fc2": (1024, 1024),
        "roi_heads.box_predictor.cls_score": (classes + 1, 1024),
        "roi_heads.box_predictor.bbox_pred": (4 * classes, 1024),
    }
    beside = {
        "pixel_mean": (3, 1, 1),
        "proposal_generator.anchor_generator.cell_anchors.0": (3, 4),
    }
    return backbone(depth) | pyramid(2) | layers(head) | beside


def retinanet(depth: int, *, classes: int = 1) -> Names:
    towers = {
        f"head.{one}.{i}": (256, 256, 3, 3)
        for one in ("cls_subnet", "bbox_subnet")
        for i in (0, 2, 4, 6)
    }
    head = {
        "backbone.top_block.p6": (256, 2048, 3, 3),
        "backbone.top_block.p7": (256, 256, 3, 3),
        "head.cls_score": (9 * classes, 256, 3, 3),
        "head.bbox_pred": (36, 256, 3, 3),
    }
    return backbone(depth) | pyramid(3) | layers(towers | head)


def msra(depth: int) -> Names:
    """Names and shapes of the ResNet that trainings begin with, as Detectron had them before."""
    blobs = {}
    for name, shape in backbone(depth).items():
        path = name.removeprefix("backbone.bottom_up.")
        path = path.replace("stem.conv1.norm", "res_conv1_bn").replace("stem.conv1", "conv1")
        path = path.replace("shortcut", "branch1").replace(".norm", "_bn")
        for index, letter in enumerate("abc", 1):
            path = path.replace(f".conv{index}", f".branch2{letter}")
        if not path.endswith(("running_mean", "running_var")):
            norm = "_bn" in path
            path = path.replace(".weight", "_s" if norm else "_w").replace(".bias", "_b")
            blobs[path.replace(".", "_")] = shape
    return blobs | {"conv1_b": (64,), "fc1000_w": (1000, 2048), "fc1000_b": (1000,)}


def torchvision_resnet(depth: int) -> Names:
    """Names and shapes of torchvision's ResNet for ImageNet."""
    found = {}
    for name, shape in backbone(depth).items():
        path = name.removeprefix("backbone.bottom_up.")
        path = path.replace("stem.conv1.norm", "bn1").replace("stem.conv1", "conv1")
        path = path.replace("shortcut.norm", "downsample.1").replace("shortcut", "downsample.0")
        for index in range(1, 4):
            path = path.replace(f".conv{index}.norm", f".bn{index}")
        for stage in range(2, 6):
            path = path.replace(f"res{stage}.", f"layer{stage - 1}.")
        found[path] = shape
    return found | {"fc.weight": (1000, 2048), "fc.bias": (1000,)}


def converted_resnet(depth: int) -> Names:
    """The same as Detectron2's tools/convert-torchvision-to-d2.py names them."""
    found = {n.removeprefix("backbone.bottom_up."): s for n, s in backbone(depth).items()}
    return found | {"stem.fc.weight": (1000, 2048), "stem.fc.bias": (1000,)}


@pytest.mark.parametrize(
    ("template", "names"),
    [
        ("faster-rcnn-r50-fpn", faster_rcnn(50)),
        ("faster-rcnn-r101-fpn", faster_rcnn(101)),
        ("retinanet-r101-fpn", retinanet(101)),
    ],
)
def test_all_of_detectron2s_names_have_a_place(template: str, names: Names) -> None:
    with torch.device("meta"):
        expected = blank_network(open_template(template).spec.architecture).state_dict()
    tensors = {name: torch.zeros(1).expand(shape) for name, shape in names.items()}
    name_map = map_of(tensors)
    assert name_map is not None
    assert name_map.kind == "Detectron2"
    found = renamed(tensors, name_map, expected)
    assert (found.unknown, found.missing, found.anew) == ((), (), ())
    assert len(found.unused) == sum("pixel" in name or "anchors" in name for name in names)
    assert {name: one.shape for name, one in found.tensors.items()} == {
        name: one.shape for name, one in expected.items()
    }


def write(path: Path, names: Names, **values: Tensor) -> Path:
    """A checkpoint of these shapes, whose tensors are one number that is repeated."""
    model = {name: torch.full((1,), 0.5).expand(shape) for name, shape in names.items()}
    model = {n: one for n, one in model.items() if not n.startswith("pixel_") and "cell_" not in n}
    torch.save({"model": model | values}, path)
    return path


@pytest.mark.parametrize(
    ("template", "names", "begins"),
    [
        (
            "faster-rcnn-r50-fpn",
            faster_rcnn(50, classes=80),
            ("head.roi.classes.", "head.roi.boxes."),
        ),
        ("retinanet-r101-fpn", retinanet(101, classes=80), ("head.classes.",)),
        ("faster-rcnn-r50-fpn", msra(50), ("neck.", "head.", "running_mean", "running_var")),
        ("retinanet-r101-fpn", msra(101), ("neck.", "head.", "running_mean", "running_var")),
        ("unet-resnet50", torchvision_resnet(50), ("head.",)),
        ("deeplabv3-resnet50", torchvision_resnet(50), ("head.",)),
        ("unet-resnet50", converted_resnet(50), ("head.",)),
    ],
    ids=[
        "coco",
        "coco-retinanet",
        "msra",
        "msra-101",
        "imagenet-unet",
        "imagenet-deeplab",
        "imagenet-converted",
    ],
)
def test_a_training_begins_with_what_fits(
    tmp_path: Path, template: str, names: Names, begins: tuple[str, ...], caplog: Any
) -> None:
    path, opened = write(tmp_path / "theirs.pth", names), open_template(template)
    weights = read_weights(path, template=opened, learns_anew=True)
    assert all(name.startswith(begins) or name.endswith(begins) for name in weights.anew)
    assert f"as in a new network begin {weights.anew[0]}" in caplog.text
    with torch.device("meta"):
        expected = blank_network(opened.spec.architecture).state_dict()
    assert set(weights.anew) | set(weights.state_dict) == set(expected)
    assert not set(weights.anew) & set(weights.state_dict)
    for name, tensor in weights.state_dict.items():
        assert tensor.shape == expected[name].shape
        assert name.endswith("num_batches_tracked") or tensor.flatten()[0] == 0.5
    network = network_of_parts(weights.state_dict, opened.spec.architecture)
    assert network.state_dict()[weights.anew[0]].isfinite().all()
    for name, tensor in network.named_parameters():
        # Random values of kernels are none of them 0.5; norms begin as the identity.
        assert (tensor == 0.5).all() == (name not in weights.anew)
    # Nothing but a training takes it.
    with pytest.raises(
        ModelFileError, match=rf"does not fit {template}: it lacks {begins[0]}"
    ) as e:
        read_weights(path, template=opened)
    assert e.value.hint is not None
    assert "of a part of the network: `train --load-weights` begins with it" in e.value.hint


def test_other_colours_than_the_templates_are_refused(tmp_path: Path) -> None:
    mean = torch.tensor([123.675, 116.28, 103.53])[:, None, None]
    path = write(
        tmp_path / "rgb.pth", faster_rcnn(50), pixel_mean=mean, pixel_std=torch.ones(3, 1, 1)
    )
    with pytest.raises(
        ModelFileError,
        match=r"architecture.mean \[123.675, 116.28, 103.53\] \(found \[103.53, 116.28, 123",
    ):
        read_weights(path, template=open_template("faster-rcnn-r50-fpn"))
    path = write(
        tmp_path / "bgr.pth",
        faster_rcnn(50),
        pixel_mean=mean.flip(0),
        pixel_std=torch.ones(3, 1, 1),
    )
    assert not read_weights(path, template=open_template("faster-rcnn-r50-fpn")).anew


def refusal(path: Path, **how: Any) -> str:
    with pytest.raises(ModelFileError) as caught:
        read_weights(path, template=open_template("faster-rcnn-r50-fpn"), **how)
    message = str(caught.value)
    assert message.isprintable()
    assert message.startswith(str(path))
    return message


SIGN = {"proposal_generator.rpn_head.conv.weight": torch.zeros(1)}
SCORES = "roi_heads.box_predictor.cls_score.weight"


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({SCORES: torch.zeros(1).expand(2 * 10**9, 100)}, "800,000,000,000 bytes, of which the fi"),
        ({"pixel_mean": torch.zeros(1).expand(10**9)}, "'pixel_mean' has 4,000,000,000 bytes"),
        ({"pixel_mean": torch.zeros(1).expand(10**7)}, "architecture.mean of 10,000,000 numbers"),
        ({"pixel_mean": torch.zeros(3, dtype=torch.complex64)}, "is complex; expected real numbe"),
        ({SCORES: torch.zeros(())}, "it lacks"),
        ({f"backbone.fpn_lateral{'9' * 5000}.weight": torch.zeros(1)}, "not known: backbone.fpn_l"),
        ({"a\n\x1b[31mb": torch.zeros(1)}, "not known: a??[31mb"),
    ],
    ids=["terabyte", "mean", "numbers", "complex", "no-dimensions", "digits", "unprintable"],
)
def test_what_a_small_file_asks_for_is_not_done(
    tmp_path: Path, tensors: dict[str, Tensor], said: str
) -> None:
    path = tmp_path / "theirs.pth"
    torch.save({"model": SIGN | tensors}, path)
    assert path.stat().st_size < 20_000
    assert said in refusal(path)


def test_a_mean_of_any_length_makes_no_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "theirs.pth"
    torch.save({"model": SIGN | {"pixel_mean": torch.zeros(1).expand(10**7)}}, path)
    monkeypatch.setattr(Tensor, "flatten", lambda *_: pytest.fail("was made a list"))
    assert "10,000,000 numbers" in refusal(path)


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    broken = torch.full((1, 256, 1, 1), torch.nan).expand(3, -1, -1, -1)
    name = "proposal_generator.rpn_head.objectness_logits.weight"
    path = write(tmp_path / "theirs.pth", faster_rcnn(50), **{name: broken})
    assert "its tensor for 'head.rpn.objectness.weight' not all values are finite" in refusal(path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_checkpoints_of_other_precisions_open(tmp_path: Path, dtype: torch.dtype) -> None:
    names = {n: torch.full((1,), 0.5, dtype=dtype).expand(s) for n, s in faster_rcnn(50).items()}
    names = {n: one for n, one in names.items() if "pixel_" not in n and "cell_" not in n}
    # A tensor of more than 64 MB may not be one number that is repeated.
    names["roi_heads.box_head.fc1.weight"] = torch.full((1,), 0.5).expand(1024, 12544)
    path = tmp_path / "theirs.pth"
    torch.save({"model": names}, path)
    weights = read_weights(path, template=open_template("faster-rcnn-r50-fpn"))
    for name, tensor in weights.state_dict.items():
        assert name.endswith("num_batches_tracked") or tensor.dtype == torch.float32
        assert name.endswith("num_batches_tracked") or tensor.flatten()[-1] == 0.5


def test_two_tensors_for_one_place_are_refused(tmp_path: Path) -> None:
    both = {"proposal_generator.rpn_head.conv.bias": torch.zeros(256)}
    path = tmp_path / "theirs.pth"
    torch.save({"model": both | {f"module.{name}": one + 1 for name, one in both.items()}}, path)
    assert "not known: module.proposal_generator.rpn_head.conv.bias (1)" in refusal(path)
    # Names of torchvision's before and after 0.13.
    names = {f"rpn.head.conv{old}.bias": torch.zeros(1) for old in ("", ".0.0")}
    name_map = map_of(names)
    assert name_map is not None
    found = renamed(names, name_map, {"head.rpn.conv.bias": torch.zeros(1)})
    assert found.unknown == ("rpn.head.conv.0.0.bias",)


def placed(names: dict[str, Tensor]) -> dict[str, Tensor]:
    name_map = map_of(names)
    assert name_map is not None
    expected = {"head.roi.classes.bias": 2, "head.roi.boxes.bias": 4, "head.classes.bias": 9}
    return renamed(names, name_map, {n: torch.zeros(s) for n, s in expected.items()}).tensors


def test_the_face_comes_second_whoever_wrote_it() -> None:
    detectron = placed(
        {
            "proposal_generator.rpn_head.conv.bias": torch.zeros(1),
            "roi_heads.box_predictor.cls_score.bias": torch.tensor([7.0, 1.0]),
        }
    )
    torchvision = placed(
        {
            "rpn.head.conv.bias": torch.zeros(1),
            "roi_heads.box_predictor.cls_score.bias": torch.tensor([1.0, 7.0]),
            "roi_heads.box_predictor.bbox_pred.bias": torch.arange(8.0),
        }
    )
    for found in (detectron, torchvision):
        assert found["head.roi.classes.bias"].tolist() == [1, 7]
    assert torchvision["head.roi.boxes.bias"].tolist() == [4, 5, 6, 7]


def test_anchors_of_torchvision_are_put_in_our_order() -> None:
    # Of ratio r and size s: 100 r + 10 s, and 1 more for the face.
    rows = [100.0 * r + 10 * s + face for r in range(3) for s in range(3) for face in (0, 1)]
    found = placed({"head.classification_head.cls_logits.bias": torch.tensor(rows)})
    wanted = [100 * r + 10 * s + 1 for s in range(3) for r in range(3)]
    assert found["head.classes.bias"].tolist() == wanted


@pytest.mark.parametrize("protocol", range(2, 6))
def test_arrays_of_a_pickle_are_read(tmp_path: Path, protocol: int) -> None:
    arrays = {
        "c": np.arange(6, dtype=np.float32).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "scalar": np.float32(2.5),
        "empty": np.zeros((0, 4), np.float32),
    }
    path = tmp_path / "model.pkl"
    content = {"model": OrderedDict(arrays), "__author__": "Detectron2 Model Zoo"}
    path.write_bytes(pickle.dumps(content, protocol))
    read = read_arrays(path)
    assert read["__author__"] == "Detectron2 Model Zoo"
    for name, array in arrays.items():
        np.testing.assert_array_equal(read["model"][name].numpy(), array)


class _Harm:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch harm",)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"model": _Harm()}, "system', not arrays alone"),
        ({"model": np.array([object()])}, "not arrays alone|damaged"),
        ([1], "expected a dictionary"),
    ],
)
def test_nothing_but_arrays_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(ModelFileError, match=said):
        read_arrays(path)
    assert not (tmp_path / "harm").exists()


def test_a_damaged_pickle_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({"a": np.zeros(100)})[:200])
    with pytest.raises(ModelFileError, match=r"damaged, or not a \.pkl file") as caught:
        read_arrays(path)
    assert "\n" not in str(caught.value)


class _Shared:
    """An array whose bytes another one has too."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        from numpy._core.numeric import _frombuffer

        return _frombuffer, (self.data, np.dtype("u1"), (len(self.data),), "C")


@pytest.mark.parametrize(("count", "refused"), [(60, False), (70, True)])
def test_arrays_that_share_their_bytes_take_no_more_than_an_archive_may(
    tmp_path: Path, count: int, refused: bool
) -> None:
    data = bytes(1 << 20)
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps({str(index): _Shared(data) for index in range(count)}))
    assert path.stat().st_size < 2 << 20
    if not refused:
        assert len(read_arrays(path)) == count
        return
    with pytest.raises(ModelFileError, match="its arrays are too large for its size"):
        read_arrays(path)


def _laughs(depth: int) -> bytes:
    shared: dict[str, Any] = {}
    for _ in range(depth):
        shared = {"a": shared, "b": shared}
    return pickle.dumps(shared)


def _calls(module: str, name: str, arguments: bytes, count: int) -> bytes:
    """A pickle that calls a function with the same arguments again and again."""
    kept = f"c{module}\n{name}\nq\x010".encode() + arguments + b"q\x020"
    return b"\x80\x02}X\1\0\0\0a](" + kept + b"h\1h\2\x85R" * count + b"es."


TEXT = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20)
PAIRS = b"](" + b"".join(b"K%cK\0\x86" % index for index in range(256)) + b"e"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (_laughs(60), "not written by pocketface"),
        (_calls("_codecs", "encode", TEXT, 70), "too large for its size"),
        (_calls("collections", "OrderedDict", PAIRS, 3000), "too large for its size"),
        (b"\x80\x02}r" + struct.pack("<I", 2**31 - 1) + b".", "object 2 under number 2147483647"),
        (b"\x80\x02}p2147483647\n.", "object 2 under number 2147483647"),
    ],
    ids=["laughs", "texts", "dictionaries", "memo", "memo-of-old"],
)
def test_small_pickles_take_little(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "theirs.pkl"
    path.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert said in refusal(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 << 10


def test_missing_and_unknown_names_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "model_final.pkl"
    content = {
        "proposal_generator.rpn_head.conv.bias": np.zeros(256, np.float32),
        "x.y": np.ones(1),
    }
    path.write_bytes(pickle.dumps({"model": content}))
    with pytest.raises(ModelFileError) as caught:
        read_weights(path, template=open_template("faster-rcnn-r50-fpn"))
    assert "of Detectron2, does not fit faster-rcnn-r50-fpn: it lacks " in str(caught.value)
    assert "not known: x.y (1)" in str(caught.value)
