#!/usr/bin/env bash
# The first hour with pocketface, in new environments. Prints docs/reports/first-hour.md:
#     tools/first_hour.sh ../shared/data > docs/reports/first-hour.md
# Beside it $CLONE/.venv has the extra `dev`, for what needs PyTorch.
set -euo pipefail
DATA=$(realpath "$1")
ROOT=$PWD
# Its own environments come first on PATH, so this one is named in full.
[ -x "$ROOT/.venv/bin/python" ] || { echo "$0: no $ROOT/.venv: start it in the repository, after \`make demo\`" >&2; exit 2; }
PYTHON=${PYTHON:-python3.11}
HOUR=$(mktemp -d)
SERVED=
trap '[ -z "$SERVED" ] || kill "$SERVED"; rm -rf "$HOUR"' EXIT
export COLUMNS=100 OMP_WAIT_POLICY=PASSIVE

say() { printf '\n%s\n' "$*"; }
names() { sed -e "s|$HOUR|\$HOUR|g" -e "s|$DATA|\$DATA|g" -e "s|$ROOT|\$CLONE|g"; }
# A command and what it prints, its exit code where it is not 0, and its seconds. Ends the script where
# the code is none of those of `EXPECTED="0 1" run …`, 0 unless it says so.
run() {
    local started=$EPOCHREALTIME code=0
    printf '\n```console\n$ %s\n' "$*" | names
    eval "$*" > "$HOUR/printed" 2>&1 || code=$?
    # pip warns of folders of packages that this machine lacks.
    sed "/^WARNING: Location 'file:/d" "$HOUR/printed" | names | sed 's/[[:space:]]*$//; $a\' | cat -s
    [ "$code" = 0 ] || printf '(exit code %s)\n' "$code"
    printf '```\n\n%s\n' "$(awk "BEGIN { printf \"%.1f seconds\", $EPOCHREALTIME - $started }")"
    if [[ " ${EXPECTED:-0} " != *" $code "* ]]; then
        printf '%s: exit code %s, expected %s\n' "$*" "$code" "${EXPECTED:-0}" >&2
        exit 1
    fi
}

cat << 'END'
# The first hour

Real output, written by `tools/first_hour.sh` in new environments, on two shared cores beside a training. `$CLONE` is a
clone of this repository, `$DATA` the folder of photos that its tests use, `$HOUR` an empty folder. The time of each
command stands below it; installing is from packages that lie on the machine.
END

say '## A light install'
git clone --quiet "$ROOT" "$HOUR/clone"
cd "$HOUR"
mkdir photos
"$ROOT/.venv/bin/python" -c "import shutil, matplotlib, skimage
for photo in skimage.__path__[0] + '/data/astronaut.png', matplotlib.get_data_path() + '/sample_data/grace_hopper.jpg':
    shutil.copy(photo, 'photos')"
run "$PYTHON -m venv light"
run "du -sm light | cut -f1"
run "light/bin/pip install --quiet './clone[onnx]'"
export PATH="$HOUR/light/bin:$PATH"
run "du -sm light | cut -f1   # MB"
run 'pip list 2>/dev/null | tail -n +3 | wc -l'
EXPECTED=1 run 'python -c "import torch"'
run "pocketface templates"

say '## Faces in a photo'
run "pocketface visualize --video photos/astronaut.png --no-show --output seen.png"
run "pocketface visualize --video photos --no-show --json"

say '## From Python'
cat > faces.py << 'END'
import pocketface

model = pocketface.load("face-detection-n")
faces = model.predict("photos/grace_hopper.jpg")
print(model, faces)
for face in faces:
    print(face.score, face.box)
print(faces.to_json())
END
run "cat faces.py"
run "python faces.py"

say '## A video with its sound'
run "pip install --quiet './clone[onnx,video,serve]'"
VIDEO=$(ls "$DATA"/videos/*.mp4 | head -n 1)
run "pocketface visualize --video $VIDEO --no-show --output seen.mp4"
cat > tracks.py << 'END'
import sys

import av

for path in sys.argv[1:]:
    with av.open(path) as video:
        print([(one.type, one.codec_context.name, round(float(one.duration * one.time_base), 2)) for one in video.streams])
END
run "python tracks.py $VIDEO seen.mp4"

say '## Glasses in a folder'
run "pocketface classify photos --csv glasses.csv"
run "cat glasses.csv"

say '## The same over HTTP'
pocketface serve --port 8899 > served.txt 2>&1 &
SERVED=$!
for _ in $(seq 100); do curl --silent --output /dev/null http://127.0.0.1:8899/ping/ && break; sleep 0.2; done
run "curl --silent -F image=@photos/grace_hopper.jpg http://127.0.0.1:8899/glass_no_glass/"
kill "$SERVED"
wait "$SERVED" || true
SERVED=

say '## A file exported, and run in another process'
say 'This needs PyTorch: `make demo` or `make test` made this environment, `$CLONE/.venv`.'
export PATH="$ROOT/.venv/bin:$PATH"
run "pocketface export --template face-detection-n --save-model-to files"
run "light/bin/pocketface visualize --load-weights files/model.onnx --video photos/astronaut.png --no-show"
run "pocketface verify files"

for TEMPLATE in face-detection-0200 face-detection-n; do
    say "## The classic face-detection document on $TEMPLATE"
    say 'Its commands as they stand there, after `init` in the place of `instantiate_template.py`; the camera is a folder of photos here.'
    MODEL_TEMPLATE=$ROOT/model_templates/face-detection/$TEMPLATE/template.yaml
    WORK_DIR=$HOUR/$TEMPLATE
    SNAPSHOT=$WORK_DIR/snapshot.pth
    ADD_EPOCHS=1
    EPOCHS_NUM=$(($(grep epochs "$MODEL_TEMPLATE" | tr -dc '0-9') + ADD_EPOCHS))
    TRAIN_ANN_FILE=$DATA/airport/annotation_faces_train.json
    TRAIN_IMG_ROOT=$DATA/airport
    run "pocketface init $MODEL_TEMPLATE $WORK_DIR"
    say "\`EPOCHS_NUM\`, by the document's own line: $EPOCHS_NUM."
    cd "$WORK_DIR"
    run "python export.py --load-weights $SNAPSHOT --save-model-to $WORK_DIR/export"
    run "ls export"
    run "python visualize.py --load-weights $WORK_DIR/export/model.bin --video $TRAIN_IMG_ROOT --no-show"
    run "python eval.py --load-weights $WORK_DIR/export/model.bin --test-ann-files $TRAIN_ANN_FILE --test-data-roots $TRAIN_IMG_ROOT --save-metrics-to $WORK_DIR/metrics.yaml"
    run "python train.py --resume-from $SNAPSHOT --train-ann-files $TRAIN_ANN_FILE --train-data-roots $TRAIN_IMG_ROOT --val-ann-files $TRAIN_ANN_FILE --val-data-roots $TRAIN_IMG_ROOT --save-checkpoints-to $WORK_DIR/outputs --epochs $EPOCHS_NUM"
    run "python eval.py --load-weights $WORK_DIR/outputs/latest.pth --test-ann-files $TRAIN_ANN_FILE --test-data-roots $TRAIN_IMG_ROOT"
    # 1: of ten photos no file is compressed, or it is no faster.
    EXPECTED="0 1" run "python compress.py --load-weights $WORK_DIR/outputs/latest.pth --train-ann-files $TRAIN_ANN_FILE --train-data-roots $TRAIN_IMG_ROOT --val-ann-files $TRAIN_ANN_FILE --val-data-roots $TRAIN_IMG_ROOT --save-checkpoints-to $WORK_DIR/compressed --nncf-quantization"
    cd "$HOUR"
done
