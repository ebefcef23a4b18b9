#!/usr/bin/env bash
# Face masks, from CelebAMask-HQ to a file for an app. Prints docs/reports/segmentation-walkthrough.md:
#     tools/segmentation_walkthrough.sh ../shared/data/celebamask/official_sample > docs/reports/segmentation-walkthrough.md
set -euo pipefail
OFFICIAL=$(realpath "$1")
. "$(dirname "$0")/environment.sh"
export COLUMNS=100
. "$(dirname "$0")/transcript.sh"
WORK_DIR=$(mktemp -d)
trap 'rm -rf "$WORK_DIR"' EXIT
names() { sed -e "s|$WORK_DIR|\$WORK_DIR|g" -e "s|$OFFICIAL|\$OFFICIAL|g"; }

printf '# Face masks: from CelebAMask-HQ to a file for an app\n\n'
printf 'Real output, written by `tools/segmentation_walkthrough.sh`. `$OFFICIAL` holds twelve photos in the layout\n'
printf 'of the download (`CelebA-HQ-img`, `CelebAMask-HQ-mask-anno`); they are the training and the test photos\n'
printf 'here, so the figures show that it runs, not how good the model is.\n'

say '## From the official layout to photos with masks'
run pocketface data celebamask "$OFFICIAL" --output "$WORK_DIR/pairs"
run ls "$WORK_DIR/pairs"

say '## A work directory, and fine-tuning'
run pocketface init face-segmentation-n "$WORK_DIR/n"
cd "$WORK_DIR/n"
LIST=$WORK_DIR/pairs/all.masks.json
run python train.py --load-weights snapshot.pth --train-ann-files "$LIST" --train-data-roots "$WORK_DIR/pairs" \
    --val-ann-files "$LIST" --val-data-roots "$WORK_DIR/pairs" --save-checkpoints-to checkpoints \
    --batch-size 4 --epochs 2 --base-learning-rate 1e-4
run python eval.py --load-weights checkpoints/latest.pth --test-ann-files "$LIST" \
    --test-data-roots "$WORK_DIR/pairs" --save-metrics-to metrics.yaml

say '## A file for an app'
run python export.py --load-weights checkpoints/latest.pth --save-model-to export --formats coreml,onnx
run pocketface verify export

say '## Masks of a folder of photos'
cp -r "$OFFICIAL/CelebA-HQ-img" test
run python segment.py test --load-weights export/model.onnx
run ls masks
