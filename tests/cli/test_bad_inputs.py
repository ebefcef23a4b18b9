"""Bad input, command by command: one clear line, the right exit code, nothing half-written.

`python tools/bad_inputs.py > docs/reports/bad-inputs.md` writes down what each one printed.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

EXPORT = "export --save-model-to out --load-weights"
EXPORT_TINY = f"{EXPORT} tiny.pth"
SHOW_BY = "visualize --no-show --video photo.jpg --load-weights"
LOOK_AT = "visualize --no-show --load-weights model/model.xml --video"
LOOK = f"{LOOK_AT} photo.jpg"
EVAL = "eval --load-weights tiny.pth --test-data-roots photos --test-ann-files"
DIAGNOSE = "diagnose model/model.xml --test-ann-files faces.json --test-data-roots photos"
TRAIN_ON = "train --template tiny.yaml --save-checkpoints-to out --train-data-roots photos"
TRAIN = f"{TRAIN_ON} --train-ann-files faces.json"
COMPRESS_BY = (
    "compress --save-checkpoints-to out --train-ann-files faces.json --train-data-roots photos "
    "--val-ann-files faces.json --val-data-roots photos --load-weights"
)
COMPRESS = f"{COMPRESS_BY} tiny.pth"
MASKS = "data masks --output out photos"
POLYGONS = "data masks --photos photos --output out"
PEOPLE = "data identities photos --output out"
OVERLAY = "segment photo.jpg --as overlay"
COMPARE = "recognize compare photo.jpg photos"
CALIBRATE = "recognize calibrate {} --data-roots photos"
ENROLL = "recognize enroll new.gallery --name A"
NAME_BY = "visualize --no-show --video photo.jpg --gallery"

# (what is wrong, the command, exit code, what the line must say)
BAD_INPUTS: list[tuple[str, str, int, str]] = [
    # The command itself
    ("no command", "", 2, "the following arguments are required: COMMAND"),
    ("a misspelt command", "exprot", 2, "no command 'exprot'; there are: templates, init"),
    ("an unknown flag", "templates --jsno", 2, "unrecognized arguments: --jsno"),
    ("an abbreviated flag", f"{EXPORT_TINY} --prec fp16", 2, "unrecognized arguments: --prec fp16"),
    ("a required flag left out", "export --template tiny.yaml", 2, "required: --save-model-to"),
    ("a flag without its value", "export --save-model-to", 2, "expected one argument"),
    # Templates
    ("an unknown template", "init face-detection-200 work", 2, "unknown template"),
    ("a template file that is not there", "init none/template.yaml work", 2, "no such file"),
    ("a template with a misspelt key", "init typo.yaml work", 2, "typo.yaml: .*sumary"),
    ("a text for a template", "init notes.txt work", 2, "notes.txt: expected a mapping"),
    ("a photo for a template", "init photo.jpg work", 2, "photo.jpg: not UTF-8"),
    ("a file for a work directory", "init tiny.yaml notes.txt", 2, "notes.txt: is a file"),
    # Weights and model files
    (
        "no weights given, none shipped",
        "export --template tiny.yaml --save-model-to out",
        2,
        "template tiny ships no weights",
    ),
    ("neither weights nor template", "export --save-model-to out", 2, "no weights to work with"),
    ("weights that are not there", f"{EXPORT} none.pth", 2, "none.pth: no such file"),
    ("half a checkpoint", f"{EXPORT} half.pth", 2, "half.pth: "),
    ("a text as a checkpoint", f"{EXPORT} text.pth", 2, "text.pth: "),
    ("a photo as weights", f"{EXPORT} photo.jpg", 2, "photo.jpg: not a weights"),
    ("an exported file as weights", f"{EXPORT} model/model.xml", 2, "model.xml: "),
    (
        "weights of another architecture",
        f"{EXPORT_TINY} --template wider-head.yaml",
        2,
        "made for the architecture of tiny, which differs from that in wider-head.yaml",
    ),
    ("half an ONNX file", f"{SHOW_BY} half.onnx", 2, "half.onnx: "),
    (
        "somebody else's ONNX file",
        f"{SHOW_BY} foreign.onnx",
        2,
        "foreign.onnx: carries no pocketface contract",
    ),
    (
        "model.xml without its model.bin",
        f"{SHOW_BY} lonely/model.xml",
        2,
        "lonely/model.xml: model.bin, a part of it, cannot be read",
    ),
    (
        "a model file of an unknown kind",
        f"{SHOW_BY} notes.txt",
        2,
        "notes.txt: unknown kind of model file",
    ),
    # Export
    ("an unknown format", f"{EXPORT_TINY} --formats onnx,tflite", 2, "format 'tflite'"),
    ("no format", f"{EXPORT_TINY} --formats ,", 2, "expected names with commas between"),
    (
        "an unknown precision",
        f"{EXPORT_TINY} --precision fp8",
        2,
        "precision 'fp8': expected some of fp32, fp16",
    ),
    ("a size that is none", f"{EXPORT_TINY} --input-size big", 2, "expected HEIGHTxWIDTH"),
    ("a size the network cannot take", f"{EXPORT_TINY} --input-size 100x100", 2, "multiples of 32"),
    ("a size of nothing", f"{EXPORT_TINY} --input-size 0x0", 2, "multiples of 32"),
    (
        "a size that fits in no memory",
        f"{EXPORT_TINY} --input-size 99968x99968",
        2,
        "above the limit of 64,000,000 pixels",
    ),
    (
        "a file for the output folder",
        "export --load-weights tiny.pth --save-model-to notes.txt",
        2,
        "notes.txt: ",
    ),
    # Verification and diagnosis
    ("a file to verify that is not there", "verify none.onnx", 2, "none.onnx: no such"),
    ("a photo to verify", "verify photo.jpg", 2, "photo.jpg: unknown kind of model file"),
    ("a folder of models", f"{SHOW_BY} model", 2, "model: unknown kind of model file"),
    ("a folder without model files", "verify photos", 2, "photos: holds no model file"),
    ("a pre-processing that is none", f"{DIAGNOSE} --declared bgr,0-2,crop", 2, "'bgr,0-2,crop'"),
    ("a photo for a detector", DIAGNOSE.replace("model/model.xml", "photo.jpg"), 2, "unknown kind"),
    ("no photo for a diagnosis", f"{DIAGNOSE} --limit 0", 2, "1 or more"),
    # Visualize
    ("a source that is not there", f"{LOOK_AT} none.jpg", 2, "none.jpg: no such file or folder"),
    ("a camera that is not there", f"{LOOK_AT} 99", 2, "camera 99: does not open"),
    (
        "a stream that is not there",
        f"{LOOK_AT} rtsp://user:secret@127.0.0.1:9/x",
        1,
        r"user:\*\*\*@",
    ),
    ("an address of an unknown kind", f"{LOOK_AT} ftp://host/a.mp4", 2, "unknown kind of address"),
    ("a text as a source", f"{LOOK_AT} notes.txt", 2, "notes.txt: neither a photo"),
    ("a text called .jpg", f"{LOOK_AT} text.jpg", 2, "text.jpg: not an image"),
    ("half a photo", f"{LOOK_AT} half.jpg", 2, "half.jpg: damaged or cut-off"),
    ("a text called .mp4", f"{LOOK_AT} text.mp4", 2, "text.mp4: not a video"),
    ("a folder without photos", f"{LOOK_AT} empty", 2, "empty: no photo in this folder"),
    ("a folder of broken photos", f"{LOOK_AT} broken", 2, "none of the 1 photos could be read"),
    ("no screen", LOOK.replace(" --no-show", ""), 2, "no display"),
    ("a photo onto itself", f"{LOOK} --output photo.jpg", 2, "is the source itself"),
    ("a folder into itself", f"{LOOK_AT} photos --output photos/out", 2, "lies in photos"),
    ("a folder into a file", f"{LOOK_AT} photos --output notes.txt", 2, "notes.txt: is a file"),
    ("a photo to a text", f"{LOOK} --output out.txt", 2, "expected a photo's name"),
    ("a video to a photo", f"{LOOK_AT} video.mp4 --output out.jpg", 2, "ends in .mp4"),
    ("a score above 1", f"{LOOK} --score-threshold 40", 2, "a number from 0 to 1"),
    ("a score that is no number", f"{LOOK} --score-threshold nan", 2, "from 0 to 1"),
    ("an overlap of 0", f"{LOOK} --nms-iou 0", 2, "nms_iou is 0"),
    ("no thread", f"{LOOK} --threads 0", 2, "a whole number, 1 or more"),
    ("a device that is not there", f"{LOOK} --device tpu", 2, "device 'tpu'"),
    # Evaluation
    ("nothing to measure on", "eval --load-weights tiny.pth", 2, "nothing to measure on"),
    (
        "labels without photos",
        "eval --load-weights tiny.pth --test-ann-files faces.json",
        2,
        "--test-ann-files and --test-data-roots go together",
    ),
    ("labels that are not there", f"{EVAL} none.json", 2, "none.json: "),
    ("a text as labels", f"{EVAL} text.json", 2, "text.json:1:1: not JSON"),
    ("labels of other things", f"{EVAL} cars.json", 2, "cars.json: "),
    ("labels of photos that are not there", f"{EVAL} lost.json", 2, "lost.json"),
    ("labels of broken photos only", f"{EVAL} broken.json", 2, "1 of 1 photos cannot be used"),
    ("a folder that is not WIDER FACE", "eval --load-weights tiny.pth --wider-dir photos", 2, ""),
    (
        "metrics that cannot be written",
        f"{EVAL} faces.json --save-metrics-to notes.txt/m.yaml",
        2,
        "--save-metrics-to notes.txt/m.yaml: cannot be written",
    ),
    # Compression
    ("no way to compress", COMPRESS, 2, "expected some of --post-training, --nncf-quant"),
    (
        "a format without quantizer",
        f"{COMPRESS} --post-training --formats keras",
        2,
        "format 'keras': expected some of openvino, onnx, coreml, litert",
    ),
    (
        "a precision that a format has not",
        f"{COMPRESS} --post-training --formats onnx --precision palette4",
        2,
        "precision 'palette4' in onnx: expected some of fp16, int8",
    ),
    (
        "a share of zeros without sparsity",
        f"{COMPRESS} --post-training --sparsity-ratio 0.5",
        2,
        "expected --nncf-sparsity with them",
    ),
    (
        "a share of channels without pruning",
        f"{COMPRESS} --post-training --pruning-ratio 0.5",
        2,
        "expected --filter-pruning with it",
    ),
    (
        "a share above 1",
        f"{COMPRESS} --nncf-sparsity --sparsity-ratio 1.5",
        2,
        "argument --sparsity-ratio: expected",
    ),
    (
        "an exported file to be compressed",
        f"{COMPRESS_BY} model/model.onnx --post-training",
        2,
        "model.onnx: not a weights file",
    ),
    (
        "more points to lose than there are",
        f"{COMPRESS} --post-training --max-drop -1",
        2,
        "argument --max-drop: expected a number above 0",
    ),
    # Training
    (
        "two ways to begin",
        f"{TRAIN} --load-weights tiny.pth --resume-from tiny.pth",
        2,
        "not allowed with argument --load-weights",
    ),
    (
        "checkpoints below a file",
        f"{TRAIN_ON} --train-ann-files none.json --save-checkpoints-to notes.txt/run",
        2,
        "--save-checkpoints-to notes.txt/run: cannot be written: notes.txt is in the way",
    ),
    ("no epochs", f"{TRAIN} --epochs 0", 2, "a whole number, 1 or more"),
    ("a rate below 0", f"{TRAIN} --base-learning-rate -1", 2, "a number above 0"),
    ("half a batch", f"{TRAIN} --batch-size 1.5", 2, "a whole number, 1 or more"),
    ("a GPU too many", f"{TRAIN} --gpu-num 99", 2, "CUDA GPUs"),
    ("epochs already done", f"{TRAIN} --resume-from tiny.pth --epochs 3", 2, "has 3 epochs"),
    (
        "training labels that are not there",
        f"{TRAIN_ON} --train-ann-files none.json",
        2,
        "none.json",
    ),
    (
        "validation labels without photos",
        f"{TRAIN} --val-ann-files faces.json",
        2,
        "--val-ann-files and --val-data-roots go together",
    ),
    (
        "training on with another architecture",
        TRAIN.replace("tiny.yaml", "wider-head.yaml") + " --resume-from tiny.pth",
        2,
        "tiny.pth: made for the architecture of tiny",
    ),
    # Data
    ("no action", "data", 2, "the following arguments are required: ACTION"),
    ("a folder without WIDER's lists", "data wider photos", 2, "photos: not WIDER FACE"),
    (
        "a split of everything",
        "data split faces.json --train-fraction 1 --output out",
        2,
        "--train-fraction: expected a number above 0 and below 1",
    ),
    ("a split of a text", "data split text.json --output out", 2, "expected COCO JSON"),
    ("labels over others", "data label photos --output faces.json", 2, "faces.json: is there"),
    ("photos without masks", f"{MASKS} empty --classes face=1", 2, "empty: has no pictures"),
    ("photos for their own masks", f"{MASKS} photos --classes face=1", 2, "beside that of the"),
    ("a class without a value", f"{MASKS} broken --classes face", 2, "expected NAME=VALUE"),
    ("masks without names", f"{MASKS} broken", 2, "photos: expected --classes, as in face=1"),
    ("polygons of a text", "data masks text.json --photos photos --output out", 2, "not JSON"),
    ("polygons of broken photos", f"{POLYGONS} broken.json", 2, "1 of 1 photos cannot be used"),
    ("a folder that is not CelebAMask-HQ", "data celebamask photos --output out", 2, "photos"),
    ("people in no folder", "data identities none --output out", 2, "none: no such folder"),
    ("a text for a list of people", f"{PEOPLE} --list notes.txt", 2, "notes.txt"),
    ("pairs that are none", f"{PEOPLE} --pairs notes.txt", 2, "notes.txt"),
    # Masks
    ("a photo to segment that is not there", "segment none.jpg", 2, "none.jpg: no such file"),
    ("a text to segment", "segment notes.txt", 2, "none of the 1 photos and videos"),
    ("only a broken photo to segment", "segment half.jpg", 2, "none of the 1 photos and videos"),
    ("masks among the photos", "segment photos --output photos/out", 2, "lies in photos"),
    ("masks into a file", "segment photos --output notes.txt", 2, "notes.txt: is a file"),
    ("an overlay onto its photo", f"{OVERLAY} --output . --force", 2, "is one of the photos"),
    ("cutouts of a video", "segment video.mp4 --as cutout", 2, "not for a video, as video.mp4"),
    ("a file for each overlay", f"{OVERLAY} --each", 2, "--each: only with --as mask"),
    ("JSON into a folder", "segment photo.jpg --as json --output out", 2, "is printed"),
    ("a detector for a segmenter", "segment photo.jpg --load-weights tiny.pth", 2, "tiny.pth: is"),
    ("a segmenter for a detector", f"{OVERLAY} --detector face-segmentation-n", 2, "a face det"),
    # People
    ("no verb", "recognize", 2, "the following arguments are required: ACTION"),
    ("a person without a photo", "recognize compare none.jpg photos", 2, "none.jpg: "),
    ("a person without a face", COMPARE, 2, "photo.jpg: no face in the photo to compare with"),
    ("a person's video", "recognize compare video.mp4 photos", 2, "video.mp4: is a video"),
    ("no photos to look in", "recognize compare photo.jpg empty", 2, "empty: no photo"),
    ("answers over the photo", f"{COMPARE} --csv photo.jpg --force", 2, "files to be read"),
    ("answers over notes", f"{COMPARE} --csv notes.txt", 2, "notes.txt: is there already"),
    ("a table for a spreadsheet", f"{COMPARE} --csv a.xlsx", 2, "a.xlsx: expected a name"),
    ("answers in two forms", f"{COMPARE} --csv - --json", 2, "both would be printed"),
    ("a rate above 1", f"{COMPARE} --max-fmr 2", 2, "--max-fmr 2: expected a share above 0"),
    ("a rate too small to know", f"{COMPARE} --max-fmr 1e-9", 2, "the smallest that was measured"),
    ("a face of no number", f"{COMPARE} --face 0", 2, "--face: expected a whole number, 1 or"),
    ("a classifier for people", f"{COMPARE} --load-weights glasses-n", 2, "a face recogniser"),
    ("a text for a calibration", f"{COMPARE} --calibration notes.txt", 2, "notes.txt: "),
    ("people of a list of faces", CALIBRATE.format("faces.json"), 2, "faces.json: "),
    ("people of no list", CALIBRATE.format("none.json"), 2, "none.json: no such file"),
    # Galleries
    ("a gallery that is not there", "recognize find none.gallery photos", 2, "no such gallery"),
    ("no gallery by its name", "recognize find faces.json photos", 2, "faces.json: expected a"),
    ("a text for a gallery", "recognize find text.gallery photos", 2, "or damaged"),
    ("a gallery of another name", "recognize enroll notes.txt photos --name A", 2, "in .gallery"),
    ("somebody without a name", "recognize enroll new.gallery photo.jpg", 2, "whom does it show"),
    ("an empty name", "recognize enroll new.gallery photo.jpg --name ''", 2, "name '': expected"),
    ("photos in no folder of a person", "recognize enroll new.gallery broken", 2, "no photo in a"),
    ("nobody to enroll", "recognize enroll new.gallery empty --name A", 2, "empty: no photo"),
    ("only a broken photo to enroll", f"{ENROLL} half.jpg", 2, "none of the 1 photos could be"),
    ("somebody to forget, nowhere", "recognize forget none.gallery --name A", 2, "no such gallery"),
    ("a photo to sort", "recognize cluster photo.jpg --output out", 2, "expected a folder of"),
    ("a sort into itself", "recognize cluster photos --output photos/out", 2, "lies in photos"),
    ("people to draw, without a gallery", f"{NAME_BY} none.gallery", 2, "no such gallery"),
    ("people to draw, of a text", f"{NAME_BY} text.gallery", 2, "or damaged"),
    # Benchmarks
    ("nothing to measure", "benchmark", 2, "expected model files or --peers, or --redraw"),
    ("two things at once", "benchmark tiny.pth --redraw a.json", 2, "one of them"),
    ("a file that is not there", "benchmark nothing.onnx", 2, "nothing.onnx: expected a model"),
    ("an empty folder to measure", "benchmark empty", 2, "empty: no model file in it"),
    ("labels without photos", "benchmark tiny.pth --data a.json", 2, "--root go together"),
    ("some of no peers", "benchmark tiny.pth --peers-only yunet-n", 2, "expected --peers with it"),
    ("no threads", "benchmark tiny.pth --threads 0", 2, "--threads: expected a whole number, 1 or"),
    ("an unknown runtime", "benchmark tiny.pth --runtimes tvm", 2, "--runtimes tvm: expected some"),
    (
        "a device of nobody",
        "benchmark tiny.pth --devices tpu",
        2,
        "--devices tpu: expected some",
    ),
    ("peers that are not there", "benchmark --peers empty", 2, "--peers empty: has none of scrfd"),
    ("a text for results", "benchmark --redraw text.json", 2, "text.json: no results of"),
    ("a choice without results", "select --task face-detection", 2, "results.json: no such file"),
    ("a budget in words", "select --task face-detection --max-ms fast", 2, "expected a number"),
    ("a task that there is not", "select --task blinking", 2, "invalid choice: 'blinking'"),
]


def add_labels(folder: Path) -> None:
    """Annotation files beside the material."""

    def write(name: str, photo: str, category: str = "face") -> None:
        image = {"id": 1, "file_name": photo, "width": 160, "height": 120}
        face = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [20, 20, 60, 60], "area": 3600}
        content = {"images": [image], "annotations": [face]}
        categories = [{"id": 1, "name": category}]
        (folder / name).write_text(json.dumps({**content, "categories": categories}))

    write("faces.json", "a.jpg")
    write("cars.json", "a.jpg", "car")
    write("lost.json", "lost.jpg")
    write("broken.json", "half.jpg")
    (folder / "text.gallery").write_text("just a text")


def _state(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [pytest.param(*case[1:], id=case[0].replace(" ", "-")) for case in BAD_INPUTS],
)
def test_bad_input(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch, command: str, code: int, says: str
) -> None:
    import re

    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    add_labels(place)
    before = _state(place)
    result = run(*shlex.split(command))
    assert result.code == code
    assert result.out == ""
    lines = [line for line in result.err.splitlines() if not line.startswith("hint: ")]
    errors = [line for line in lines if line.startswith("pocketface: error: ")]
    assert lines[-1:] == errors, f"one error, at the end: {result.err}"
    # A warning may go before it: which photo was left out, for example.
    assert all(line.startswith("pocketface: warning: ") for line in lines[:-1]), result.err
    assert re.search(says, errors[0]), errors[0]
    assert "Traceback" not in result.err
    assert "secret" not in result.err
    assert _state(place) == before, "something was written"


def test_all_are_written_down() -> None:
    text = (Path(__file__).parents[2] / "docs/reports/bad-inputs.md").read_text(encoding="utf-8")
    for title, command, code, _ in BAD_INPUTS:
        typed = f"$ pocketface {command}".rstrip()
        assert f"**{title}** (exit code {code})\n\n```\n{typed}\n" in text
