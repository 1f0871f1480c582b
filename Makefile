# `make serve` and `make test` set up everything they need in .venv by themselves.
PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8000
MODELS ?= models
MODEL ?= efficientnet-lite0
SCREENSHOTS ?= /tmp/keras-archs-screenshots
PYTHON_IMAGE = $(shell sed -n 's/^ARG PYTHON_IMAGE=//p' docker/Dockerfile)
PIP_INSTALL = .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: serve test test-all container-test browser-test fuzz parity peers backends backends-jax backends-torch tf220 notebooks docs lint format lock clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

serve: .venv/serve ## publish $(MODEL) with ImageNet weights if it is not there yet, then serve it on $(HOST):$(PORT)
	.venv/bin/keras-archs export $(MODEL) --weights imagenet --repository $(MODELS) --if-missing
	.venv/bin/keras-archs serve --repository $(MODELS) --host $(HOST) --port $(PORT) --preload $(MODEL)

test: .venv/dev ## run the tests, apart from slow ones
	.venv/bin/python -m pytest -n 2 --dist worksteal

test-all: .venv/dev ## run all tests
	.venv/bin/python -m pytest -n 2 --dist worksteal -m 'not container and not browser and not fuzz'

container-test: .venv/dev ## build the images and run compose.yaml under podman
	@command -v podman >/dev/null || { echo "make container-test needs podman; on Debian: apt-get install podman" >&2; exit 2; }
	@podman image exists $(PYTHON_IMAGE) || { echo "make container-test needs the base image: podman pull $(PYTHON_IMAGE)" >&2; exit 2; }
	.venv/bin/python -m pytest -m container tests/container

browser-test: .venv/dev ## drive the page with Chromium; screenshots stay in $(SCREENSHOTS)
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -qq --yes --no-install-recommends chromium; } \
	  || { echo "make browser-test needs Chromium; on Debian: apt-get install chromium" >&2; exit 2; }
	SCREENSHOTS=$(SCREENSHOTS) .venv/bin/python -m pytest -m browser tests/browser

fuzz: .venv/dev ## send thousands of generated requests and damaged pictures to the gateway
	.venv/bin/python -m pytest -m fuzz -s tests/serving

parity: .venv-parity/ready ## compare networks and published weights with their sources, in an environment with Torch
	.venv-parity/bin/python -m pytest tests/parity

peers: .venv-peers/ready .venv/dev ## compare the gateway with KServe's server, asked by KServe's clients
	.venv/bin/python -m pytest -m slow tests/serving/protocols/open_inference/test_kserve.py

backends: backends-jax backends-torch ## compare networks on the JAX and Torch backends with TensorFlow, in the same environment

backends-jax backends-torch: backends-%: .venv-parity/ready
	KERAS_BACKEND=$* .venv-parity/bin/python -m pytest tests/backends tests/layers/test_layers.py

tf220: .venv-tf220/ready .venv/dev ## load what is exported in TensorFlow 2.20, the runtime of TensorFlow Serving's newest image
	TF220_PYTHON=$(CURDIR)/.venv-tf220/bin/python .venv/bin/python -m pytest tests/tf220

notebooks: .venv/dev ## execute the notebooks anew, in place
	.venv/bin/python -m notebooks.execute

lint: .venv/docs ## run ruff, mypy and import-linter
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

format: .venv/dev ## let ruff mend what it can
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs: .venv/docs ## build the documentation site into docs/_build/html; a broken link or reference fails
	.venv/bin/python -m sphinx --builder html --fail-on-warning --keep-going --nitpicky --quiet docs docs/_build/html
	.venv/bin/python -m docs.tools.check_site docs/_build/html

# Once a week, by hand, a newer Keras: raise its bound in pyproject.toml, `make lock .venv/dev`, `.ci/run`; commit the bound and
# constraints.txt if all passes. keras_archs/analysis/weightless.py names what it needs of Keras' private names.
lock: .venv/dev ## resolve the newest allowed dependencies into constraints.txt
	.venv/bin/uv pip compile --quiet --universal --all-extras --upgrade --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --output-file constraints.txt pyproject.toml

clean: ## remove the environment and caches; published models stay
	rm -rf .venv .venv-parity .venv-peers .venv-tf220 .mypy_cache .ruff_cache .import_linter_cache .pytest_cache .hypothesis docs/_build docs/generated docs/notebooks

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "keras-archs needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; echo "On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }

.venv/serve: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing keras-archs into .venv (some minutes the first time)"
	$(PIP_INSTALL) '.[serve,imagenet]'
	@touch $@

.venv/dev: .venv/serve
	$(PIP_INSTALL) '.[dev]'
	@touch $@

.venv/docs: .venv/dev
	$(PIP_INSTALL) '.[docs]'
	@touch $@

# Torch, JAX and their packages stay out of constraints.txt: nobody else needs them. Builds for CPUs will do.
.venv-parity/ready: Makefile pyproject.toml constraints.txt | .venv/bin/python
	.venv/bin/python -m venv .venv-parity
	.venv-parity/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 pyyaml huggingface-hub safetensors
	.venv-parity/bin/python -m pip install --quiet --disable-pip-version-check --no-deps torchvision==0.28.0 timm==1.0.31 pytorchcv==0.0.74
	.venv-parity/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	  --editable '.[train]' jax==0.10.2 pytest pytest-timeout psutil scikit-image
	@touch $@

# Other servers, whose packages ask for other versions of the same libraries than constraints.txt has.
.venv-peers/ready: | .venv/bin/python
	.venv/bin/python -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check \
	  kserve==0.21.0 litserve==0.2.19 bentoml==1.4.40 openvino==2026.4.1 pillow==13.0.0
	@touch $@

# Without this package: a server does not have it either.
.venv-tf220/ready: | .venv/bin/python
	.venv/bin/python -m venv .venv-tf220
	.venv-tf220/bin/python -m pip install --quiet --disable-pip-version-check tensorflow==2.20.0 tensorflow-serving-api==2.20.0
	@touch $@
