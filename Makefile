# The commands; see README.md. Every target sets up .venv from the lock file if it is missing or older than the lock.
PYTHON ?= python3
SCALE ?= laptop
# Another study of config.yaml, settings of your own: `make STUDY=modern`, `make CONFIGFILE=mine.yaml`; SCALE counts over the file's
STUDY ?=
CONFIGFILE ?=
SETTINGS := $(if $(CONFIGFILE),--configfile $(CONFIGFILE)) --config scale=$(SCALE) $(if $(STUDY),study=$(STUDY))
CORES ?= $(shell nproc)
VENV := .venv
BIN := $(VENV)/bin
# `make env TORCH=cpu` takes PyTorch's own CPU build, for machines without a GPU (a few GB less to download).
TORCH ?=
TORCH_INDEX := $(if $(filter cpu,$(TORCH)),--extra-index-url https://download.pytorch.org/whl/cpu)
REPORT := results/$(SCALE)/report$(if $(STUDY),-$(STUDY))
TERMINAL := PYTHONPATH=workflow_scripts $(BIN)/python -m warmup.terminal

COMPARE = PYTHONPATH=workflow_scripts $(BIN)/python -m warmup.provenance.compare

.PHONY: all so-far env test test-fast test-slow check benchmark test-gpu test-gpu-dry benchmark-gpu simulations reference docs census pilot why compare checkpoints clean-checkpoints
.DEFAULT_GOAL := all

# A page that fails stops no training (--keep-going); the report shows what exists and says what does not, and why.
all: env
	@$(TERMINAL).study --cores $(CORES) --keep-going $(SETTINGS); status=$$?; \
	if [ $$status = 0 ]; then \
	    $(BIN)/snakemake --cores 1 --quiet all $(SETTINGS) --report $(REPORT).zip; \
	else \
	    PYTHONPATH=workflow_scripts $(BIN)/python -m warmup.plots.unfinished $(REPORT).zip $(SETTINGS); \
	fi && PYTHONPATH=workflow_scripts $(BIN)/python -m warmup.report_zip $(REPORT).zip && \
	$(TERMINAL).so_far --answer $(SETTINGS) && \
	echo "report: $(REPORT)/report.html (and $(REPORT).zip)" || exit 1; \
	exit $$status

# Counts of a study while it runs, and the last answer; it is no look
so-far: env
	@$(TERMINAL).so_far $(SETTINGS)

env: $(VENV)/.complete

# The command .venv/bin/warmup runs this checkout's package; jobs of any checkout still import their own (pyproject.toml).
$(VENV)/.complete: requirements.lock pyproject.toml setup.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH_INDEX) -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

# RWKV-4's operator for GPUs, for its test under Triton's interpreter: in a folder of its own, since transformers would
# take its Triton kernels wherever it can import them
$(VENV)/triton/.complete: $(VENV)/.complete
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(@D) \
	    einops==0.8.2 fla-core==0.6.0 triton==3.9.0
	touch $@

# axe-core's checks of a page's accessibility (axe.min.js 4.12.1), for the test that opens the report; the file alone is
# used, so that no dependency of the package that carries it is installed
$(VENV)/axe/.complete: $(VENV)/.complete
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(@D) \
	    axe-playwright-python==0.1.8
	touch $@

# Format, lint, types, every test; the slow ones last: kill drills, a real SLURM with its drills, simulation studies.
test: test-fast test-slow

test-fast: check $(VENV)/triton/.complete $(VENV)/axe/.complete
	$(BIN)/pytest -n $(CORES) -m "not slow" --dist loadgroup

test-slow: env
	$(BIN)/pytest -n $(CORES) -m slow --dist loadgroup

check: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy workflow_scripts/warmup
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint

benchmark: env
	$(BIN)/python benchmarks/run.py

# For a machine with an NVIDIA GPU, offline, with its own PyTorch: GPU_PYTHON=python. All parts, or one: PART=parity
GPU_PYTHON ?= $(BIN)/python
PART ?= environment parity cells runs
test-gpu:
	for part in $(PART); do \
	  WARMUP_TEST_GPU=1 timeout 480 $(GPU_PYTHON) -m pytest -q -s tests/gpu/test_$$part.py || exit 1; done

# The lines of test-gpu on a CPU, at tiny sizes
test-gpu-dry: env
	WARMUP_TEST_GPU=cpu $(BIN)/pytest -q -p no:xdist tests/gpu

benchmark-gpu:
	PYTHONPATH=workflow_scripts $(GPU_PYTHON) benchmarks/gpu.py --into measured_gpu.yaml

# What the statistics promise, counted on planted studies, old code against new: docs/simulations*.md. Counts only what has
# changed since (everything: an hour and a half of one core); the pages say which commit counted what.
simulations: env
	$(BIN)/python benchmarks/simulations.py --page docs/simulations.md
	$(BIN)/python benchmarks/simulations_answers.py --page docs/simulations_answers.md

# Pages made from what they describe: docs/configuration.md, docs/tables.md, the map in docs/architecture.md
docs: env
	$(BIN)/python docs/generate.py

# How the laptop's rates, steps and batch were chosen, again: docs/pilot.md
pilot: env
	$(BIN)/python benchmarks/pilot.py --cores $(CORES)

# docs/model_types.md: every backbone of transformers, tried (some minutes)
census: env
	$(BIN)/python docs/census.py

# What would run again, and why, in sentences
why: env
	$(BIN)/snakemake why --cores 1 $(SETTINGS)

# What `warmup advise` predicts from: studies of the laptop scale (finished ones are not trained again; all three are some
# 630 trainings), then in a minute how predicting did on lineages left out. It is shipped: commit what changes.
REFERENCE := warmup families modern
reference: env
	for study in $(REFERENCE); do \
	  $(BIN)/snakemake --cores $(CORES) --keep-going --config scale=laptop study=$$study -- \
	    results/laptop/studies/$$study/tables/runs.parquet results/laptop/studies/$$study/tables/diagnostics.parquet \
	    || exit 1; done
	PYTHONPATH=workflow_scripts $(BIN)/python -m warmup.advice.reference $(REFERENCE:%=results/laptop/studies/%)

# What differs between two result folders, table by table: make compare A=old/laptop B=results/laptop
compare: env
	$(COMPARE) $(A) $(B)

# Checkpoints that no run of the scale would resume from (settings or code have changed since): listed, or removed
checkpoints: env
	$(BIN)/snakemake orphaned_checkpoints --cores 1 --config scale=$(SCALE)

clean-checkpoints: env
	$(BIN)/snakemake clean_checkpoints --cores 1 --config scale=$(SCALE)
