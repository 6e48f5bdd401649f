# Every target sets itself up: a machine with Python 3.11 or newer and make is enough.
#
#   make demo     the whole story on an embedded database, killed half-way and resumed
#   make test     lint, types and every test; a skipped test fails it
#   make test-long   the tests that take longer for more: a minute of live writers, a kill before
#                    and after every step
#   make test-integration   feature flags on a real Unleash server (needs Node 20 and the network)
#   make check    the quick part of it: format, lint, types, the shape of the house
#   make bench    Proctor beside bare SQL and beside its peers (takes long)
#   make bench-growth   the same task from 100,000 to 5,000,000 rows (takes longer)
#   make bench-processor   where the time of a row goes
#   make bench-paid   paid answers: how near to a provider's limits, and what a call costs
#
# Another Python: make test PYTHON=/path/to/python3.12 (its packages go to .venv-3.12).

PYTHON ?= python3
ifeq ($(origin PYTHON),file)
VENV ?= .venv
else
VENV ?= .venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
endif
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
READY_BENCH := $(VENV)/.ready-bench
SERVERS := $(abspath $(VENV))-integration
PIP := $(PY) -m pip install -qq --disable-pip-version-check

# A virtual environment that is active outside must not leak into ours.
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH
# The tests begin some thousand processes; each would compile all of Proctor anew.
unexport PYTHONDONTWRITEBYTECODE

# As root on Debian what is missing is installed; anybody else is told what to install.
APT = [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq \
	&& DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends

.PHONY: demo test test-long test-integration check lint bench bench-growth bench-processor bench-paid clean pgbouncer prometheus

demo: $(READY)
	@$(PY) -m proctor demo wardrobe

test: lint pgbouncer prometheus
	$(PY) -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

test-long: $(READY)
	PROCTOR_LONG=1 $(PY) -m pytest -n 2 --dist loadfile --timeout 0 tests/crash tests/paid $(ARGS)

test-integration: $(READY) $(SERVERS)/.ready
	PROCTOR_INTEGRATION="$(SERVERS)" $(PY) -m pytest tests/integration $(ARGS)

check: lint
	$(PY) -m pytest -q tests/house

lint: $(READY)
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy

bench: $(READY_BENCH)
	$(PY) bench/postgres.py $(ARGS)
	$(PY) bench/sqlite.py
	$(PY) bench/startup.py

bench-growth: $(READY_BENCH)
	$(PY) bench/growth.py $(ARGS)

bench-processor: $(READY_BENCH)
	$(PY) bench/processor.py $(ARGS)

bench-paid: $(READY_BENCH)
	$(PY) bench/paid.py $(ARGS)

clean:
	rm -rf .venv .venv-* build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Proctor needs Python 3.11 or newer, and $(PYTHON) is older or missing."; \
		echo "On Debian 12: apt-get install python3 python3-venv"; \
		echo "Elsewhere:    make $(MAKECMDGOALS) PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { $(APT) python3-venv; } || { \
		echo "$(PYTHON) cannot make virtual environments: apt-get install python3-venv"; exit 1; }
	@echo "Setting up $(VENV) (once; again when pyproject.toml changes) ..."
	@$(PY) -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@$(PIP) --editable '.[dev]'
	@touch $@

$(READY_BENCH): $(READY)
	@$(PIP) --editable '.[bench]'
	@touch $@

# Unleash's own client wants older libraries than our tests: it gets an environment of its own.
$(SERVERS)/.ready: Makefile | $(READY)
	@command -v npm >/dev/null || { $(APT) nodejs npm; } || { \
		echo "Unleash needs Node 20 or newer with npm: apt-get install nodejs npm"; exit 1; }
	@node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' || { \
		echo "Unleash needs Node 20 or newer, and this is $$(node --version)"; exit 1; }
	@echo "Setting up $(SERVERS) (once) ..."
	@mkdir -p "$(SERVERS)"
	@npm install --prefix "$(SERVERS)" --silent --no-audit --no-fund unleash-server@7.5.1
	@$(PYTHON) -m venv "$(SERVERS)/client"
	@"$(SERVERS)/client/bin/python" -m pip install -qq --disable-pip-version-check UnleashClient==6.9.1
	@touch $@

# One test needs Debian's pgbouncer; all other servers come with the Python packages.
pgbouncer: $(READY)
	@PATH="$$PATH:/usr/sbin" command -v pgbouncer >/dev/null || { $(APT) pgbouncer; } || \
		echo "pgbouncer is missing, and its test will fail: apt-get install pgbouncer"

prometheus: $(READY)
	@command -v prometheus >/dev/null || { $(APT) prometheus; } || \
		echo "prometheus is missing, and its test will fail: apt-get install prometheus"
