#!/usr/bin/env bash
# What tools/benchmark.sh is for detectors and classifiers, for models that take one aligned head.
#     tools/benchmark_heads.sh ../shared/data FOLDER docs/reports/benchmarks/heads [flags of pocketface benchmark]
# Lists and files that are in FOLDER already are not made again. Masks are measured on the 499 test photos of
# CelebAMask-HQ, recognisers on AT&T; int8 files are made with training photos alone.
set -euo pipefail
DATA=$1 FOLDER=$2 OUTPUT=$3
shift 3
. "$(dirname "$0")/environment.sh"
mkdir -p "$FOLDER"
if [ ! -e "$FOLDER/masks" ]; then
    pocketface data masks "$DATA/celebamask/images" "$DATA/celebamask/masks" --in-place --output "$FOLDER/masks.new" \
        --classes face=1 glasses=2 hair=3 hat=4 ear=5 neck=6 --list "$DATA/celebamask/labels.csv"
    mv "$FOLDER/masks.new" "$FOLDER/masks"
fi
if [ ! -e "$FOLDER/people" ]; then
    pocketface data identities "$DATA/face_identities" --list "$DATA/face_identities/labels.csv" --aligned \
        --output "$FOLDER/people.new"
    mv "$FOLDER/people.new" "$FOLDER/people"
fi
if [ ! -e "$FOLDER/att" ]; then
    pocketface data identities "$DATA/att_faces" --output "$FOLDER/att.new"
    mv "$FOLDER/att.new" "$FOLDER/att"
fi
# The first of a list, or the last, as photos to find ranges with and to keep the promise on.
part() {
    python -c '
import json, sys
source, key, begin, end, target = sys.argv[1:]
content = json.load(open(source))
content[key] = content[key][slice(*(int(one) if one else None for one in (begin, end)))]
json.dump(content, open(target, "w"))' "$@"
}
part "$FOLDER/masks/train.masks.json" pairs "" -200 "$FOLDER/fit.masks.json"
part "$FOLDER/masks/train.masks.json" pairs -200 "" "$FOLDER/val.masks.json"
part "$FOLDER/people/train.identities.json" photos "" 400 "$FOLDER/fit.identities.json"

artefacts=()
for template in face-segmentation-n face-recognition-n face-recognition-s; do
    place=$FOLDER/$template
    case $template in
    face-segmentation*)
        labels=(--train-ann-files "$FOLDER/fit.masks.json" --train-data-roots "$DATA/celebamask"
            --val-ann-files "$FOLDER/val.masks.json" --val-data-roots "$DATA/celebamask") ;;
    *)
        labels=(--train-ann-files "$FOLDER/fit.identities.json" --train-data-roots "$DATA/face_identities"
            --val-ann-files "$FOLDER/people/val.identities.json" --val-data-roots "$DATA/face_identities") ;;
    esac
    if [ ! -e "$place" ]; then
        pocketface export --template "$template" --save-model-to "$place.new" \
            --formats onnx,openvino,litert --precision fp32,fp16 --no-verify
        mv "$place.new" "$place"
    fi
    if [ ! -e "$place-ptq" ]; then
        python tools/compressed.py "$place-ptq.new" --template "$template" --post-training \
            --formats openvino,onnx,litert "${labels[@]}"
        mv "$place-ptq.new" "$place-ptq"
    fi
    artefacts+=("$template" "$place" "$place-ptq")
done
pocketface benchmark "${artefacts[@]}" --output "$OUTPUT" --force \
    --data "$FOLDER/masks/test.masks.json" "$FOLDER/att/all.identities.json" \
    --root "$DATA/celebamask" "$DATA/att_faces" "$@"
