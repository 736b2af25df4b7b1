# make demo   sets up all it needs and runs the main job on real input
# make test   sets up all it needs and passes every check
# The rest is for working on mainstem; each is one step of `make test`.

PYTHON ?= python3
PY := .venv/bin/python
UV := .uv/bin/uv
PEER_GROUPS := light beam ray
FLIGHTS_PEER_GROUPS := flights flights-beam flights-ray
RECIPE_GROUPS := airflow dagster fastapi notebook prefect
export UV_PYTHON_DOWNLOADS := never

.PHONY: demo test setup lint format types unit wheel recipes crash benchmark peers lock clean

demo: setup
	$(PY) -m mainstem run examples/flights_import.py:pipeline --set database=sqlite:///flights.db

test: lint types unit wheel recipes

setup: .venv/.ready

.uv/.ready: requirements/uv.txt
	$(PYTHON) -m venv --clear .uv
	.uv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	touch $@

.venv/.ready: .uv/.ready requirements/dev.txt pyproject.toml
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	$(UV) pip sync --quiet --compile-bytecode --python $(PY) --require-hashes requirements/dev.txt
	$(UV) pip install --quiet --python $(PY) --no-deps --no-build-isolation --editable .
	touch $@

lint: setup
	$(PY) -m ruff check
	$(PY) -m ruff format --check

format: setup
	$(PY) -m ruff check --fix-only
	$(PY) -m ruff format

types: setup
	$(PY) -m mypy
	$(PY) -m pyright

unit: setup
	$(PY) -m pytest -q -m alone
	$(PY) -m pytest -n 2 -m "not alone" --cov --cov-report=term

wheel: setup
	./scripts/test_wheel.sh

# Each recipe in an environment of its own, with the program that it is about.
recipes: $(patsubst %,.peers/recipe-%/.ready,$(RECIPE_GROUPS))
	./scripts/test_recipes.sh

.peers/recipe-%/.ready: requirements/recipe-%.txt .uv/.ready
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .peers/recipe-$*
	$(UV) pip sync --quiet --compile-bytecode --python .peers/recipe-$*/bin/python --require-hashes $<
	touch $@

# Kills, connection cuts and power cuts by the ten thousand, and the whole poison matrix; takes an hour and more.
CRASH_REPORT := docs/crash-report.json
crash: setup
	$(PY) -m tests.crash kills --target sqlite --number 10000 --report $(CRASH_REPORT)
	$(PY) -m tests.crash kills --target postgres --number 10000 --report $(CRASH_REPORT)
	$(PY) -m tests.crash cuts --number 10000 --report $(CRASH_REPORT)
	$(PY) -m tests.power --images 1000000 --report $(CRASH_REPORT)
	$(PY) -m tests.poison --report $(CRASH_REPORT)

# PEERS=no leaves out the peers, which need environments of their own.
benchmark: setup $(if $(filter no,$(PEERS)),,peers)
	$(PY) -m benchmarks $(if $(filter no,$(PEERS)),--no-peers)

peers: $(patsubst %,.peers/%/.ready,$(PEER_GROUPS) $(FLIGHTS_PEER_GROUPS))

.peers/%/.ready: requirements/benchmark-%.txt .uv/.ready
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .peers/$*
	$(UV) pip sync --quiet --compile-bytecode --python .peers/$*/bin/python --require-hashes $<
	touch $@

lock: .uv/.ready
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	  --custom-compile-command 'make lock' --no-emit-package pandas \
	  --all-extras --group dev pyproject.toml -o requirements/dev.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	  --custom-compile-command 'make lock' --group test pyproject.toml -o requirements/wheel.txt
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	  --custom-compile-command 'make lock' requirements/uv.in -o requirements/uv.txt
	for group in $(PEER_GROUPS) $(FLIGHTS_PEER_GROUPS); do \
	  $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	    --custom-compile-command 'make lock' requirements/benchmark-$$group.in \
	    -o requirements/benchmark-$$group.txt || exit 1; \
	done
	for group in $(RECIPE_GROUPS); do \
	  $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	    --custom-compile-command 'make lock' requirements/recipe-$$group.in \
	    -o requirements/recipe-$$group.txt || exit 1; \
	done

clean:
	rm -rf .venv .uv .peers dist build .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis flights.db mainstem.db
