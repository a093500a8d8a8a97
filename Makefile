# Run `make` for the list of targets. Everything runs from .venv, which is made from the locked
# requirements/dev.txt on first use and brought up to date when that file changes.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
# The dev cluster to work on. `make images NAME=x` loads into x, without NAME into all that run.
NAME ?=
NODES ?= 2
# `make demo`, `demo-down` and `e2e` on an existing cluster: CONTEXT=name of your kubeconfig, with
# IMAGE_LOAD=command or (demo) REPO=registry/team TAG=tag; docs/your-cluster.md says more. The
# programs read these from the environment, where make puts them, so that nothing is quoted twice.
CONTEXT ?=
IMAGE_LOAD ?=
I_KNOW ?=
export CONTEXT IMAGE_LOAD I_KNOW
# What `make audit` looks at; everything unless named.
PARTS ?=
# Arguments for pytest, for example: make unit ARGS="-k retry -x"
ARGS ?=

LOCK := requirements/dev.txt
STAMP := .venv/ready-$(firstword $(shell sha256sum $(LOCK)))
PY := .venv/bin/python
# Any kubectl will do to build manifests; without one, that of the dev cluster.
KUBECTL ?= $(or $(shell command -v kubectl),$(PY) -m devcluster kubectl --name $(or $(AGENTSYSTEM_TEST_CLUSTER),demo) --)
export PYTHONPATH := operator:.

.PHONY: help demo demo-down test unit property contract integration devcluster e2e chaos chaos-gitops lint types \
        layers generate verify audit bench images sbom cluster-up cluster-down lock venv clean

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): $(LOCK)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Python 3.11 or newer is needed, and '$(PYTHON)' is not: $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Install it, or name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing the locked tools into .venv (20 s to a minute) ..."
	@test -x $(PY) || $(PYTHON) -m venv .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r $(LOCK)
	@# `python -m bench` and the like find the operator's package without PYTHONPATH.
	@echo "$(CURDIR)/operator" > "$$($(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/agentsystem.pth"
	@rm -f .venv/lock-* .venv/ready-* && touch $@

demo: $(STAMP) ## a cluster, the operator, two agents, a conversation (CONTEXT=..: on yours)
	@$(PY) -m demo up --name $(or $(NAME),demo) --nodes $(NODES)

demo-down: $(STAMP) ## remove all that `make demo` made
	@$(PY) -m demo down --name $(or $(NAME),demo)

test: $(STAMP) ## everything: checks, unit to e2e, on a cluster of its own
	@$(PY) tests/run.py

unit: $(STAMP) ## unit tests (seconds; no network)
	@$(PY) -m pytest -q tests/unit $(ARGS)

property: $(STAMP) ## property tests of the pure core
	@$(PY) -m pytest -q tests/property $(ARGS)

contract: $(STAMP) ## contracts between our halves, and between fakes and the real thing
	@$(PY) -m pytest -q tests/contract $(ARGS)

integration: $(STAMP) ## tests against a real apiserver, also one that lies and fails
	@$(PY) tests/run.py integration faults

devcluster: $(STAMP) ## tests of the dev cluster itself (devcluster/), and of the demo on one
	@$(PY) tests/run.py devcluster demo

e2e: $(STAMP) ## stories on real nodes (CONTEXT=.. IMAGE_LOAD=..: on your cluster)
	@$(PY) tests/run.py e2e

chaos: $(STAMP) ## every sweep of faults, 3 seeds (a cluster of its own; about an hour)
	@$(PY) -m bench faults --seeds 3 $(ARGS)

chaos-gitops: $(STAMP) ## 10 min of Argo CD-like and Flux-like tools beside the operator
	@$(PY) tests/run.py gitops

lint: $(STAMP) ## ruff and codespell
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@.venv/bin/codespell

types: $(STAMP) ## mypy, strict
	@$(PY) -m mypy operator/agentsystem_operator agent_runtime agentsystem_cli devcluster images demo audit bench tests requirements/lock.py

layers: $(STAMP) ## the architecture's import rules
	@.venv/bin/lint-imports

generate: $(STAMP) ## write crds/ and docs/api.md from the models
	@$(PY) -m agentsystem_operator.api.generate

verify: $(STAMP) ## generated files, locks and manifests are up to date
	@$(PY) -m agentsystem_operator.api.generate --check
	@$(PY) requirements/lock.py --check
	@$(KUBECTL) kustomize config/default >/dev/null
	@for each in config/namespaced config/namespaced/tenant; do $(KUBECTL) kustomize $$each >/dev/null; done

audit: $(STAMP) ## scan manifests, dependencies and images (PARTS="manifests sboms": only those)
	@$(PY) -m audit $(PARTS)

bench: $(STAMP) ## the numbers of the README (ARGS="runtime --json out.json" for one)
	@command -v redis-server >/dev/null || { apt-get update -qq && apt-get install -y -qq redis-server; }
	@$(PY) -m bench $(ARGS)

images: $(STAMP) ## build both images, load them into running dev clusters (REPO=.. PUSH=1: push)
	@$(PY) -m images $(if $(NAME),--cluster $(NAME)) $(if $(REPO),--repo $(REPO)) $(if $(TAG),--tag $(TAG)) $(if $(PUSH),--push) $(if $(FRESH),--fresh)

sbom: $(STAMP) ## what is in both images, as CycloneDX beside the archives
	@$(PY) -m images --sbom

cluster-up: $(STAMP) ## a real, disposable Kubernetes cluster (NAME=demo NODES=2)
	@$(PY) -m devcluster up --name $(or $(NAME),demo) --nodes $(NODES)

cluster-down: $(STAMP) ## remove that cluster
	@$(PY) -m devcluster down --name $(or $(NAME),demo)

lock: $(STAMP) ## lock the dependencies anew (needs the package index)
	@$(PY) requirements/lock.py

venv: $(STAMP) ## make or refresh .venv, and nothing else

clean: ## remove .venv and the caches in the tree (not the build cache in your home)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
