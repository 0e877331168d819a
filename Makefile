# make demo   install, then measure a clip made here (or VIDEO=...)
# make test   install everything, then ruff, mypy and pytest

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2
APT_PACKAGES := espeak-ng ffmpeg chromium

.PHONY: demo test accuracy bench debian clean

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[demo]"
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

# What is missing of Debian's packages, where we may install them; without them some tests skip and say so.
debian:
	@missing=""; for p in $(APT_PACKAGES); do command -v $$p >/dev/null || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ] && command -v apt-get >/dev/null; then \
		sudo=""; [ "$$(id -u)" = 0 ] || sudo="sudo -n"; \
		{ $$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing; } \
			>/dev/null 2>&1 || echo "could not install$$missing: the demo brings its own voice, some tests will skip"; \
	fi

demo: $(VENV)/installed
	VIDEO="$(VIDEO)" $(BIN)/python examples/demo.py

test: debian $(VENV)/installed-dev
	$(BIN)/ruff check
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)

accuracy: debian $(VENV)/installed-dev
	$(BIN)/python benchmarks/accuracy.py --plain --model syncnet
	$(BIN)/python benchmarks/accuracy.py
	$(BIN)/python benchmarks/scenes.py

bench: debian $(VENV)/installed
	$(BIN)/python benchmarks/speed.py

clean:
	rm -rf $(VENV) build dist src/*.egg-info
