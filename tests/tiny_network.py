"""The network of `tiny_template.yaml`, and the same with each other kind of head."""

from __future__ import annotations

from pathlib import Path

import torch

from pocketface.exporting import EXPORTERS, ExportRequest, export_model
from pocketface.models.network import Network
from pocketface.models.weights import read_weights, write_weights
from pocketface.tasks.templates import parse_template

TEMPLATE = (Path(__file__).parent / "tiny_template.yaml").read_text()
# The same network with the other heads, scores and input rules that templates have.
SSD = """\
  head:
    type: ssd
    anchors:
      - {stride: 8, widths: [8, 12.5], heights: [10, 20]}
      - {stride: 16, widths: [30], heights: [40]}
      - {stride: 32, widths: [60, 70, 80], heights: [60, 90, 80]}
"""
SSD = TEMPLATE[: TEMPLATE.index("  head:")] + SSD + TEMPLATE[TEMPLATE.index("inference:") :]
FCOS = (
    TEMPLATE.replace("norm: batch", "norm: group")
    .replace("channels: 16\n    tower", "channels: 32\n    tower")
    .replace("shared: false", "shared: true\n    centerness: true")
    .replace("    landmarks: true\n", "")
    .replace(", landmark_weight: 0.1", "")
    .replace("resize: letterbox, multiple_of: 32", "resize: stretch")
)

_ANCHORS = "strides: [8, 16, 32], sizes: [[12], [24], [48]], aspect_ratios: [1.0], offset: 0.5"
HEADS = {  # that correct boxes, for the same network
    "retina": f"""\
  head:
    type: retina
    anchors: {{{_ANCHORS}}}
    tower: 1
""",
    "two_stage": f"""\
  head:
    type: two_stage
    rpn: {{anchors: {{{_ANCHORS}}}, pre_nms_topk: 64, post_nms_topk: 32}}
    roi: {{levels: 3, canonical_size: 24, canonical_level: 4, sampling_ratio: 2, fc: [32]}}
    loss: {{pre_nms_topk: 64, post_nms_topk: 64, rpn_samples: 64, roi_samples: 32}}
""",
}
_DENSE = TEMPLATE[TEMPLATE.index("  head:") : TEMPLATE.index("inference:")].splitlines()[1:]
HEADS["probabilistic_two_stage"] = f"""\
  head:
    type: probabilistic_two_stage
    first:
{chr(10).join("  " + line for line in _DENSE)}
    proposals: {{pre_nms_topk: 64, post_nms_topk: 32}}
    roi: {{levels: 3, canonical_size: 24, canonical_level: 4, sampling_ratio: 2, fc: [32]}}
    loss: {{pre_nms_topk: 64, post_nms_topk: 32}}
"""


def write_tiny_weights(folder: Path, text: str = TEMPLATE, *, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    network = Network(parse_template(text, source="test").architecture)
    # Far from the small numbers of initialisation, as trained networks are.
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 2)
    for name, parameter in network.head.named_parameters():
        if name.endswith("weight") and parameter.dim() == 4:
            torch.nn.init.normal_(parameter, std=0.1)
        elif name.endswith("classes.bias"):
            torch.nn.init.zeros_(parameter)
    path = folder / "weights.safetensors"
    write_weights(
        path,
        template_text=text,
        state_dict=network.state_dict(),
        epochs=3,
        data="nothing",
        seed=seed,
    )
    return path


def export_tiny(weights: Path, folder: Path, name: str) -> None:
    """Files of one format, in every precision that a user may ask for.

    Verified, but for Core ML: it rounds at every step in FP16, which random weights exaggerate.
    """
    precisions = [one for one in ("fp32", "fp16") if one in EXPORTERS[name].precisions]
    report = export_model(
        ExportRequest(
            weights=read_weights(weights),
            folder=folder,
            formats=[name],
            precisions=precisions,
            verify=name != "coreml",
        )
    )
    status = "unchecked" if name == "coreml" else "passed"
    assert {(one.status, one.reason) for one in report.files} == {(status, None)}
