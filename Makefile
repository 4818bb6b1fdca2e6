# `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
MAKEFLAGS += --no-print-directory

INVENTORY ?= inventory/demo
HTTP_PORT ?= 8080
DEBIAN ?= 12
export HTTP_PORT DEBIAN
# The longest first.
SCENARIOS := default debian13 fleet refusals local
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

.PHONY: down
down: ## Remove the test host of `make up`
	@if [ -x $(BIN)/ansible-playbook ]; then ansible-playbook -i inventory/demo molecule/shared/destroy.yml; fi

.PHONY: lint
lint: setup ## yamllint, ansible-lint, ruff, mypy, shellcheck-free shell syntax
	@yamllint --strict .
	ruff check --quiet .
	ruff format --check --quiet .
	mypy
	ANSIBLE_INVENTORY=inventory/demo ansible-lint -q

.PHONY: unit
unit: setup ## Unit and property tests, which need no host
	@pytest

.PHONY: test
test: lint unit ## Everything: lint, unit and property tests, every Molecule scenario
	@$(MAKE) --jobs=2 $(addprefix scenario-,$(SCENARIOS))
	$(MAKE) scenario-loss

# Two at a time, but loss alone; the name before each line says whose it is.
.PHONY: $(addprefix scenario-,$(SCENARIOS) loss loss13)
$(addprefix scenario-,$(SCENARIOS) loss loss13): scenario-%: setup
	@molecule test --scenario-name $* 2>&1 | sed --unbuffered 's/^/$* | /'

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
	lock roles/flask_app/files/server.in --output-file roles/flask_app/files/server.txt
