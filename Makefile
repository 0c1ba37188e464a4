# Every target sets up what it needs; a second call starts at once. Only Python 3.11+, pip and make are assumed.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup demo studies test fuzz chaos check house map format docs bench scale foretold foretold-difference validate clean

setup: $(READY)

# uv is used where it is installed, because it is faster; pip gives the same packages.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "foldwise needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up .venv: some 6 GB with torch, a few minutes the first time ..."
	@if command -v uv >/dev/null 2>&1; then \
	  uv venv --quiet --allow-existing --python "$(PYTHON)" .venv && \
	  uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable . --group dev --constraints constraints.txt; \
	else \
	  $(PYTHON) -m venv .venv && \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1" && \
	  $(BIN)/python -m pip install --quiet --editable . --group dev --constraint constraints.txt; \
	fi
	@touch $@
	@echo "Ready: .venv/bin/foldwise"

demo: $(READY)
	$(BIN)/foldwise demo

# The five studies on built-in pictures; QUICK=1 makes them very small.
STUDIES := 0-architectures 1-gels 2-losses 3-tissue 4-proteins
studies: $(READY)
	@began=$$(date +%s); \
	for name in $(STUDIES); do \
	  $(BIN)/foldwise run studies/$$name.yaml --phantom $(if $(QUICK),--quick) || exit $$?; \
	done; \
	echo; echo "All five in $$(( $$(date +%s) - began )) s. Their reports:"; \
	ls -1 runs/*-phantom$(if $(QUICK),-quick)/report.html

# Three processes on two cores: where one waits, for jobs of Slurm or for a browser, the others work. Ray's tests, which mostly
# wait, are done meanwhile in a process of their own and shown last: Ray reads its token once for a process, and other tests
# begin Rays with other tokens.
RAYS := tests/runs/launchers/test_ray.py
test: $(READY)
	@printed=$$(mktemp); $(BIN)/python -m pytest $(RAYS) >$$printed 2>&1 & rays=$$!; \
	$(BIN)/python -m pytest -n 3 --dist worksteal --ignore $(RAYS); others=$$?; \
	wait $$rays; code=$$?; cat $$printed; rm $$printed; exit $$((others ? others : code))

# Studies, tables of labels and tables of scores at random, 1,000 of each: some minutes.
fuzz: $(READY)
	FOLDWISE_FUZZ=$(or $(NUM),1000) $(BIN)/python -m pytest -n 2 tests/test_fuzz.py

# What may befall disks, folders, workers, jobs, nodes, controllers and drivers, and each kind of write that fails; many minutes.
# FAULTS=200 is how often, SEED=3 in which order.
chaos: $(READY)
	FOLDWISE_CHAOS=$(or $(FAULTS),100) FOLDWISE_SEED=$(SEED) $(BIN)/python -m pytest -s tests/chaos

check: $(READY)
	$(BIN)/ruff format --check src tests benchmarks tools
	$(BIN)/ruff check src tests benchmarks tools
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tools.house --check
	$(BIN)/python -m tools.house --map --check

# The measures of the house, whose ceilings are in tools/house.toml; VERBOSE=1 also shows which modules.
house: $(READY)
	$(BIN)/python -m tools.house $(if $(VERBOSE),--verbose)

# Draws the floors of docs/map.md from the code.
map: $(READY)
	$(BIN)/python -m tools.house --map

format: $(READY)
	$(BIN)/ruff format src tests benchmarks tools
	$(BIN)/ruff check --fix src tests benchmarks tools

# The documentation as a site of files, in site/: nothing is fetched, and a broken link stops it.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(BIN)/python -m mkdocs build --quiet

# The table of speeds, measured anew: hours. QUICK=1 is small sizes, minutes; ONLY="gels step" some rows; results go to
# benchmarks/results.md.
bench: $(READY)
	$(BIN)/python -m benchmarks $(ONLY) $(if $(QUICK),--quick)

# What items ask of a file system, counted, and 100,000 of them done by 500 workers, simulated; some minutes.
scale: $(READY)
	$(BIN)/python -m benchmarks.scale

# Time and memory that `foldwise check` foretells against what a few fits of every study then take; some 20 minutes.
foretold: $(READY)
	$(BIN)/python -m benchmarks.foretold $(if $(ONLY),--only $(ONLY))

# The difference that `foldwise check` foretells against that of verdicts, of small studies; some minutes.
foretold-difference: $(READY)
	$(BIN)/python -m benchmarks.foretold_difference $(if $(ONLY),--only $(ONLY))

# Studies of known truth, judged: some 40 minutes of one core, in two processes; goes on where it was stopped.
# QUICK=1 is a slice of seconds.
validate: $(READY)
	$(BIN)/python -m benchmarks.validation $(if $(QUICK),--quick)

clean:
	rm -rf .venv build dist site runs .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
