# `make` lists the targets. Each does the set-up it needs, in .venv, and reuses one that is there.
SHELL := /bin/bash
.SHELLFLAGS := -eo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup build test test-numpy1 test-slow fuzz chaos soak mutation faults lint docs demo clean

# the ROS 2 wheels to use where no ROS 2 is sourced: kilted (also when empty) or jazzy
ROS ?=
export ROS
DATAROOT ?=
OUT ?= demo
ENV := . scripts/env.sh

help:  ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' Makefile

setup:  ## virtual environment with pinned packages and, where none is sourced, ROS 2 from wheels
	@scripts/setup.sh

build: setup  ## colcon build: messages, nodes, launch files into install/
	@$(ENV) && scripts/build.sh

test: build  ## build, lint and every quick test, through colcon; ROS=jazzy: the ROS tests alone, on that distribution
	@$(ENV) && scripts/test.sh

test-numpy1: setup  ## the tests of what handles arrays, on NumPy 1.26
	@$(ENV) && scripts/test_numpy1.sh

test-slow: build  ## the tests that take minutes
	@$(ENV) && python -m pytest -m slow -rs

fuzz: setup  ## damaged files for every reader, an hour; SHARE=0.1 for a tenth, SEED=1 for others
	@$(ENV) && python benchmarks/fuzz.py --share $(or $(SHARE),1) --seed $(or $(SEED),0) $(if $(RESULTS),--out $(RESULTS))

chaos: build  ## kill -9, full disk, no permission, two at once for every command that writes; KILLS=12 of each, SEED as above
	@$(ENV) && export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 && \
		python benchmarks/chaos.py --kills $(or $(KILLS),12) --seed $(or $(SEED),0) $(if $(RESULTS),--out $(RESULTS))

soak: build  ## student_node for an hour (MINUTES=60) at 12 Hz while cameras, stamps, calibrations and subscribers misbehave
	@$(ENV) && python benchmarks/soak.py --minutes $(or $(MINUTES),60) --seed $(or $(SEED),0) $(if $(RESULTS),--out $(RESULTS))

mutation: setup  ## faults planted in PART=distill, losses, metrics, training or vectorizer: does a test notice? SHARE, SEED as above
	@$(ENV) && scripts/mutation.sh $(or $(PART),losses) --share $(or $(SHARE),1) --seed $(or $(SEED),0)

faults: setup  ## the named faults of FAULTS=test/faults/*.txt, planted one at a time: does a test notice? ONLY=mfd: lines with that
	@$(ENV) && python scripts/faults.py $(or $(FAULTS),test/faults/*.txt) $(if $(ONLY),--only "$(ONLY)")

lint: setup  ## ruff, mypy and codespell
	@$(ENV) && ruff check . && mypy && codespell

docs: setup  ## the documentation on http://127.0.0.1:8000, built anew when a page changes
	@$(ENV) && NO_MKDOCS_2_WARNING=1 mkdocs serve --watch mapkd_core --watch mapkd_ros --watch scripts

demo: build  ## a drive through player, node and recorder; DATAROOT=<nuScenes folder> for real frames
	@$(ENV) && python scripts/demo.py --out "$(OUT)" $(if $(DATAROOT),--dataroot "$(DATAROOT)")

clean:  ## removes what was built; .venv too with: make clean VENV=1
	@rm -rf build install log .cache/jazzy .cache/tf2_msgs .cache/demo_drive .mypy_cache .ruff_cache \
		$(if $(VENV),.venv .venv-jazzy .venv-numpy1 .venv-mutation .cache)
	@find demo -mindepth 1 -not -name README.md -delete 2>/dev/null || true
