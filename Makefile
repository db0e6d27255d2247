# `make serve` and `make test` work on a fresh machine: they make .venv and install what is pinned.
PYTHON ?= python3
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
WHY := for training and the tests

.PHONY: serve demo test lint clean

# A server on a CPU needs little; one on a GPU needs PyTorch, which is large.
serve:
	@if nvidia-smi -L 2>/dev/null | grep -q '^GPU '; then \
	    $(MAKE) -s $(VENV)/installed WHY='since nvidia-smi lists a GPU'; \
	else \
	    $(MAKE) -s $(VENV)/serve-installed; \
	fi
	CIFAKE_BIND=$${CIFAKE_BIND:-127.0.0.1:$(PORT)} exec $(BIN)/gunicorn -c api/gunicorn.conf.py "api.app:create_app()"

# The service with its page in a browser: draws the README's picture of it, and more of them into SHOTS=folder.
demo: $(VENV)/tests-installed
	$(BIN)/python -m tests.page.demo $(SHOTS)

# Files of tests run side by side, one for each processor, and so each computes in one thread.
test: $(VENV)/tests-installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

lint: $(VENV)/linters
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Each of these markers is written last, so that an interrupted install is done again.
$(VENV)/made:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and \
	    "Python 3.11 or newer is needed; this is %d.%d.%d: make serve PYTHON=python3.12" % v[:3])'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/serve-installed: requirements-serve.txt $(VENV)/made
	@echo "Installing what a server on a CPU needs, about 330 MB, into $(VENV): nvidia-smi lists no GPU."
	$(PIP) install -r requirements-serve.txt
	@touch $@

$(VENV)/installed: requirements.txt requirements-serve.txt $(VENV)/made
	@echo "Installing everything, about 6 GB with PyTorch and CUDA, into $(VENV), $(WHY)."
	$(PIP) install --upgrade "pip>=25.1"
	$(PIP) install -r requirements.txt
	@touch $(VENV)/serve-installed $@

$(VENV)/tests-installed: $(VENV)/installed pyproject.toml
	$(PIP) install --group test
	@touch $@

$(VENV)/linters: $(VENV)/tests-installed
	$(PIP) install --group lint
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
