#!/usr/bin/env bash
# The airport walk-through, from a template to a better detector. Prints docs/reports/walkthrough.md:
#     tools/walkthrough.sh ../shared/data/airport > docs/reports/walkthrough.md
set -euo pipefail
AIRPORT=$(realpath "$1")
. "$(dirname "$0")/environment.sh"
export COLUMNS=100
WORK_DIR=$(mktemp -d)
trap 'rm -rf "$WORK_DIR"' EXIT
ANN=$AIRPORT/annotation_faces_train.json

. "$(dirname "$0")/transcript.sh"
names() { sed -e "s|$WORK_DIR|\$WORK_DIR|g" -e "s|$AIRPORT|\$AIRPORT|g"; }

printf '# The airport walk-through\n\n'
printf 'Real output, written by `tools/walkthrough.sh`. `$AIRPORT` is a folder of ten photos of 41 faces\n'
printf 'with COCO annotations; they are the training and the validation photos here, so the figures show\n'
printf 'that fine-tuning works, not how good the detector is.\n'

say '## A work directory'
run pocketface init face-detection-n "$WORK_DIR"
cd "$WORK_DIR"

say '## Export'
run python export.py --load-weights "$WORK_DIR/snapshot.pth" --save-model-to "$WORK_DIR/export"

say '## Look at it'
say 'With a camera: `python visualize.py --load-weights $WORK_DIR/export/model.bin --video 0`. Here, on the photos:'
run python visualize.py --load-weights "$WORK_DIR/export/model.bin" --video "$AIRPORT/train" \
    --no-show --output "$WORK_DIR/seen"

say '## Measure the checkpoint, and the exported file'
run python eval.py --load-weights "$WORK_DIR/snapshot.pth" --test-ann-files "$ANN" \
    --test-data-roots "$AIRPORT" --save-metrics-to "$WORK_DIR/metrics.yaml"
run cat "$WORK_DIR/metrics.yaml"
run python eval.py --load-weights "$WORK_DIR/export/model.bin" --test-ann-files "$ANN" \
    --test-data-roots "$AIRPORT" --save-metrics-to "$WORK_DIR/metrics-openvino.yaml"

say '## Fine-tune: go on where the snapshot ended'
done_epochs=$(python -c "
from pathlib import Path
from pocketface.models.weights import read_weights
print(read_weights(Path('snapshot.pth')).epochs)")
train() {
    run python train.py "$@" --train-ann-files "$ANN" --train-data-roots "$AIRPORT" \
        --val-ann-files "$ANN" --val-data-roots "$AIRPORT" --batch-size 2
}
EXPECTED=2 train --resume-from "$WORK_DIR/snapshot.pth" --save-checkpoints-to "$WORK_DIR/resumed" \
    --epochs "$done_epochs"
say 'Such weights are fine-tuned: batch statistics stay, and the rate falls from 0.3 of the base rate or more.'
train --resume-from "$WORK_DIR/snapshot.pth" --save-checkpoints-to "$WORK_DIR/resumed" \
    --epochs $((done_epochs + 2)) --base-learning-rate 3e-3
run python eval.py --load-weights "$WORK_DIR/resumed/latest.pth" --test-ann-files "$ANN" \
    --test-data-roots "$AIRPORT" --save-metrics-to "$WORK_DIR/metrics-resumed.yaml"

say '## Fine-tune: start from its weights'
train --load-weights "$WORK_DIR/snapshot.pth" --save-checkpoints-to "$WORK_DIR/tuned" \
    --epochs 2 --base-learning-rate 3e-4
run python eval.py --load-weights "$WORK_DIR/tuned/latest.pth" --test-ann-files "$ANN" \
    --test-data-roots "$AIRPORT" --save-metrics-to "$WORK_DIR/metrics-tuned.yaml"
