# Every verb sets up what it needs: a virtual environment in .venv, made anew when
# pyproject.toml changes. Python 3.11 or newer, git and make are all that must be there.

PYTHON ?= python3
VENV := .venv
# A wheel to install in place of the checkout, as .ci/run does.
WHEEL :=
EXTRAS := cli,lab,server
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup test quick protections fuzz lint format typecheck docs docs-links demo bench bench-full dist lowest clean

help:  ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## make the virtual environment

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "simopen needs Python 3.11 or newer; try: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
		|| { echo "this Python cannot make virtual environments; on Debian: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --disable-pip-version-check --group dev --group docs \
		$(if $(WHEEL),'$(WHEEL)[$(EXTRAS)]',--editable '.[$(EXTRAS)]')
	@# Last in the search path: tests and benchmarks are found here, simopen where it is installed.
	@echo '$(CURDIR)' > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/checkout.pth"
	@touch $@

test: $(READY)  ## all tests; those of the lab need root or open user namespaces
	$(BIN)/pytest

quick: $(READY)  ## the tests without the lab
	$(BIN)/pytest -m 'not lab'

protections: $(READY)  ## takes out each protection and sees its tests fail; minutes
	$(BIN)/python -m tests.protections

fuzz: $(READY)  ## ten million inputs for every decoder, guided by coverage; takes hours
	$(BIN)/pip install --quiet --disable-pip-version-check --group fuzz
	$(BIN)/python -m fuzz --all

lint: $(READY)  ## style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(READY)  ## mend style and formatting where that can be done by machine
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

typecheck: $(READY)  ## mypy strict; every public name is typed, and typed use of them passes
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" pyright --verifytypes simopen --ignoreexternal
	PATH="$(CURDIR)/$(BIN):$$PATH" pyright tests/typed_api.py

docs: $(READY)  ## the site, in docs/_build/html; a warning is an error, doctests run
	rm -rf docs/_build
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html
	$(BIN)/sphinx-build -q -W --keep-going -b doctest docs docs/_build/doctest
	$(BIN)/python -m docs.links docs/_build/html
	@echo "docs/_build/html/index.html"

docs-links: $(READY)  ## whether the links to other sites lead somewhere; needs the network
	$(BIN)/sphinx-build -q -W --keep-going -b linkcheck docs docs/_build/linkcheck

demo: $(READY)  ## two hosts connect on this machine, seen packet by packet
	@$(BIN)/simopen demo

bench: $(READY)  ## the benchmarks in short; results go to benchmarks/results/
	$(BIN)/python -m benchmarks --quick

bench-full: $(READY)  ## the benchmarks with all their trials and the grid drawn; takes hours
	$(BIN)/python -m benchmarks; met=$$?; \
		$(BIN)/simopen report benchmarks/results/grid.jsonl --out benchmarks/results/grid && exit $$met

dist:  ## the source distribution and the wheel made of it; they go to dist/
	rm -rf dist
	$(PYTHON) -m venv --clear .venv-build
	.venv-build/bin/pip install --quiet --disable-pip-version-check build
	.venv-build/bin/python -m build

# What rests most on each of the packages that simopen needs.
LEANING := $(addprefix tests/,figures security/test_certificate.py security/test_keys.py \
	security/test_handshake.py net/test_stream.py net/test_interfaces.py \
	rendezvous/test_metrics.py rendezvous/test_server.py rendezvous/protocol/test_messages.py \
	cli/test_commands.py cli/test_display.py cli/test_coordinator_log.py lab/test_available.py \
	lab/supervisor)

lowest:  ## some tests, with the oldest versions of everything that pyproject.toml allows
	$(PYTHON) -m venv --clear .venv-lowest
	.venv-lowest/bin/pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(PYTHON) .ci/lowest.py > .venv-lowest/constraints.txt
	.venv-lowest/bin/pip install --quiet --disable-pip-version-check --group dev \
		--editable '.[$(EXTRAS),plot]' --constraint .venv-lowest/constraints.txt
	@# Old packages do things that newer ones below them warn of.
	.venv-lowest/bin/pytest -W ignore::DeprecationWarning $(LEANING)

clean:  ## remove what make has made
	rm -rf $(VENV) .venv-* dist docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis
