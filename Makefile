# earwitness: set-up and tests on a machine with Python 3.11 or newer, make, and nothing else.
#
#   make demo         install, then explain a synthetic scene whose cause is known; results in demo/
#   make test         install, then the tests
#   make setup        install only: .venv with everything in constraints.txt that earwitness and its tests need
#   make references   the slow comparisons with other libraries (librosa, SALib, ...)
#   make lint         ruff and pyright
#   make bench        benchmarks/bench_*.py: ratios to the bare forward pass and to peers
#   make studies      the studies and the other benchmarks/*.py: the figures that the documentation quotes
#   make lock         write constraints.txt anew, from a fresh environment, with torch held at $(TORCH)
#
# Another Python: PY=python3.12 VENV=.venv312 make test.  Recordings: EARWITNESS_DATA=folder make test.

PY ?= python3
VENV ?= .venv
WORKERS ?= 2
TORCH ?= 2.13.0
export EARWITNESS_DATA ?= ../shared/data

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# the members of a dependency group, read by a Python; pip knows --group only since 25.1, and Python 3.11 may bring an older one
group = $$($(1) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["$(2)"])')

.PHONY: setup demo test references lint bench studies lock
.DELETE_ON_ERROR:

setup: $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/earwitness demo --out demo

# one thread a worker: with more, the workers fight for the cores
test: $(VENV)/.installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

references: $(VENV)/.references
	$(BIN)/python -m pytest -m reference $(ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

bench: $(VENV)/.references
	@$(call each,$(filter benchmarks/bench_%,$(wildcard benchmarks/*.py)),no benchmarks yet: benchmarks/bench_*.py)

studies: $(VENV)/.installed
	$(BIN)/earwitness study sobol-lab --out docs/results/sobol-lab
	$(BIN)/earwitness study truth --data $(EARWITNESS_DATA) --out docs/results/truth
	$(BIN)/earwitness study wavlm --data $(EARWITNESS_DATA) --out docs/results/wavlm
	$(BIN)/earwitness study emotion --data $(EARWITNESS_DATA) --out docs/results/emotion
	$(BIN)/earwitness study lab --data $(EARWITNESS_DATA)/esc10 --model models/esc10 --group 5 --designs 16,32,64 \
	  --credit "Recordings: ESC-10, K. J. Piczak and authors on Freesound, CC BY 3.0." --out docs/results/lab-esc10
	$(BIN)/earwitness study lab --data $(EARWITNESS_DATA)/speech_commands --model models/speech-commands --designs 8,32,128 \
	  --credit "Recordings: Speech Commands v0.02, P. Warden, Google, CC BY 4.0." --out docs/results/lab-speech-commands
	@$(call each,$(filter-out benchmarks/bench_%,$(wildcard benchmarks/*.py)),no studies yet: benchmarks/*.py)

# run each script after the other and stop at the first that fails
each = $(if $(1),set -e; for script in $(sort $(1)); do echo "== $$script"; $(BIN)/python $$script; done,echo "$(2)")

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "earwitness needs Python 3.11 or newer: PY=python3.12 make ...")'
	test -x $(BIN)/python || $(PY) -m venv $(VENV)
	$(PIP) install --quiet -c constraints.txt -e ".[test]"
	@touch $@

$(VENV)/.references: $(VENV)/.installed
	$(PIP) install --quiet -c constraints.txt $(call group,$(BIN)/python,references)
	@touch $@

$(VENV)/.lint: $(VENV)/.installed
	$(PIP) install --quiet -c constraints.txt $(call group,$(BIN)/python,lint)
	@touch $@

# Public versions only: no local labels such as +cpu, and no CUDA packages, which torch brings itself where it needs them.
lock:
	rm -rf .lock && $(PY) -m venv .lock
	.lock/bin/python -m pip --disable-pip-version-check install --quiet torch==$(TORCH) -e ".[test]" \
	  $(call group,.lock/bin/python,references) $(call group,.lock/bin/python,lint)
	{ echo "# Every package that earwitness, its tests and its references need. Written by: make lock"; \
	  .lock/bin/python -c 'import platform as p; print("# Python", p.python_version(), "on", p.system(), p.machine())'; \
	  .lock/bin/python -m pip --disable-pip-version-check list --format=freeze --exclude-editable --exclude pip --exclude setuptools \
	  | grep -viE '^(nvidia-|cuda-|triton)' | sed -E 's/\+[A-Za-z0-9.]+$$//'; } > constraints.txt.part
	mv constraints.txt.part constraints.txt
	rm -rf .lock
