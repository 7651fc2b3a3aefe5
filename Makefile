# make demo: fine-tune a BERT with warmup and linear decay, and plot the metrics and the learning rate.
# make test: run all tests. Both set up what they need in .venv, from the package registry, and reuse it.

PYTHON ?= python3
BIN := .venv/bin
OLDEST := .venv-oldest/bin
TWO_WORKERS := -n 2 --dist loadfile --no-loadscope-reorder
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

# Each process of a test would compile the package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo demo-all test test-fast test-oldest lint docs dist bench bench-long clean

demo: .venv/demo
	$(BIN)/python recipes/text_classification.py recipes/configs/demo.yaml --output_dir runs/demo-$$(date +%Y%m%d-%H%M%S)

# All recipes on the data in examples/data, about two minutes each.
demo-all: demo
	$(BIN)/python recipes/token_classification.py recipes/configs/demo_entities.yaml --output_dir runs/demo-entities-$$(date +%Y%m%d-%H%M%S)
	$(BIN)/python recipes/question_answering.py recipes/configs/demo_questions.yaml --output_dir runs/demo-questions-$$(date +%Y%m%d-%H%M%S)
	$(BIN)/python recipes/masked_lm.py recipes/configs/demo_masked_lm.yaml --output_dir runs/demo-masked-lm-$$(date +%Y%m%d-%H%M%S)
	$(BIN)/python recipes/text_classification.py recipes/configs/demo_pairs.yaml --output_dir runs/demo-pairs-$$(date +%Y%m%d-%H%M%S)

test: .venv/dev
	$(BIN)/python -m pytest $(TWO_WORKERS)

test-fast: .venv/dev
	$(BIN)/python -m pytest $(TWO_WORKERS) -m "not slow"

# The fast tests on the oldest supported transformers, without those of code that never calls transformers.
test-oldest: .venv-oldest/dev
	$(OLDEST)/python -m pytest $(TWO_WORKERS) -m "not slow" --ignore tests/monitor --ignore tests/plots

lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The documentation site, in site/. A warning, such as a link that leads nowhere, is an error.
docs: .venv/dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# Wheel and source distribution, checked, in dist/.
dist: .venv/dev
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m twine check --strict dist/*

# The benchmarks that finish in minutes. They write benchmarks/results and the figures of the README.
bench: .venv/dev
	$(BIN)/python benchmarks/run.py

# The others: DATA is a folder with sst2 and banking77, see benchmarks/README.md.
bench-long: .venv/dev
	$(BIN)/python benchmarks/run.py --long --data $(DATA)

.venv/demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python $(PIP_INSTALL) --constraint constraints.txt --editable ".[demo]"
	touch $@

.venv/dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python $(PIP_INSTALL) --constraint constraints.txt --editable ".[dev,docs,reporters,integrations]"
	touch $@ .venv/demo

.venv-oldest/dev: pyproject.toml constraints-oldest.txt
	$(PYTHON) -m venv .venv-oldest
	$(OLDEST)/python $(PIP_INSTALL) --constraint constraints-oldest.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf site .venv .venv-oldest .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
