"""Our face-detection-0200 with the published weights finds the published boxes.

They prove the whole reading at once: names, blocks, anchors, decoding, colour order and range.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pocketface.interrupts import signal_stack_kept
from pocketface.models.network import Network
from pocketface.models.unfolded import is_folded, unfold_norms
from pocketface.models.weights import Weights, build_network, read_weights
from pocketface.tasks.templates import open_template

from ..models.mmdet_files import fill, save_snapshot
from ..models.mmdet_networks import detector

ov = pytest.importorskip("openvino")

TEMPLATE = open_template("face-detection-0200")


@pytest.fixture
def published(shared: Path) -> Path:
    path = shared / "peers/openvino/face-detection-0200/FP16/face-detection-0200.xml"
    if not path.exists():
        pytest.skip(f"needs {path}")
    return path


def airport_image(shared: Path, index: int) -> NDArray[np.float32]:
    photo = cv2.imread(str(shared / f"airport/train/image_{index:06d}.jpg"))
    return cv2.resize(photo, (256, 256)).transpose(2, 0, 1)[None].astype(np.float32)


def written_as_snapshot(weights: Weights, path: Path) -> Network:
    """The same weights from a checkpoint under the published names."""
    anchors = [level.model_dump() for level in TEMPLATE.spec.architecture.head.anchors]  # type: ignore[union-attr]
    theirs = detector("face-detection-0200", anchors)
    fill(theirs, weights.state_dict)
    save_snapshot(theirs, path, config="img_scale=(256, 256)")
    return build_network(read_weights(path, template=TEMPLATE))


def test_the_published_weights_give_the_published_boxes(
    shared: Path, published: Path, tmp_path: Path
) -> None:
    core = ov.Core()
    weights = read_weights(published, template=TEMPLATE)
    networks = [build_network(weights), written_as_snapshot(weights, tmp_path / "snapshot.pth")]
    with signal_stack_kept():
        compiled = core.compile_model(published, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for index in (0, 5, 9):
        image = airport_image(shared, index)
        found = compiled(image)[0][0, 0]
        found = torch.from_numpy(found[found[:, 2] > 0.05])
        assert len(found) >= 2
        for network in networks:
            with torch.no_grad():
                boxes, scores = (output[0] for output in network(torch.from_numpy(image)))
            assert scores.max().item() == pytest.approx(found[:, 2].max().item(), abs=1e-4)
            distance = (boxes[:, None] - found[:, 3:] * 256).abs().amax(-1)
            nearest = distance.argmin(0)
            # The anchors of the template are rounded to hundredths of a pixel.
            assert distance.amin(0).max() < 0.02
            torch.testing.assert_close(scores[nearest], found[:, 2], rtol=0, atol=1e-4)


def test_training_begins_with_the_activations_of_the_file(shared: Path, published: Path) -> None:
    network = build_network(read_weights(published, template=TEMPLATE))
    images = np.concatenate([airport_image(shared, index) for index in range(10)])
    batch = torch.from_numpy(images)
    assert is_folded(network)
    with torch.no_grad():
        expected = network(batch)
    unfold_norms(network, images)
    assert not is_folded(network)
    with torch.no_grad():
        found = network.eval()(batch)
        trained = network.train()(batch)
    for before, after in zip(expected, found, strict=True):
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    # Of the same images, so that the statistics of the batch are those that were put in.
    torch.testing.assert_close(trained[1], expected[1], rtol=0, atol=1e-3)


def test_the_script_writes_weights_of_ours(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "ours.safetensors"
    script = Path(__file__).parents[2] / "tools" / "published.py"
    monkeypatch.setattr(
        sys, "argv", ["published.py", TEMPLATE.spec.name, str(published), str(target)]
    )
    runpy.run_path(str(script), run_name="__main__")
    written = read_weights(target)
    expected = read_weights(published, template=TEMPLATE).state_dict
    assert all(torch.equal(tensor, expected[name]) for name, tensor in written.state_dict.items())
