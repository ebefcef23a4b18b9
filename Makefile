# Each target sets up all that it needs in a virtual environment of its own.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready

# Spinning OpenMP threads make torch many times slower on a busy machine.
export OMP_WAIT_POLICY := PASSIVE
# mypy finds the package under its own name, whatever this folder is called.
export MYPYPATH := .venv/src

.PHONY: demo test lint format

demo: $(READY)
	$(BIN)/pocketface export --template face-detection-n --save-model-to demo
	set -e; \
	astronaut=$$($(BIN)/python -c "import skimage; print(skimage.__path__[0])")/data/astronaut.png; \
	hopper=$$($(BIN)/python -c "import matplotlib as m; print(m.get_data_path())")/sample_data/grace_hopper.jpg; \
	for model in xml onnx; do for photo in $$astronaut $$hopper; do \
		name=$$(basename $${photo%.*}); \
		$(BIN)/pocketface visualize --load-weights demo/model.$$model --no-show \
			--video $$photo --output demo/$$name.$$model.png; \
	done; done

test: lint
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p pocketface

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(READY): setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -e '.[dev]'
	mkdir -p .venv/src
	ln -sfn ../.. .venv/src/pocketface
	touch $@
