# `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
MAKEFLAGS += --no-print-directory

INVENTORY ?= inventory/demo
HTTP_PORT ?= 8080
DEBIAN ?= 12
export HTTP_PORT DEBIAN
# What `make test` runs, and what only `make test-rest` does; the longest first, so that nothing long is left for the end.
LARGE := loss default fleet refusals protocol
SMALL := own_repo local
REST := tls applications debian13 runs upgrade seen sources
# Of these, what is marked `long` belongs to the rest.
LONG := default fleet loss
BIN := $(CURDIR)/.venv/bin
export PATH := $(BIN):$(PATH)
# Molecule and Ansible name their temporary folders after the project's; two clones must not share them.
export ANSIBLE_HOME := $(CURDIR)/.cache/ansible
# Output as it comes, not in frames that cut it at 80 columns.
export MOLECULE_COMMAND_BORDERS := false

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-12s %s\n", $$1, $$2 }'

.PHONY: setup
setup: ## Install what is missing on this machine (Debian packages, .venv, the test hosts' image)
	@scripts/setup

.PHONY: up
up: setup ## A test host with three Flask services behind HAProxy; prints the address and six answers
	@ansible-playbook -i inventory/demo molecule/shared/create.yml
	ansible-playbook -i inventory/demo site.yml
	scripts/rotation $(HTTP_PORT)

.PHONY: deploy
deploy: ## Bring the hosts of INVENTORY= (default: the test host) to what the inventory and the source say
	@ansible-playbook -i $(INVENTORY) site.yml

.PHONY: rollback
rollback: ## Go back to the previous good deployment, or to DEPLOYMENT=; typed twice, back and forth
	@ansible-playbook -i $(INVENTORY) playbooks/rollback.yml -e deployment=$(DEPLOYMENT)

.PHONY: shell
shell: ## A shell in the live release of APP=, or its COMMAND=, at this terminal
	@ANSIBLE_INVENTORY=$(INVENTORY) python -m scripts.shell "$(APP)" $${COMMAND:+"$$COMMAND"}

.PHONY: status releases doctor
status: ## What runs where on the hosts of INVENTORY=, which release, and what each balancer says of it
releases: ## What was deployed when and by whom, what is live where, and where a rollback would go
doctor: ## What is wrong, or will be, each with its fix
status releases doctor:
	@ansible-playbook -i $(INVENTORY) playbooks/$@.yml

.PHONY: logs
logs: ## Of all hosts by time, of APP= or all, SINCE=; REQUEST= is the way of a request by its id, FOLLOW=1 goes on
	@ansible-playbook -i $(INVENTORY) playbooks/logs.yml $(if $(APP),-e app=$(APP)) $(if $(REQUEST),-e request=$(REQUEST)) \
	  $(if $(SINCE),-e '{"since": "$(SINCE)"}') $(if $(FOLLOW),-e follow=86400)

.PHONY: stats
stats: ## The way to the stats page of each balancer of INVENTORY=, which listens on loopback: an ssh tunnel, and its address
	@ansible-playbook -i $(INVENTORY) playbooks/stats.yml

.PHONY: down
down: ## Remove the test host of `make up`
	@if [ -x $(BIN)/ansible-playbook ]; then ansible-playbook -i inventory/demo molecule/shared/destroy.yml; fi

.PHONY: lint
lint: setup ## yamllint, ansible-lint, ruff, mypy, the syntax of shell scripts
	@yamllint --strict .
	ruff check --quiet .
	ruff format --check --quiet .
	mypy
	ANSIBLE_INVENTORY=inventory/demo ansible-lint -q
	for script in $$(grep -ls '^#!/usr/bin/env bash' scripts/* .ci/*); do bash -n "$$script"; done

.PHONY: sanity
sanity: setup ## Ansible's own checks of a collection (ansible-test sanity)
	@scripts/sanity

.PHONY: unit
unit: setup ## Unit and property tests, which need no host
	@pytest --junitxml=.cache/junit/unit.xml

.PHONY: test
test: setup ## The core of what the README promises, once: lint, unit and property tests, scenarios
	@rm -rf .cache/junit
	export PYTEST_ADDOPTS="-m 'not long'"
	$(MAKE) --jobs=3 --keep-going $(addprefix scenario-,$(LARGE)) part-unit $(addprefix scenario-,$(SMALL)) part-lint \
	  || failed=1
	python -m scripts.verdict lint unit $(LARGE) $(SMALL)
	[ -z "$${failed:-}" ]

.PHONY: test-rest
test-rest: setup ## What repeats it or takes long: Debian 13, an upgrade, interruptions, all that may be lost
	@rm -rf .cache/junit
	$(MAKE) --jobs=3 --keep-going $(addprefix long-,$(filter-out loss,$(LONG))) $(addprefix scenario-,$(REST)) long-unit \
	  || failed=1
	# Alone on the machine: its slow clients and its budgets are many.
	$(MAKE) long-loss || failed=1
	python -m scripts.verdict unit $(REST) $(LONG)
	[ -z "$${failed:-}" ]

.PHONY: test-all
test-all: test test-rest ## Both

# Several at a time; the name before each line says whose it is.
.PHONY: part-lint part-unit
part-lint part-unit: part-%: setup
	@scripts/part $* $(MAKE) $*

SCENARIOS := $(LARGE) $(SMALL) $(REST) loss13
.PHONY: $(addprefix scenario-,$(SCENARIOS))
$(addprefix scenario-,$(SCENARIOS)): scenario-%: setup
	@scripts/part $* molecule test --scenario-name $*

.PHONY: long-unit $(addprefix long-,$(LONG))
long-unit: setup
	@scripts/part unit pytest -m long --junitxml=.cache/junit/unit.xml tests

$(addprefix long-,$(LONG)): long-%: setup
	@PYTEST_ADDOPTS="-m long" scripts/part $* molecule test --scenario-name $*

RUNS ?= 5
.PHONY: test-loss loss-runs-loss loss-runs-loss13
test-loss: loss-runs-loss loss-runs-loss13 ## What is lost, on Debian 12 and then 13, RUNS= times (5); writes docs/loss*.md

loss-runs-loss loss-runs-loss13: loss-runs-%: setup
	@{
	  molecule destroy --scenario-name $*
	  molecule converge --scenario-name $*
	  for run in $$(seq $(RUNS)); do
	    echo "run $$run of $(RUNS)"
	    LOSS_TABLES=$(CURDIR)/docs molecule verify --scenario-name $*
	  done
	  molecule destroy --scenario-name $*
	} 2>&1 | sed --unbuffered 's/^/$* | /'

ROUNDS ?= 3
.PHONY: bench
bench: setup ## The seed's stack and ours side by side, ROUNDS= times (3); writes docs/benchmarks.md and its plot
	@python -m bench --rounds $(ROUNDS)

.PHONY: box
box: ## The Vagrant box of `vagrant up`, and what Vagrant needs on this machine; DEBIAN=13 for the other one
	@scripts/setup vm
	scripts/box $(DEBIAN)

.PHONY: test-vm
test-vm: ## The scenario vm, a virtual machine that is rebooted and loses its power, on Debian 12 and 13
	@scripts/setup environment
	for debian in 12 13; do DEBIAN=$$debian molecule test --scenario-name vm; done

.PHONY: docs
docs: ## Write docs/variables.md anew from the roles' argument specs
	@python -m scripts.variables

.PHONY: lock
lock: ## Write the requirements files anew from what pyproject.toml and the *.in files ask for
	@lock() { UV_SYSTEM_CERTS=1 uv pip compile --quiet --no-config --upgrade --generate-hashes --universal \
	  --python-version 3.11 --no-header "$$@"; }
	lock requirements/uv.in --output-file requirements/uv.txt
	lock pyproject.toml --group dev --output-file requirements/dev.txt
	lock files/hello/requirements.in --output-file files/hello/requirements.txt
	for server in waitress granian uvicorn whitenoise; do
	  lock roles/flask_app/files/$$server.in --output-file roles/flask_app/files/$$server.txt
	done
