# Every target sets itself up in .venv; a machine with Python 3.11 or newer is enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test test-fast parity lint bench bench-gpu docs clean

demo: $(INSTALLED)
	$(BIN)/propainter demo

# One thread each: two that share two cores wait for each other.
test: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

test-fast: $(INSTALLED)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

parity: $(INSTALLED)
	$(BIN)/python tests/golden/whole_runs.py

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# On a machine with a GPU: the engine's tests there, then seconds per frame and memory at three sizes and two precisions.
bench-gpu: $(INSTALLED)
	PROPAINTER_REQUIRE_GPU=1 $(BIN)/python -m pytest tests/golden/test_on_gpu.py
	$(BIN)/python -m benchmarks.bench_deform_conv --device cuda
	for size in "240 432" "480 856" "720 1280"; do for precision in fp32 fp16; do \
		set -- $$size; echo "$$2x$$1 $$precision"; \
		$(BIN)/python -m benchmarks.bench_engine --device cuda --height $$1 --width $$2 --precision $$precision || exit 1; \
	done; done

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.bench_classical
	$(BIN)/python -m benchmarks.bench_engine
	$(BIN)/python -m benchmarks.bench_precision
	$(BIN)/python -m benchmarks.bench_memory

docs: $(INSTALLED)
	$(BIN)/python -m pytest tests/unit/test_docs.py

clean:
	rm -rf $(VENV) demo

# torch first and pinned: asked for by a range, an index may answer with gigabytes of CUDA.
$(INSTALLED): pyproject.toml setup.py constraints.txt $(wildcard propainter/ops/*.[ch])
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@
