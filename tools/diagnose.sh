#!/usr/bin/env bash
# What `pocketface diagnose` says of right and of wrong files. Prints docs/reports/diagnose.md:
#     tools/diagnose.sh ../shared/data > docs/reports/diagnose.md
set -euo pipefail
DATA=$(realpath "$1")
. "$(dirname "$0")/environment.sh"
export COLUMNS=100
. "$(dirname "$0")/transcript.sh"
WORK_DIR=$(mktemp -d)
trap 'rm -rf "$WORK_DIR"' EXIT
MASKS=(--test-ann-files "$WORK_DIR/lists/test.masks.json" --test-data-roots "$DATA/celebamask")
PHOTOS=(--test-ann-files "$WORK_DIR/wider_val.json" --test-data-roots "$DATA/wider_face/WIDER_val/images")

names() { sed -e "s|$WORK_DIR|\$WORK_DIR|g" -e "s|$DATA|\$DATA|g"; }

pocketface data wider "$DATA/wider_face" --output "$WORK_DIR" >/dev/null 2>&1
pocketface export --template face-detection-n --formats onnx --no-verify --save-model-to "$WORK_DIR" >/dev/null

pocketface data masks "$DATA/celebamask/images" "$DATA/celebamask/masks" --in-place --output "$WORK_DIR/lists" \
    --classes face=1 glasses=2 hair=3 hat=4 ear=5 neck=6 --list "$DATA/celebamask/labels.csv" >/dev/null
pocketface export --template face-segmentation-n --formats onnx --no-verify --save-model-to "$WORK_DIR/masks" >/dev/null

printf '# Is a file shown its photos as it should be?\n\n'
printf 'Real output, written by `tools/diagnose.sh`, on 50 of the 500 held-out WIDER photos;\n'
printf 'of the segmenter on 50 of the 499 held-out heads of CelebAMask-HQ.\n'

say '## A right file'
run pocketface diagnose "$WORK_DIR/model.onnx" "${PHOTOS[@]}"

say '## A deliberately wrong one'
say 'The same weights, exported from a template that says `colour: RGB` where the training said BGR. Its own parity
certificate is faultless: file and network agree, both are wrong.'
python - "$WORK_DIR" <<'PYTHON'
import re
import sys
from pathlib import Path

from pocketface.exporting import ExportRequest, export_model
from pocketface.model_templates import template_path
from pocketface.models.weights import build_network, read_weights, write_weights
from pocketface.tasks.weights import open_weights

folder = Path(sys.argv[1])
path = template_path("face-detection-n")
text = re.sub(r"initial_weights:\n(  .*\n)+", "initial_weights: null\n", path.read_text())
state = build_network(open_weights("face-detection-n", None)).state_dict()
weights = folder / "wrong.safetensors"
write_weights(
    weights,
    template_text=text.replace("colour: BGR", "colour: RGB"),
    state_dict=state,
    epochs=0,
    seed=0,
)
report = export_model(
    ExportRequest(
        weights=read_weights(weights), folder=folder / "wrong", formats=["onnx", "litert"]
    )
)
assert not report.failed
PYTHON
EXPECTED=1 run pocketface diagnose "$WORK_DIR/wrong/model.onnx" "${PHOTOS[@]}"
EXPECTED=1 run pocketface diagnose "$WORK_DIR/wrong/model.tflite" "${PHOTOS[@]}" --limit 20

say '## Other people'"'"'s files'
say 'YuNet takes BGR, 0-255. Nobody tells `diagnose` so; then somebody tells it wrong.'
run pocketface diagnose "$DATA/peers/yunet/yunet_n_640_640.onnx" "${PHOTOS[@]}"
EXPECTED=1 run pocketface diagnose "$DATA/peers/yunet/yunet_n_640_640.onnx" "${PHOTOS[@]}" --declared rgb,0-255,letterbox
say 'SCRFD takes RGB, -1 to 1; Ultra-Light RFB the same, stretched.'
run pocketface diagnose "$DATA/peers/scrfd/scrfd_500m.onnx" "${PHOTOS[@]}"
run pocketface diagnose "$DATA/peers/ultralight/version-RFB-640.onnx" "${PHOTOS[@]}"

say '## A segmenter'
run pocketface diagnose "$WORK_DIR/masks/model.onnx" "${MASKS[@]}"
say 'The same file twice more, its masks mirrored, and moved by 2 pixels to the right. The latter costs few points of
IoU; it is noticed all the same.'
python - "$WORK_DIR/masks" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from pocketface.runtimes.seal import seal

folder = Path(sys.argv[1])
columns = np.arange(256)
for name, taken in {"mirrored": columns[::-1], "moved": (columns - 2).clip(0)}.items():
    model = onnx.load(folder / "model.onnx")
    (last,) = [node for node in model.graph.node if "mask" in node.output]
    last.output[0] = "right"
    model.graph.initializer.append(numpy_helper.from_array(taken.copy(), "columns"))
    model.graph.node.append(helper.make_node("Gather", ["right", "columns"], ["mask"], axis=3))
    onnx.save(model, folder / f"{name}.onnx")
    seal(folder / f"{name}.onnx")
PYTHON
EXPECTED=1 run pocketface diagnose "$WORK_DIR/masks/mirrored.onnx" "${MASKS[@]}"
EXPECTED=1 run pocketface diagnose "$WORK_DIR/masks/moved.onnx" "${MASKS[@]}"
