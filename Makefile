# `make demo` shows the whole chain, `make test` checks it. Both make the environment in .venv first.
PYTHON ?= python3
EXTRAS := cpu,train,export,resnet,quantize,extract,caption,analysis,tensorrt-rtx,openvino,search,dev

.PHONY: setup demo test lint

setup: .venv/.ready

demo: setup
	.venv/bin/jsf demo

test: setup
	OMP_NUM_THREADS=1 .venv/bin/pytest -n auto --maxprocesses 4 --dist worksteal

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

.venv/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "jsf needs Python 3.10 or newer, this is %d.%d. Name another: make setup PYTHON=python3.12" % sys.version_info[:2])'
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@
