#!/usr/bin/env bash
# examples/pipeline on AT&T's faces, with experiments. Prints docs/reports/pipeline.md:
#     tools/pipeline.sh ../shared/data/att_faces > docs/reports/pipeline.md
set -euo pipefail
FACES=$(realpath "$1")
# DVC may be in another environment, behind ours.
. "$(dirname "$0")/environment.sh"
export COLUMNS=100 DVC_NO_ANALYTICS=1
WORK_DIR=$(mktemp -d)
trap 'rm -rf "$WORK_DIR"' EXIT

. "$(dirname "$0")/transcript.sh"
# Of the epochs every tenth, and no hints what to type into git.
names() {
    sed -e "s|$WORK_DIR|\$WORK_DIR|g" -e "s|$FACES|\$FACES|g" -e '/^epoch [0-9]*[1-9] of/d' \
        -e '/^To track the changes/,/^Use `dvc push`/d'
}
commit() { git add . && git -c user.name=pipeline -c user.email=pipeline@localhost commit -qm "$1"; }

cp -r examples/pipeline/. "$WORK_DIR"
cd "$WORK_DIR"
sed -i "s|: .*/att_faces$|: $FACES|" params.yaml
git init -q
dvc init -q

printf '# A training as a pipeline: a run\n\n'
printf 'Real output, written by `tools/pipeline.sh`, in a copy of [examples/pipeline](../../examples/pipeline); of the\n'
printf 'epochs every tenth. `$FACES` is AT&T, ten photos of each of 30 people. The network learns those of 16, from\n'
printf 'random weights; five choose the epoch, and nine are measured on.\n'

say '## All stages'
run dvc repro
commit 'First run'

say '## What has not changed does not run'
run dvc repro

say '## Without dropout and weight decay'
run dvc exp run --name unrestrained -S template.yaml:architecture.head.dropout=0.0 \
    -S template.yaml:hyper_parameters.optimizer.weight_decay=0.0
run dvc metrics diff
run dvc params diff
run dvc plots diff HEAD --out plots

say '## Another seed'
say 'What nine people say of two settings is to be seen beside what they say of one setting and two seeds.'
git checkout -q .
run dvc exp run --quiet --name seed-1 -S train.seed=1
run dvc metrics diff
run dvc exp show --only-changed --hide-workspace --md \
    --drop '^Created$|.*\.py$|.*/.*|^(data|train|export|compress|evaluate)$'

say '## One photo and fifteen others'
git checkout -q .
dvc checkout -q
for seed in 0 1 2 3 4; do
    run python demo.py --seed "$seed"
done

say '## What is there'
run ls -R data train/best.pth evaluate export compress report
run cat report/predictions.csv
