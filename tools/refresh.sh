#!/usr/bin/env bash
# All documents that tell what the shipped detectors and classifiers do, written again after new weights of theirs:
#     tools/refresh.sh ../shared/data FOLDER
# After new weights of a segmenter or recogniser: tools/formats.py, tools/diagnose.sh and tools/benchmark_heads.sh.
# Once any are committed: tools/first_hour.sh, which installs from a clone.
# Tables that stand in README.md and docs/guide come to FOLDER, to be put there. What was written for these
# weights already is not written again: an interrupted run goes on. Hours on two cores, which
# nothing else should use: there are times in most of it.
set -euo pipefail
DATA=$1 FOLDER=$2
. "$(dirname "$0")/environment.sh"
WEIGHTS=$(cat model_templates/face-{detection,classification}/*/weights.safetensors | sha256sum)
WORK=$FOLDER/${WEIGHTS:0:8}
WIDER=$DATA/wider_face LISTS=$WORK/lists
mkdir -p "$WORK"

# Where a step ends, a file of its name stands.
todo() { [ ! -e "$WORK/$1.done" ]; }
page() { # FILE COMMAND…: what it prints, whole or not at all, its own folder as FOLDER
    local name
    name=$(basename "$1")
    todo "$name" || return 0
    "${@:2}" | sed "s|$WORK|FOLDER|g" >"$WORK/$name.part"
    mv "$WORK/$name.part" "$1"
    touch "$WORK/$name.done"
}

if todo lists; then
    rm -rf "$LISTS"
    pocketface data wider "$WIDER" --output "$LISTS"
    pocketface data split "$WIDER/train.json" --output "$LISTS" --train-fraction 0.87
    pocketface data glasses "$DATA/mtfl/labels.csv" --output "$LISTS/mtfl"
    touch "$WORK/lists.done"
fi
FACES=(--train-ann-files "$WIDER/train.json" --train-data-roots "$WIDER/train"
    --val-ann-files "$LISTS/wider_val.json" --val-data-roots "$WIDER/WIDER_val/images")
GLASSES=(--train-ann-files "$LISTS/mtfl/train.csv" --train-data-roots "$DATA/mtfl/images"
    --val-ann-files "$LISTS/mtfl/test.csv" --val-data-roots "$DATA/mtfl/images")

page docs/reports/walkthrough.md tools/walkthrough.sh "$DATA/airport"
page docs/reports/diagnose.md tools/diagnose.sh "$DATA"
page docs/reports/formats.md python tools/formats.py
page docs/reports/sent-photos.md python tools/sent_photos.py
page "$WORK/glasses.md" python tools/glasses.py glasses-n "$LISTS/mtfl/test.csv" "$DATA/mtfl/images"
page "$WORK/few-photos.md" python tools/few_photos.py "$DATA"
page "$WORK/figures.md" python tools/figures.py
page "$WORK/serve.md" python tools/serve.py

SEEN=(--labels "$LISTS/wider_val.json" --root "$WIDER/WIDER_val/images" --portraits "$DATA/mtfl/labels.csv")
for template in face-detection-n face-detection-n-int8 face-detection-s face-detection-m face-detection-0200; do
    place=$WORK/strength/$template
    if todo "$template"; then
        rm -rf "$place"
        pocketface export --template "$template" --formats openvino --save-model-to "$place"
        touch "$WORK/$template.done"
    fi
    threshold=$(awk '/score_threshold:/ { print $2 }' "model_templates/face-detection/$template/template.yaml")
    page "$WORK/strength-$template.md" python tools/strength.py "$place"/*.xml --thresholds "$threshold" "${SEEN[@]}"
done
page "$WORK/strength-peers.md" python tools/strength.py --peers "$DATA/peers" "${SEEN[@]}" \
    --threshold-labels "$LISTS/train.val.json" --threshold-root "$WIDER/train"
page "$WORK/landmarks.md" python tools/landmarks.py "$WORK"/strength/*/*.xml --peers "$DATA/peers" \
    --portraits "$DATA/mtfl/labels.csv"
# In docs/reports/robustness.md false faces are counted without the photos that -s and -m learnt from.
page "$WORK/robustness.md" python tools/robustness.py "$WORK"/strength/face-detection-[nsm]/*.xml \
    --faces "$DATA/face_unlabelled/labels.csv" --without-faces "$DATA/no_faces/labels.csv" \
    --peers "$DATA/peers" --peer-thresholds yunet-n=0.66 scrfd-500m=0.40 scrfd-2.5g=0.39

if todo benchmarks; then
    tools/benchmark.sh "$DATA" "$LISTS" "$WORK/benchmarks" docs/reports/benchmarks
    touch "$WORK/benchmarks.done"
fi
# All ways of the two smallest; of the larger ones what needs no training.
for template in face-detection-n glasses-n face-detection-s face-detection-m; do
    labels=("${FACES[@]}") ways=() formats=openvino,onnx,litert
    case $template in
    glasses*) labels=("${GLASSES[@]}") formats+=,coreml ;;
    *-s | *-m) ways=(--ways "after training") ;;
    esac
    page "docs/reports/compression-$template.md" python tools/compression.py "${ways[@]}" --template "$template" \
        --formats "$formats" --save-checkpoints-to "$WORK/compression/$template" "${labels[@]}"
done
