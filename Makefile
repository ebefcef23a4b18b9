# Each target sets up all that it needs in a virtual environment of its own.
PYTHON ?= python3.11
BIN := .venv/bin

# Spinning OpenMP threads make torch many times slower on a busy machine.
export OMP_WAIT_POLICY := PASSIVE
# Where this is set, no process finds bytecode, and each compiles again what it imports.
unexport PYTHONDONTWRITEBYTECODE
# mypy finds the package under its own name, whatever this folder is called.
export MYPYPATH := .venv/src

LOOK := $(BIN)/pocketface visualize --no-show --force --load-weights
# In the public domain, and in packages that are here anyway.
PHOTOS = $(shell $(BIN)/python -c "import matplotlib, skimage; \
	print(skimage.__path__[0] + '/data/astronaut.png'); \
	print(matplotlib.get_data_path() + '/sample_data/grace_hopper.jpg')")

.PHONY: demo web test test-fast test-all lint format release
.PHONY: data train evaluate report demo-recognition

demo: .venv/.ready-demo
	$(BIN)/pocketface export --template face-detection-n --save-model-to demo
	cp $(PHOTOS) demo/
	$(LOOK) demo/model.xml --video demo/astronaut.png --output demo/astronaut-openvino.png
	$(LOOK) demo/model.onnx --video demo/astronaut.png --output demo/astronaut-onnx.png
	$(LOOK) demo/model.xml --video demo/grace_hopper.jpg --output demo/grace_hopper-openvino.png
	$(LOOK) demo/model.onnx --video demo/grace_hopper.jpg --output demo/grace_hopper-onnx.png
	$(BIN)/python tools/demo_video.py demo/astronaut.png demo/astronaut.mp4
	$(BIN)/pocketface blur demo/grace_hopper.jpg demo/astronaut.mp4 --output demo/blurred --force

# A page that finds faces and their masks in the browser; needs Node. Then open http://127.0.0.1:8000
# Its models are those of models.json, whose folders have the names of templates.
WEB_MODELS = $(shell sed -n 's|.*"\(.*\)/model.onnx".*|\1|p' examples/web/models.json)
web: .venv/.ready-demo
	cd examples/web && npm ci
	for name in $(WEB_MODELS); do \
		$(BIN)/pocketface export --formats onnx --template $$name --save-model-to examples/web/$$name \
		|| exit; done
	$(BIN)/python -m http.server --bind 127.0.0.1 --directory examples/web

# Single stages of examples/pipeline, in a copy in PIPELINE, with what has to be done before them. The
# settings are in its params.yaml.
PIPELINE ?= runs/pipeline
STAGE := cd $(PIPELINE) && PATH="$(CURDIR)/$(BIN):$$PATH"
data: $(PIPELINE)/.dvc/config
	$(STAGE) dvc repro prepare
train evaluate report: $(PIPELINE)/.dvc/config
	$(STAGE) dvc repro $@

# One photo of a person and 15 others, whom the network has not seen; as `make demo-recognition SEED=3`
demo-recognition: $(PIPELINE)/.dvc/config
	$(STAGE) dvc repro export
	$(STAGE) python demo.py --seed $(or $(SEED),0)

$(PIPELINE)/.dvc/config: | .venv/.ready-pipeline
	mkdir -p $(PIPELINE)
	test -e $(PIPELINE)/dvc.yaml || cp -r examples/pipeline/. $(PIPELINE)
	cd $(PIPELINE) && git init --quiet
	$(STAGE) dvc init --quiet

# One thread: with more, several busy processes slow each other far more than they gain. The tests of
# a file go to one process, which makes their fixtures once (loadgroup of xdist 3.8.0 has no effect
# under pytest 9.2). The order is that of tests/conftest.py: what takes longest comes first.
test test-fast test-all: export OMP_NUM_THREADS := 1
TEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --max-worker-restart 0

test: lint
	$(TEST)

# The rooms from tasks/ down, without what takes long; for work in between.
FAST := data evaluation model_templates models tasks tools test_files.py test_places.py test_imports.py
test-fast: .venv/.ready-dev
	$(TEST) -m "not slow" $(addprefix tests/,$(FAST))

# Also the many tests of a kind of which `make test` runs one.
test-all: lint
	POCKETFACE_TEST_ALL=1 $(TEST)

lint: .venv/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p pocketface
	$(BIN)/mypy tools

format: .venv/.ready-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What is attached to a version's tag; it says how. As `make release DIR=dist/0.2.0`
release: .venv/.ready-dev
	$(BIN)/python tools/release.py $(or $(DIR),$(error expected DIR=FOLDER, new or empty))

# One environment, with the extra of that name: `dev` has all of `demo`.
# The pip that Python 3.11 brings takes far longer; bytecode is made of what is imported alone.
.venv/.ready-%: setup.cfg pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	-$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --no-compile --constraint constraints.txt -e '.[$*]'
	mkdir -p .venv/src
	ln -sfn ../.. .venv/src/pocketface
	touch $@
