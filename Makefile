# What a user runs: `make retrain`, `make test`, `make test-faults`. Each makes .venv first where it is missing or old.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: retrain test test-faults lint docs audit lock clean

retrain: $(READY)
	$(BIN)/fpplm retrain

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations 25 tests/unit tests/contracts tests/e2e benchmarks/tests

# Kills, full disks, servers that go, schedules, promotions; and what `make test` leaves out or runs with smaller counts.
# Three processes on two cores, because many of these tests wait for a server or a clock.
test-faults: $(READY)
	$(BIN)/python -m pytest -n 3 --dist worksteal --durations 40 --only-full tests/faults tests/e2e/test_init.py \
	  tests/e2e/test_docs.py tests/contracts/test_formats.py tests/contracts/test_encoders.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The documentation as a site in build/site. A link or an anchor that leads nowhere is an error.
docs: $(READY)
	$(BIN)/python docs/site.py
	$(BIN)/zensical build --strict --clean

# Known vulnerabilities of the locked packages; says so where the advisories cannot be reached.
audit: $(READY)
	$(BIN)/python .ci/audit.py

# Exact versions come from requirements.lock. torch goes through pip first, because pip honours the index that is
# configured for the machine (a CPU build where one is offered); uv then installs the rest, in a fifth of pip's time.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "fpplm needs Python 3.11 to 3.13, got: $$($(PYTHON) --version); try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check uv torch -c requirements.lock
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -e '.[pipeline,dev,docs]' -c requirements.lock
	@touch $@

# A new lock from pyproject.toml: the newest versions that fit its ranges.
lock: $(READY)
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --extra pipeline --extra dev --extra docs \
	  --no-header --no-annotate pyproject.toml -o requirements.lock

clean:
	@[ ! -e .fpplm/retrain.lock ] || flock --nonblock .fpplm/retrain.lock true || { echo "a retraining is running here"; exit 1; }
	rm -rf .venv build bundle reports .fpplm
