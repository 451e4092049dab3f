# Everything one does with Snowshed. Needs python3 (3.11 or newer) with its venv module, and make.
#   PYTHON=...  which Python makes the virtual environment    ARGS=...  passed on to what is run

.DEFAULT_GOAL := help
.PHONY: serve serve-triton test check fmt compile bench prove loadtest lock help

PYTHON ?=
ARGS ?=
export PYTHON

run := .venv/bin/python -m

serve: ## Set up, fetch the model once, and serve on http://127.0.0.1:8080 (ARGS="--config gateway.yaml")
	@scripts/setup serve
	@$(run) gateway model pull $(ARGS)
	@exec $(run) gateway serve $(ARGS)

serve-triton: ## The same in front of a real Triton server on this CPU, whose ports are 8000 to 8002 (ARGS as for serve)
	@scripts/setup serve
	@scripts/triton
	@exec scripts/serve-triton $(ARGS)

test: ## Set up and run all tests, by two processes, as most of them wait (ARGS="tests/unit -k retry")
	@scripts/setup dev
	@scripts/triton
	@exec $(run) pytest --numprocesses 2 --dist loadfile $(ARGS)

check: ## Lint, formatting, types and import contracts
	@scripts/setup dev
	$(run) ruff check
	$(run) ruff format --check --quiet
	$(run) mypy
	.venv/bin/lint-imports

fmt: ## Format, and mend what the linter can
	@scripts/setup dev
	$(run) ruff check --fix-only
	$(run) ruff format

compile: ## Compile the hot path to machine code, a third cheaper per request: takes a C compiler and Python's headers
	@scripts/setup dev
	@.venv/bin/python scripts/compile.py

bench: ## Compare with a raw proxy on this machine: CPU, latency, memory
	@scripts/setup dev
	@exec $(run) loadtests.bench $(ARGS)

prove: ## Strict figures, soaks and many seeds; writes docs/evidence/
	@scripts/setup dev
	@exec $(run) loadtests.prove $(ARGS)

loadtest: ## Thirty seconds of chats with $SNOWSHED_API_KEY for the gateway at $SNOWSHED_URL (ARGS="--users 50")
	@scripts/setup dev
	@exec $(run) locust -f loadtests/locustfile.py --headless --only-summary --loglevel warning --users 10 --spawn-rate 10 \
		--run-time 30s --stop-timeout 30 $(ARGS)

lock: ## Renew requirements/*.txt from pyproject.toml (ARGS="--upgrade")
	@scripts/lock $(ARGS)

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
