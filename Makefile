# Every chore of the project. `make help` lists them; PYTHON chooses the interpreter (3.11 or newer):
#   make demo PYTHON=python3.12
# Each target makes the virtual environment that it needs and leaves it alone while nothing changed.

PYTHON ?= python3
# Where the measured tables are mirrored; see Training in README.md for what has no other source.
ifneq ($(wildcard ../shared/data),)
export VARSIGMA_DATA ?= ../shared/data
endif
MODEL ?= dh7
LINES ?= 100000
BODIES ?= 100000
# Processes that share the tests.
TESTERS ?= 2
# Tests watch real processes on a busy machine: one that fails is tried once more, and listed.
AGAIN ?= --reruns 1 -rR
RECIPE ?= dh7

# One environment per purpose: `.venv-demo` is the base install and holds no torch.
DEV := .venv
DEMO := .venv-demo
DEV_READY := $(DEV)/.ready-$(notdir $(PYTHON))
DEMO_READY := $(DEMO)/.ready-$(notdir $(PYTHON))
DOCS_READY := $(DEV)/.docs-ready-$(notdir $(PYTHON))
BIN := $(DEV)/bin

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo serve test test-slow test-browser test-data lint format bench bench-plumbing bench-eager bench-workers bench-gpu check-genome check-resume fuzz check-jobs load-http overload-http bench-game bench-report bench-saturation bench-student bench-precision fuzz-http data train evaluate calibrate validate docs wheel check-no-torch docker-lint docker-steps clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- use ---------------------------------------------------------------------------------------

demo: $(DEMO_READY) ## score examples/ with a model of this repository and show the result
	@mkdir -p build
	$(DEMO)/bin/varsigma score examples/variants.vcf --reference examples/chr17.hg19.part.fa \
	  --assembly GRCh37 --model $(MODEL) -o build/demo.vcf
	@$(DEMO)/bin/python examples/show.py build/demo.vcf

serve: $(DEMO_READY) ## answer HTTP requests on port 8000, with the reference of examples/
	$(DEMO)/bin/varsigma serve --reference examples/chr17.hg19.part.fa --assembly GRCh37

# --- check -------------------------------------------------------------------------------------

test: $(DEV_READY) ## run the tests that need no measured tables, in two processes (TESTERS=2)
	$(BIN)/python -m pytest -n $(TESTERS) --dist worksteal $(AGAIN) -m "not data and not slow and not browser"

test-slow: $(DOCS_READY) ## run those that kill, restart or spread whole processes, or build the site
	$(BIN)/python -m pytest -n $(TESTERS) --dist worksteal $(AGAIN) -m "slow and not data"

test-browser: $(DEV_READY) ## look at the page in the machine's Chromium (CHROMIUM=/path/to/chromium)
	$(BIN)/python -m pytest $(AGAIN) -m browser tests/browser

test-data: $(DEV_READY) ## run the tests that read the measured tables in VARSIGMA_DATA
	$(BIN)/python -m pytest -m data

lint: $(DEV_READY) docker-lint ## ruff, mypy, shellcheck, hadolint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/shellcheck .ci/run

format: $(DEV_READY) ## format the code
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

check-no-torch: $(DEMO_READY) ## import and run the service where torch is not installed
	$(DEMO)/bin/python -m tests.no_torch

bench: $(DEMO_READY) ## throughput, VCF file in to VCF file out, beside raw ONNX Runtime
	$(DEMO)/bin/python -m tests.bench_throughput --model $(MODEL)

bench-gpu: $(DEV_READY) ## a card: rates beside PyTorch, share of its ceilings, parity, placement
	$(BIN)/python -m tests.bench_gpu --model $(MODEL)

bench-plumbing: $(DEV_READY) ## variants/s and memory of all but the model, up to 2,000,000 records
	$(BIN)/python -m tests.bench_plumbing

bench-eager: $(DEV_READY) ## beside PyTorch eager as tangermeme does it
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	$(BIN)/python -m tests.bench_eager --model $(MODEL)

bench-workers: $(DEV_READY) ## two workers against one, local and on a Ray cluster of two nodes
	$(BIN)/python -m tests.bench_workers --model $(MODEL)

check-genome: $(DEV_READY) ## 200,000 mixed records: statuses counted independently, output read by bcftools
	$(BIN)/python -m tests.check_genome

check-resume: $(DEV_READY) ## 100 kills at random moments: every resumed output byte for byte
	$(BIN)/python -m tests.kill_resume --kills 100

check-jobs: $(DEV_READY) ## a service killed five times in a job of 50,000 records: the result byte for byte
	$(BIN)/python -m tests.kill_jobs --records 50000 --kills 5 --model $(MODEL)

fuzz: $(DEV_READY) ## mutated VCF lines: no crash, no hang, no lost record (LINES=100000)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	$(BIN)/python -m tests.fuzz_vcf --lines $(LINES)

load-http: $(DEV_READY) ## 64 clients on loopback beside raw ONNX Runtime
	$(BIN)/python -m tests.load_http --model $(MODEL)

overload-http: $(DEV_READY) ## ten times the load that can be scored: deadlines, refusals, recovery
	$(BIN)/python -m tests.overload_http --model $(MODEL)

bench-game: $(DEV_READY) ## one GAME request of a whole library beside raw ONNX Runtime
	$(BIN)/python -m tests.bench_game --model $(MODEL)

bench-report: $(DEV_READY) ## the page of a triaged list of 200 variants: seconds and size
	$(BIN)/python -m tests.bench_report --model $(MODEL)

bench-saturation: $(DEV_READY) ## a map of 1,000 positions in six passes beside raw ONNX Runtime
	$(BIN)/python -m tests.bench_saturation --model $(MODEL)

bench-student: $(DEV_READY) ## the student beside the ensemble that taught it
	$(BIN)/python -m tests.bench_student

bench-precision: $(DEV_READY) ## training in bfloat16 beside single precision
	$(BIN)/python -m tests.bench_precision

fuzz-http: $(DEV_READY) ## hostile requests to the whole service (BODIES=100000)
	$(BIN)/python -m tests.fuzz_http --bodies $(BODIES)

docker-lint: $(DEV_READY) ## lint the Dockerfile (hadolint's wheel exists for Linux x86-64)
	@if [ -x $(BIN)/hadolint ]; then echo hadolint Dockerfile; $(BIN)/hadolint Dockerfile; \
	 else echo "no hadolint for this platform: Dockerfile not linted"; fi

docker-steps: $(DEV_READY) ## run the Dockerfile's steps in a clean folder, without Docker
	$(BIN)/python .ci/docker_steps.py

# --- build -------------------------------------------------------------------------------------

data: $(DEV_READY) ## build the assay table from the measured tables
	$(BIN)/varsigma-train data

train: $(DEV_READY) ## train one recipe and export it to models/ (RECIPE=dh7)
	$(BIN)/varsigma-train train $(RECIPE)
	$(BIN)/varsigma-train export $(RECIPE)

evaluate: $(DEV_READY) ## measure one model on held-out sequences (MODEL=dh7)
	$(BIN)/varsigma-train evaluate $(MODEL)
	$(BIN)/varsigma-train sigma $(MODEL)

calibrate: $(DEV_READY) ## fit the widths of one model's effects to the CAGI5 release set (MODEL=dh7)
	$(BIN)/varsigma-train calibrate $(MODEL)

validate: $(DEV_READY) ## score the CAGI5 challenge with a model and the baseline (MODEL=dh7)
	$(BIN)/varsigma-train validate $(sort mse $(MODEL)) --baseline mse

docs: $(DOCS_READY) ## build the documentation into build/site, without a warning
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "open build/site/index.html, or serve it: $(BIN)/python -m http.server --directory build/site"

wheel: $(DEV_READY) ## build dist/*.whl and dist/*.tar.gz, models included
	$(BIN)/python -m build

clean: ## remove environments, caches and what was built (never models/)
	rm -rf $(DEV) $(DEMO) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find service training tests examples -name __pycache__ -prune -exec rm -rf {} +
	rm -f examples/*.fai

# --- environments ------------------------------------------------------------------------------

$(DEMO_READY): EXTRAS :=
$(DEV_READY): EXTRAS := [train,ray,parquet,dev]
$(DEMO_READY) $(DEV_READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "varsigma needs Python 3.11 or newer; say which: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".$(EXTRAS)"
	@touch $@

$(DOCS_READY): $(DEV_READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	@touch $@
