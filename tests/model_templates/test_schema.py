"""Mistakes in a template, each with the line that a user reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from pocketface.errors import TemplateError
from pocketface.model_templates import template_path
from pocketface.tasks.templates import open_template, parse_template

SSD = template_path("face-detection-0202").read_text()
VALID = template_path("glasses-cnn").read_text()
N = template_path("face-detection-n").read_text()
FPN = template_path("face-detection-0205").read_text()
INPUT = "input:\n  height: 384\n  width: 384\n  resize: stretch\n"


def changed(old: str, new: str, *, template: str = SSD) -> str:
    assert template.count(old) == 1, f"{old!r} is to be found once"
    return template.replace(old, new)


def complaint(text: str) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        parse_template(text, source="t.yaml")
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # unknown and missing keys
        (
            "  repeats: 2",
            "  repeat: 2",
            "t.yaml: hyper_parameters.repeat: unknown key (found 2); expected one of "
            "augmentation, basic, distillation, ema_decay, frozen, gradient_checkpoints, "
            "optimizer, repeats, schedule",
        ),
        (
            "    epochs: 70",
            "    epoch: 70",
            "t.yaml: hyper_parameters.basic.epoch: unknown key (found 70); expected one of "
            "base_learning_rate, batch_size, epochs, iterations_per_epoch; and 1 more problem",
        ),
        (
            "    width: 1.0",
            "    widht: 1.0",
            "t.yaml: architecture.backbone.widht: unknown key (found 1.0); expected one of "
            "expand_first, outputs, type, width",
        ),
        (
            "    momentum: 0.9",
            "    momentum: 1.0",
            "t.yaml: hyper_parameters.optimizer.momentum: expected",
        ),
        (
            "    crop: iou",
            "    crop: iou\n    scales: []",
            "t.yaml: hyper_parameters.augmentation.scales: expected",
        ),
        (
            "width: 1.0",
            "width: 9.0",
            "t.yaml: architecture.backbone.width: expected a number less than or equal to 8",
        ),
        (
            "width: 384",
            "width: 9000",
            "t.yaml: input.width: expected a number less than or equal to 8192",
        ),
        ("gpu_num: 2\n", "", "t.yaml: gpu_num: missing key; expected an integer"),
        ("gpu_num: 2\n", "gpu_num: 2\n<<: {a: 1}\n", 't.yaml: <<: unknown key (found {"a": 1})'),
        (INPUT, "", "t.yaml: input: missing key; expected a mapping of keys"),
        (
            "  resize: stretch\n",
            "",
            "t.yaml: input.resize: missing key; expected 'letterbox' or 'stretch'",
        ),
        ("  classes: [face]", "  {}", "t.yaml: dataset.classes: missing key; expected a list"),
        # wrong types
        (
            "    epochs: 70",
            "    epochs: seventy",
            't.yaml: hyper_parameters.basic.epochs: expected a valid integer (found "seventy")',
        ),
        (
            "    epochs: 70",
            '    epochs: "70"',
            't.yaml: hyper_parameters.basic.epochs: expected a valid integer (found "70")',
        ),
        (
            "    epochs: 70",
            "    epochs: 70.5",
            "t.yaml: hyper_parameters.basic.epochs: expected a valid integer (found 70.5)",
        ),
        (
            "    epochs: 70",
            "    epochs: true",
            "t.yaml: hyper_parameters.basic.epochs: expected a valid integer (found true)",
        ),
        (
            "    epochs: 70",
            "    epochs:",
            "t.yaml: hyper_parameters.basic.epochs: expected a valid integer (found null)",
        ),
        (
            "    photometric: true",
            "    photometric: yes",
            "t.yaml: hyper_parameters.augmentation.photometric: expected a valid boolean (f",
        ),
        (INPUT, "input: 256\n", "t.yaml: input: expected a mapping of keys (found 256)"),
        (INPUT, "input: [256, 256]\n", "t.yaml: input: expected a mapping of keys (found [256, "),
        ("[face]", "face", 't.yaml: dataset.classes: expected a list (found "face")'),
        # ranges and choices
        (
            "    epochs: 70",
            "    epochs: 0",
            "t.yaml: hyper_parameters.basic.epochs: expected a number greater than 0 (found 0)",
        ),
        (
            "base_learning_rate: 0.05",
            "base_learning_rate: -1e-3",
            "t.yaml: hyper_parameters.basic.base_learning_rate: expected a number greater than 0 "
            "(found -0.001)",
        ),
        (
            "nms_iou: 0.45",
            "nms_iou: 1.5",
            "t.yaml: inference.nms_iou: expected a number less than or equal to 1 (found 1.5)",
        ),
        (
            "resize: stretch",
            "resize: squash",
            "t.yaml: input.resize: expected 'letterbox', 'stretch' or 'align' (found \"squash\")",
        ),
        ("[face]", "[]", "t.yaml: dataset.classes: expected at least 1 item(s) (found [])"),
        (
            "mean: [0.0, 0.0, 0.0]",
            "mean: [0.0, 0.0]",
            "t.yaml: architecture.mean: expected at least 3 items (found [0.0, 0.0])",
        ),
        (
            "mean: [0.0, 0.0, 0.0]",
            "mean: [0, 0, 0, 0]",
            "t.yaml: architecture.mean: expected at most 3 item(s) (found [0, 0, 0, 0])",
        ),
        ("std: [255.0,", "std: [0.0,", "t.yaml: architecture.std.0: expected a number greater th"),
        (
            "name: face-detection-0202",
            "name: ../Face",
            't.yaml: name: expected lower-case letters, digits and hyphens (found "../Face")',
        ),
        (
            "initial_weights: null",
            "initial_weights: {file: ../x.safetensors, sha256: " + "a" * 64 + ", size: 1}",
            "t.yaml: initial_weights.file: expected the name of a .safetensors file, without a "
            'folder (found "../x.safetensors")',
        ),
        (
            "initial_weights: null",
            "initial_weights: {file: x.safetensors, sha256: ABC, size: 1}",
            "t.yaml: initial_weights.sha256: expected 64 hexadecimal digits, lower case (found ",
        ),
        (
            "base_learning_rate: 0.05",
            "base_learning_rate: .nan",
            "t.yaml:44: '.nan' is not a finite number",
        ),
        # kinds of backbone and head
        (
            "type: mobilenet_v2",
            "type: mobilenet_v3",
            "t.yaml: architecture.backbone.type: expected one of 'mobilenet_v2', "
            "'efficientnet_lite', 'shufflenet_v2', 'resnet', 'plain', 'valid' "
            '(found "mobilenet_v3")',
        ),
        (
            "    type: mobilenet_v2\n",
            "",
            "t.yaml: architecture.backbone.type: missing key; expected one of 'mobilenet_v2', ",
        ),
        (
            "outputs: [96, 320]",
            "outputs: [96, 321]",
            "t.yaml: architecture.backbone.outputs.1: expected 24, 32, 96 or 320 (found 321)",
        ),
        # what does not fit together
        (
            "outputs: [96, 320]",
            "outputs: [320, 96]",
            "t.yaml: architecture: backbone outputs must be finest first, each once: strides [32, ",
        ),
        (
            "outputs: [96, 320]",
            "outputs: [32, 320]",
            "t.yaml: architecture: the head has strides [16, 32], but the feature maps that reach "
            "it have [8, 32]",
        ),
        (
            "widths: [10.27, 27.42, 16.05, 37.9]",
            "widths: [10.27, 27.42]",
            "t.yaml: architecture.head.anchors.0: 2 widths but 4 heights",
        ),
        (
            "classes: [face]",
            "classes: [face, car]",
            "t.yaml: dataset.classes is ['face', 'car']: expected 1 for problem 'face-detection'",
        ),
        (
            "    type: step",
            "    type: cosine",
            "t.yaml: hyper_parameters.schedule: schedule 'cosine' with milestones [40, 55, 65]",
        ),
        (
            "    milestones: [40, 55, 65]\n",
            "",
            "t.yaml: hyper_parameters.schedule: schedule 'step' with milestones []",
        ),
        (
            "    crop: iou",
            "    crop: iou\n    rotate: 0.2",
            "t.yaml: hyper_parameters.augmentation: rotate is not of crop 'iou'",
        ),
        (
            "    crop: iou",
            "    crop: zoom\n    shape: photo\n    rotate: 0.2",
            "t.yaml: hyper_parameters.augmentation: rotate is of shape 'square', not 'photo'",
        ),
        # keys without effect, and values that cannot be meant
        (
            "    crop: iou",
            "    crop: zoom\n    max_angle: 30.0",
            "t.yaml: hyper_parameters.augmentation: max_angle is in vain without rotate",
        ),
        (
            "    milestones: [40, 55, 65]",
            "    milestones: [55, 40, 65]",
            "t.yaml: hyper_parameters.schedule: milestones are [55, 40, 65]: expected rising ones",
        ),
        (
            "    milestones: [40, 55, 65]",
            "    milestones: [40, 55, 55]",
            "t.yaml: hyper_parameters.schedule: milestones are [40, 55, 55]: expected rising ones",
        ),
        (
            "    milestones: [40, 55, 65]",
            "    milestones: [40, 55, 65]\n    decay: 0.5",
            "t.yaml: hyper_parameters.schedule: decay is not of schedule 'step'",
        ),
        (
            "    momentum: 0.9",
            "    momentum: 0.9\n    muon_factor: 6.0",
            "t.yaml: hyper_parameters.optimizer: muon_factor is not of optimizer 'sgd'",
        ),
        (
            "    min_face: 10.0",
            "    min_face: 384.0",
            "t.yaml: hyper_parameters.augmentation.min_face is 384: expected less than the "
            "sample's side, 384",
        ),
        (
            "    crop: iou",
            "    crop: iou\n    size: 1",
            "t.yaml: hyper_parameters.augmentation.size: expected",
        ),
        (
            "std: [255.0, 255.0, 255.0]",
            "std: [1e-60, 255.0, 255.0]",
            "t.yaml: architecture.std.0: expected",
        ),
        (
            "metrics: []",
            "metrics:\n"
            + 2 * "  - {key: ap, display_name: AP, value: 1, unit: '%', protocol: p}\n",
            "t.yaml: metrics: keys are ['ap', 'ap']: expected each once",
        ),
    ],
)
def test_refusals_name_file_key_value_and_expectation(old: str, new: str, message: str) -> None:
    assert str(complaint(changed(old, new))).startswith(message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "    levels: 5",
            "    levels: 2",
            "t.yaml: architecture: neck.levels is 2, but the backbone has 3 outputs",
        ),
        (
            "    levels: 5",
            "    levels: 4",
            "t.yaml: architecture: the head has strides [8, 16, 32, 64, 128], but the feature "
            "maps that reach it have [8, 16, 32, 64]",
        ),
        (
            "    levels: 5",
            "    levels: 999999999999999999",
            "t.yaml: architecture.neck.levels: expected a number less than or equal to 10 (found ",
        ),
        (
            "    channels: 32\n",
            "    channels: 24\n",
            "t.yaml: architecture.head: norm 'group' wants channels in 32s (found 24)",
        ),
        (
            "      box: iou",
            "      box: ciou",
            "t.yaml: architecture.head.loss.box: expected 'iou', 'giou', 'diou' or 'eiou' "
            '(found "ciou")',
        ),
        (
            "      box: iou",
            "      box: iou\n      landmark_weight: 0.1",
            "t.yaml: architecture.head: landmarks false and loss.landmark_weight 0.1 do not go ",
        ),
        (
            "      box: iou",
            "      box: iou\n      top_k: 5",
            "t.yaml: architecture.head.loss: top_k is not of assigner 'center_sampling'",
        ),
        (
            "    type: dense",
            "    type: dense\n    anchor_scale: 4.0",
            "t.yaml: architecture.head: anchor_scale is not of assigner 'center_sampling'",
        ),
        (
            "  repeats: 2\n",
            "  repeats: 2\n  distillation: {teacher: face-detection-m}\n",
            "t.yaml: hyper_parameters.distillation wants architecture.head.centerness false",
        ),
    ],
)
def test_refusals_of_a_pyramid_and_a_dense_head(old: str, new: str, message: str) -> None:
    assert str(complaint(changed(old, new, template=FPN))).startswith(message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "classes: [no_glass, glass]",
            "classes: [glass, glass]",
            "t.yaml: dataset.classes is ['glass', 'glass']: expected 2 for problem "
            "'face-classification', each once",
        ),
        (
            "  height: 82\n  width: 82\n",
            "  height: 82\n  width: 14\n",
            "t.yaml: architecture.backbone.channels: 7 layers, each of which takes two pixels "
            "away; the input has room for 6",
        ),
    ],
)
def test_refusals_of_a_classifier(old: str, new: str, message: str) -> None:
    assert str(complaint(changed(old, new, template=VALID))).startswith(message)


def test_a_misspelt_key_gets_a_hint() -> None:
    assert complaint(changed("  repeats: 2", "  repeat: 2")).hint == "did you mean 'repeats'?"
    assert complaint(changed("gpu_num: 2\n", "gpu_num: 2\nzzz: 1\n")).hint is None


def test_numbers_read_as_written() -> None:
    template = parse_template(SSD, source="t.yaml")
    assert template.hyper_parameters.optimizer.weight_decay == 5e-4
    assert template.optimisations.nncf_quantization is not None
    assert template.optimisations.nncf_quantization.base_learning_rate == 2.5e-4
    assert template.input.resize == "stretch"


def test_a_file_is_named_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(changed("    epochs: 70", "    epochs: 0"))
    with pytest.raises(TemplateError, match=f"^{path}: hyper_parameters.basic.epochs: "):
        open_template(path)


@pytest.mark.parametrize(
    ("template", "old", "new", "fits"),
    [
        (VALID, "dropout: 0.5", "dropout: 0.1", True),
        (SSD, "positive_iou: 0.4", "positive_iou: 0.5", True),
        (SSD, "negative_ratio: 3", "negative_ratio: 5", True),
        (N, "anchor_scale: 3.0", "anchor_scale: 4.0", True),
        (N, "box: diou", "box: giou", True),
        (VALID, "hidden: 32", "hidden: 16", False),
        (SSD, "variances: [0.1, 0.2]", "variances: [0.1, 0.1]", False),
    ],
)
def test_weights_fit_whatever_they_were_trained_by(
    template: str, old: str, new: str, fits: bool
) -> None:
    one, other = (
        parse_template(text, source="t.yaml").architecture
        for text in (template, changed(old, new, template=template))
    )
    assert one.makes_same_network(other) == fits


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "face-segmentation-n",
            "  height: 256\n",
            "  height: 250\n",
            "input of 250x256 (height x width): expected multiples of 4, architecture.head.stride",
        ),
        (
            "unet-resnet50",
            "  multiple_of: 32\n",
            "  multiple_of: 1\n",
            "input.multiple_of is 1: expected a multiple of 2, architecture.head.stride",
        ),
        (
            "deeplabv3-resnet50",
            "  multiple_of: 32\n",
            "  multiple_of: 8\n",
            "input.multiple_of is 8: expected a multiple of 16, architecture.head.stride",
        ),
    ],
)
def test_a_mask_has_the_size_of_its_input(name: str, old: str, new: str, message: str) -> None:
    plain = template_path(name).read_text(encoding="utf-8")
    assert message in str(complaint(changed(old, new, template=plain)))


def test_a_network_that_fits_into_no_memory_is_refused() -> None:
    plain = template_path("face-detection-n").read_text(encoding="utf-8")
    for old, new, limit in (
        ("stem_channels: 16", "stem_channels: 10000000", 4096),
        ("{channels: 32, blocks: 1}", "{channels: 5000, blocks: 1}", 4096),
        ("{channels: 32, blocks: 1}", "{channels: 32, blocks: 1000}", 64),
        ("{channels: 32, blocks: 1}", "{channels: 32, blocks: -1}", 0),
    ):
        text = str(complaint(changed(old, new, template=plain)))
        assert text.startswith("t.yaml: architecture.backbone.st")
        assert (
            f"expected a number {'greater' if limit == 0 else 'less'} than or equal to {limit}"
            in text
        )


def test_an_input_is_a_multiple_and_zoom_cuts_squares() -> None:
    plain = template_path("face-detection-n").read_text(encoding="utf-8")
    wide = changed("  height: 640\n", "  height: 480\n", template=plain)
    assert parse_template(wide, source="t.yaml").input.height == 480
    message = str(complaint(changed("    size: 352\n", "", template=wide)))
    assert "augmentation.size is missing: crop 'zoom' cuts squares, and the input is 480" in message
    odd = changed("  height: 640\n", "  height: 500\n", template=plain)
    assert "input: height is 500: expected a multiple of 32" in str(complaint(odd))
