# Two commands do all the set-up: make demo, make test.
PYTHON ?= python3.11
# A machine with an NVIDIA driver gets the CUDA build of torch, every other one the CPU build.
LOCK ?= locks/$(if $(shell command -v nvidia-smi 2>/dev/null),gpu,cpu).txt
BIN := .venv/bin
SETUP := .venv/.installed

.PHONY: help setup cluster demo test test-daemon lint ui bench audit lock clean

help:
	@echo "make setup   install everything into .venv, from $(LOCK)"
	@echo "make cluster Ray beside it, for steps on several machines (docs/cluster.md)"
	@echo "make demo    a synthetic study, start to report (a quarter of an hour)"
	@echo "make ui      the Dagster UI and the MLflow UI on the demo"
	@echo "make test    lint, format, types, tests"
	@echo "make test-daemon  the real daemon and its sensors on a study (fifteen minutes)"
	@echo "make bench   timings and experiments against named peers"

setup: $(SETUP)

$(SETUP): pyproject.toml $(LOCK)
	$(PYTHON) -m venv .venv
	@echo "Installing the locked packages into .venv (some minutes the first time) …"
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $(LOCK)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

cluster: $(SETUP)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r locks/cluster.txt

demo: $(SETUP)
	$(BIN)/hnp phantom demo/phantom
	$(BIN)/hnp run --raw demo/phantom/raw --home demo/home --profile demo

ui: $(SETUP)
	$(BIN)/hnp ui --home $(or $(HNP_HOME),demo/home)

lint: $(SETUP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Files side by side, a process a core; the numeric libraries do not thread on top of that.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n logical --maxprocesses 4 --dist loadfile -m 'not daemon'

# The real daemon and its sensors, told a study's story: about fifteen minutes on two cores.
test-daemon: $(SETUP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -m daemon

bench: $(SETUP)
	$(BIN)/python -m benchmarks

audit: $(SETUP)
	$(PYTHON) -m venv .venv/audit && .venv/audit/bin/pip install --quiet pip-audit
	.venv/audit/bin/pip-audit --strict --no-deps --disable-pip -r $(LOCK)

# Needs uv. The CPU wheel of torch is taken from the folder named by TORCH_WHEELS.
lock:
	uv pip compile pyproject.toml --extra dev --generate-hashes --no-strip-extras --no-header --no-annotate \
		--no-emit-find-links --find-links $(TORCH_WHEELS) -p 3.11 -o locks/cpu.txt
	uv pip compile pyproject.toml --extra dev --generate-hashes --no-strip-extras --no-header --no-annotate \
		-p 3.11 --python-platform x86_64-manylinux_2_28 -o locks/gpu.txt
	# What Ray needs beyond that.
	uv pip compile pyproject.toml --extra cluster -c locks/cpu.txt --generate-hashes --no-strip-extras --no-header \
		--no-annotate --no-emit-find-links --find-links $(TORCH_WHEELS) -p 3.11 -o locks/cluster.txt \
		$$(sed -n 's/^\([A-Za-z0-9._-]*\)\(\[.*\]\)\{0,1\}==.*/--no-emit-package \1/p' locks/cpu.txt)

clean:
	rm -rf demo .venv
