# Everything that a fresh machine needs is Python >= 3.11 and make.
#   make demo   the main job on real events, with MPI ranks on this machine
#   make lab    the same as a notebook in JupyterLab
#   make test   all checks and tests
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Processes that share tests. WORKERS=0 runs them in pytest's own, one after the other (for pdb).
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo lab test check labext-test labext-types fast mpi remote slurm-tests browser-tests browser xrootd slurm slurm-up slurm-down bench clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit("mpidist needs Python 3.11 or newer, this is " + sys.version.split()[0] + ". Hint: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade "pip>=25.1"
	@touch $@

# Changed sources of the panel are built, and installed, anew.
LABEXT := $(shell find labext/src labext/style labext/schema -type f 2>/dev/null) $(addprefix labext/,package.json yarn.lock tsconfig.json hatch_build.py)
NODE := $(BIN)/python labext/node.py

# One stamp for each set of packages; each is installed once.
$(VENV)/demo: $(VENV)/python pyproject.toml
	SKIP_JUPYTER_BUILDER=1 $(PIP) install --editable ".[embedded,plots]"
	@touch $@

$(VENV)/lab: $(VENV)/python pyproject.toml $(LABEXT)
	rm -rf labext/mpidist_labext/labextension
	$(PIP) install --editable ".[all]"
	@touch $@ $(VENV)/demo

$(VENV)/tools: $(VENV)/python pyproject.toml
	SKIP_JUPYTER_BUILDER=1 $(PIP) install --editable ".[all]" --group dev
	@touch $@ $(VENV)/demo

$(VENV)/dev: $(VENV)/tools $(LABEXT)
	$(NODE) install --immutable
	rm -rf labext/mpidist_labext/labextension
	$(NODE) build:prod
	SKIP_JUPYTER_BUILDER=1 $(PIP) install --no-deps --editable .  # puts it where JupyterLab looks
	@touch $@ $(VENV)/lab

demo: $(VENV)/demo  ## run the example analysis on real CMS events with 2 MPI ranks
	@$(BIN)/mpidist demo --ranks 2

lab: $(VENV)/lab  ## open the example notebook in JupyterLab
	$(BIN)/jupyter lab examples/dimuon.ipynb

test: $(VENV)/dev browser xrootd slurm check labext-test fast mpi remote slurm-tests browser-tests  ## everything: checks, then tests from fast to slow

check: $(VENV)/dev  ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

labext-test: $(VENV)/tools  ## TypeScript of the panel: types and models
	$(NODE) install --immutable
	$(NODE) openapi-typescript openapi.json --check --output src/wire.ts
	$(NODE) tsc --noEmit
	$(NODE) vitest run

labext-types: $(VENV)/tools  ## after changes of labext/mpidist_labext/schema: openapi.json, and from it src/wire.ts
	$(NODE) install --immutable
	$(BIN)/python -m mpidist_labext.openapi labext/openapi.json
	$(NODE) openapi-typescript openapi.json --output src/wire.ts

fast: $(VENV)/dev  ## tests that start no process, on WORKERS=2 processes
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m "not mpi and not remote and not slurm and not browser"

mpi: $(VENV)/dev  ## tests with real MPI ranks, and the examples
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile -m mpi

remote: $(VENV)/dev xrootd  ## reading from HTTP and XRootD servers on this machine
	$(BIN)/python -m pytest -q -m remote

slurm-tests: $(VENV)/dev slurm  ## sessions on a real Slurm of several virtual nodes
	$(BIN)/python -m pytest -q -m "slurm and not browser"

browser-tests: $(VENV)/dev browser  ## JupyterLab in headless Chromium
	$(BIN)/python -m pytest -q -m browser

browser:  ## install Chromium and its driver (Debian packages, as root) if they are not there
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || { \
	  echo "installing chromium for the browser tests"; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium chromium-driver fonts-dejavu-core >/dev/null; }

xrootd:  ## install the XRootD server (a Debian package, as root) if it is not there
	@command -v xrootd >/dev/null || { echo "installing xrootd for the tests of remote files"; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends xrootd-server >/dev/null; }

slurm:  ## install Slurm and munge (Debian packages, as root) if they are not there
	@PATH=$$PATH:/usr/sbin; command -v slurmctld >/dev/null && command -v munged >/dev/null || { echo "installing slurm for the tests"; \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge iproute2 >/dev/null; }

slurm-up: slurm  ## start a Slurm cluster of four virtual nodes on this machine
	@slurm/cluster/cluster start .slurm

slurm-down:  ## stop it
	@slurm/cluster/cluster stop .slurm && rm -rf .slurm

bench: $(VENV)/dev  ## the figures of docs/benchmarks.md
	$(BIN)/python benchmarks/run.py

clean:  ## remove the environment and caches
	rm -rf labext/node_modules labext/lib labext/mpidist_labext/labextension
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-output
