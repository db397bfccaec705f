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
.PHONY: help demo lab test check fast mpi remote slurm-tests browser-tests browser xrootd slurm slurm-up slurm-down bench clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit("mpidist needs Python 3.11 or newer, this is " + sys.version.split()[0] + ". Hint: make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade "pip>=25.1"
	@touch $@

# One stamp for each set of packages; each is installed once.
$(VENV)/demo: $(VENV)/python pyproject.toml
	$(PIP) install --editable ".[embedded,plots]"
	@touch $@

$(VENV)/lab: $(VENV)/python pyproject.toml
	$(PIP) install --editable ".[all]"
	@touch $@ $(VENV)/demo

$(VENV)/dev: $(VENV)/lab pyproject.toml
	$(PIP) install --group dev
	@touch $@

demo: $(VENV)/demo  ## run the example analysis on real CMS events with 2 MPI ranks
	@$(BIN)/mpidist demo --ranks 2

lab: $(VENV)/lab  ## open the example notebook in JupyterLab
	$(BIN)/jupyter lab examples/dimuon.ipynb

test: $(VENV)/dev browser xrootd slurm check fast mpi remote slurm-tests browser-tests  ## everything: checks, then tests from fast to slow

check: $(VENV)/dev  ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

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
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-output
