# make run: builds Cairn, starts it and feeds it.    make test: passes all tests.    make deb: a Debian package.
SWIFT_FLAGS := -c release -Xswiftc -enable-testing
BINARY := .build/release/cairn
DATA ?= data
# The architecture, if another one than this machine's is asked for.
CROSS := $(if $(ARCH),$(filter-out $(shell dpkg --print-architecture),$(ARCH)))
export CAIRN_VENV := $(CURDIR)/.venv
export CAIRN_PYTHON := $(CURDIR)/.venv/bin/python
export CAIRN_BINARY := $(CURDIR)/$(BINARY)

.PHONY: run build test test-swift test-interop test-units lint setup simulate bench bench-cloud package deb install test-package arm64 test-arm64 image test-image clean help

help:
	@echo "make run            build, start gateway and cloud in one process, feed them from the simulator"
	@echo "make run REPLAY=F   the same, fed from a receiver capture"
	@echo "make test           everything: format, unit tests, simulation, real clients and servers"
	@echo "make simulate SEEDS=N   more lives of the simulation than make test plays"
	@echo "make deb            a package for Debian 12 and 13: .build/cairn_VERSION_ARCH.deb"
	@echo "make test-package   that package on fresh Debian systems, in containers; needs root"
	@echo "make arm64          the program for Debian 13 on arm64, compiled on amd64: .build/arm64/cairn"
	@echo "make deb ARCH=arm64 its package;  make test-arm64  runs it, emulated"
	@echo "make install        the same files into DESTDIR= PREFIX=/usr/local"
	@echo "make bench          figures of docs/performance.md"
	@echo "make bench-cloud    those of the cloud node alone; ARGS=\"--quick --only ack\", PEER=host:port"
	@echo "make image          a bootable image of the gateway (images/README.md); ARGS=\"--ssh KEYS\""
	@echo "make test-image     boots it in a virtual machine: provisioning, power cuts, updates; needs no KVM, takes up to an hour"

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
package: $(if $(CROSS),arm64,$(if $(PROGRAM),,build))
	@scripts/system-packages deb
	@ARCH=$(ARCH) scripts/deb/stage $(PROGRAM)

deb: package
	@ARCH=$(ARCH) scripts/deb/build

arm64:
	@scripts/system-packages arm64
	@scripts/arm64/build

test-arm64:
	@scripts/system-packages arm64
	@scripts/system-packages test
	@scripts/venv
	@CAIRN_BINARY=$(CURDIR)/scripts/arm64/run .venv/bin/python -m pytest -q -rs Tests/Arm64

# SUITES="bookworm trixie"; OLDER=FILE.deb: upgrades from that package too
test-package: deb
	@scripts/system-packages package
	@scripts/venv
	@$(if $(OLDER),OLDER="$(abspath $(OLDER))") .venv/bin/python -m pytest $(or $(PYTEST),-q -s) Tests/Package

install: package
	@DESTDIR="$(DESTDIR)" PREFIX="$(or $(PREFIX),/usr/local)" scripts/deb/install

# What goes into the image: the program as it is packaged, or IMAGE_BINARY="--binary FILE" or "--deb FILE".
PACKAGED := .build/$(addsuffix /,$(CROSS))package/cairn
IMAGE_BINARY ?= --binary $(PACKAGED)
IMAGE_NEEDS := $(if $(filter $(PACKAGED),$(IMAGE_BINARY)),package)

# ARCH=arm64 on another machine: what the cross compiler made; its test is the start, the settings and the data, without the updates.
image: $(IMAGE_NEEDS)
	@ARCH=$(ARCH) images/requirements
	@ARCH=$(ARCH) images/build $(IMAGE_BINARY) $(ARGS)

IMAGE_TEST := $(CURDIR)/.build/image-test$(addprefix -,$(CROSS))

test-image: build $(IMAGE_NEEDS)
	@ARCH=$(ARCH) images/requirements test
	@scripts/system-packages test
	@scripts/venv
	@shellcheck -x $(shell grep -lrE '^\#!/bin/bash|^\#!/usr/bin/env bash' images --include='*' --exclude-dir=root)
	@shellcheck -x -P images/root $(filter-out %/common.sh,$(wildcard images/root/usr/lib/cairn/*))
	@$(if $(CROSS),SMOKE=yes) ARCH=$(ARCH) images/test/prepare $(IMAGE_TEST) $(IMAGE_BINARY)
	@ARCH=$(ARCH) IMAGE_TEST_DIR=$(IMAGE_TEST) .venv/bin/python -m pytest -x $(or $(PYTEST),-q) $(if $(CROSS),-k "without_settings or taken_sealed") images/test

clean:
	rm -rf .build .venv
