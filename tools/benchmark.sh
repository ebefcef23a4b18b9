#!/usr/bin/env bash
# Files of our templates in every format and precision, and what pocketface benchmark says of them.
#     tools/benchmark.sh ../shared/data LISTS FOLDER docs/reports/benchmarks [flags of pocketface benchmark]
# LISTS holds wider_val.json (`pocketface data wider`), mtfl/train.csv and mtfl/test.csv
# (`pocketface data glasses`); files that are in FOLDER already are not made again.
set -euo pipefail
DATA=$1 LISTS=$2 FOLDER=$3 OUTPUT=$4
shift 4
. "$(dirname "$0")/environment.sh"
FACES=(--train-ann-files "$DATA/wider_face/train.json" --train-data-roots "$DATA/wider_face/train"
    --val-ann-files "$LISTS/wider_val.json" --val-data-roots "$DATA/wider_face/WIDER_val/images")
GLASSES=(--train-ann-files "$LISTS/mtfl/train.csv" --train-data-roots "$DATA/mtfl/images"
    --val-ann-files "$LISTS/mtfl/test.csv" --val-data-roots "$DATA/mtfl/images")

artefacts=()
for template in face-detection-n face-detection-s face-detection-m face-detection-n-int8 glasses-n; do
    place=$FOLDER/$template
    labels=("${FACES[@]}") formats=onnx,openvino,coreml,litert,tensorflow precisions=fp32,fp16
    case $template in
    glasses*) labels=("${GLASSES[@]}") ;;
    *-int8) formats=openvino precisions=fp32 ;;
    esac
    if [ ! -e "$place" ]; then
        pocketface export --template "$template" --save-model-to "$place.new" \
            --formats "$formats" --precision "$precisions" --no-verify
        mv "$place.new" "$place"
    fi
    artefacts+=("$template" "$place")
    if [ "$formats" != openvino ]; then
        if [ ! -e "$place-ptq" ]; then
            python tools/compressed.py "$place-ptq.new" --template "$template" --post-training \
                --formats openvino,onnx,litert "${labels[@]}"
            mv "$place-ptq.new" "$place-ptq"
        fi
        artefacts+=("$place-ptq")
    fi
done
pocketface benchmark "${artefacts[@]}" --peers "$DATA/peers" --output "$OUTPUT" --force \
    --data "$LISTS/wider_val.json" "$LISTS/mtfl/test.csv" \
    --root "$DATA/wider_face/WIDER_val/images" "$DATA/mtfl/images" \
    --wider-dir "$DATA/wider_face" "$@"
