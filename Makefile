# make run: builds Cairn, starts it and feeds it.    make test: passes all tests.    make deb: a Debian package.
SWIFT_FLAGS := -c release -Xswiftc -enable-testing
BINARY := .build/release/cairn
DATA ?= data
export CAIRN_VENV := $(CURDIR)/.venv
export CAIRN_PYTHON := $(CURDIR)/.venv/bin/python
export CAIRN_BINARY := $(CURDIR)/$(BINARY)

.PHONY: run build test test-swift test-interop test-units lint setup simulate bench bench-cloud package deb install test-package image test-image clean help

help:
	@echo "make run            build, start gateway and cloud in one process, feed them from the simulator"
	@echo "make run REPLAY=F   the same, fed from a receiver capture"
	@echo "make test           everything: format, unit tests, simulation, real clients and servers"
	@echo "make simulate SEEDS=N   more lives of the simulation than make test plays"
	@echo "make deb            a package for Debian 12 and 13: .build/cairn_VERSION_ARCH.deb"
	@echo "make test-package   that package on fresh Debian systems, in containers; needs root"
	@echo "make install        the same files into DESTDIR= PREFIX=/usr/local"
	@echo "make bench          figures of docs/performance.md"
	@echo "make bench-cloud    those of the cloud node alone; ARGS=\"--quick --only ack\", PEER=host:port"
	@echo "make image          a bootable image of the gateway (images/README.md); ARGS=\"--ssh KEYS\""
	@echo "make test-image     boots it in a virtual machine: provisioning, power cuts, updates; needs no KVM, takes half an hour"

run: build
	@exec $(BINARY) up --data-dir $(DATA) $(if $(REPLAY),--replay $(REPLAY),--simulate) $(ARGS)

build:
	@scripts/system-packages build
	@swift build $(SWIFT_FLAGS) --product cairn

lint:
	@swift format lint --strict --recursive Sources Tests Package.swift

setup:
	@scripts/system-packages test
	@scripts/venv

test: setup lint test-swift test-interop test-units

test-swift: setup
	@swift build $(SWIFT_FLAGS) --build-tests
	@swift test $(SWIFT_FLAGS) --skip-build --no-parallel

test-interop: setup
	@swift build $(SWIFT_FLAGS) --product cairn
	@.venv/bin/python -m pytest -q Tests/Interop

# The units of systemd and the package, in one container; without root, or where no container can be had, a line says so.
test-units: setup
	@CONTAINERS_OR_SKIP=yes $(MAKE) --no-print-directory test-package SUITES=trixie PYTEST="-q -rs"

# Any number of simulated lives: make simulate SEEDS=20000, one with its trace: make simulate SEED=17
simulate: build
	@swift build $(SWIFT_FLAGS) --build-tests
	@CAIRN_SEEDS=$(or $(SEEDS),20000) $(if $(SEED),CAIRN_SEED=$(SEED)) swift test $(SWIFT_FLAGS) --skip-build --filter Simulation

bench:
	@scripts/system-packages bench
	@scripts/venv
	@swift build $(SWIFT_FLAGS)
	@bench/run

bench-cloud:
	@scripts/system-packages bench
	@scripts/venv
	@swift build $(SWIFT_FLAGS) --product cairn
	@.venv/bin/python bench/kafka/run.py $(ARGS)

# What is installed: the program with the Swift runtime inside, manual pages, completions, examples.
# PROGRAM=F takes a program that is linked so already, and builds nothing.
package: $(if $(PROGRAM),,build)
	@scripts/system-packages deb
	@scripts/deb/stage $(PROGRAM)

deb: package
	@scripts/deb/build

# SUITES="bookworm trixie"; OLDER=FILE.deb: upgrades from that package too
test-package: deb
	@scripts/system-packages package
	@scripts/venv
	@$(if $(OLDER),OLDER="$(abspath $(OLDER))") .venv/bin/python -m pytest $(or $(PYTEST),-q -s) Tests/Package

install: package
	@DESTDIR="$(DESTDIR)" PREFIX="$(or $(PREFIX),/usr/local)" scripts/deb/install

# What goes into the image: the program as it is packaged, or IMAGE_BINARY="--binary FILE" or "--deb FILE".
IMAGE_BINARY ?= --binary .build/package/cairn
IMAGE_NEEDS := $(if $(filter .build/package/cairn,$(IMAGE_BINARY)),package)

image: $(IMAGE_NEEDS)
	@images/requirements
	@images/build $(IMAGE_BINARY) $(ARGS)

test-image: build $(IMAGE_NEEDS)
	@images/requirements test
	@scripts/system-packages test
	@scripts/venv
	@shellcheck -x $(shell grep -lrE '^\#!/bin/bash|^\#!/usr/bin/env bash' images --include='*' --exclude-dir=root)
	@shellcheck -x -P images/root $(filter-out %/common.sh,$(wildcard images/root/usr/lib/cairn/*))
	@images/test/prepare .build/image-test $(IMAGE_BINARY)
	@.venv/bin/python -m pytest -x -q images/test

clean:
	rm -rf .build .venv
