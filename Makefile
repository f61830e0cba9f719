# Two commands do all the set-up: `make image` and `make test`. Both are quick when run again.

PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

IMAGE_PACKAGES := debian-archive-keyring e2fsprogs fakeroot fdisk mmdebstrap mtools qemu-system-x86 qemu-utils uidmap
TEST_PACKAGES := $(IMAGE_PACKAGES) busybox distro-info-data fish lz4 microsocks openssh-client openssh-server ovmf packer qemu-system-gui sudo tcsh x11-utils xvfb

.PHONY: help image test test-quick lint format bench clean

help:
	@echo "make image       build the images of builds/, verified, on local QEMU"
	@echo "make test        lint, and all tests; some boot virtual machines"
	@echo "make test-quick  the tests that boot no virtual machine"
	@echo "make lint        ruff, mypy and import-linter"
	@echo "make format      let ruff format the code"
	@echo "make bench       the benchmarks, each against its peer"
	@echo "make clean       remove the virtual environment and what tools left here"

image: .venv/installed
	@scripts/system-packages $(IMAGE_PACKAGES)
	$(PYTEST) builds/ -v

test: lint
	@scripts/system-packages $(TEST_PACKAGES)
	$(PYTEST) tests/ -m "not vm" -n auto
	$(PYTEST) tests/ -m vm

test-quick: .venv/installed-dev
	$(PYTEST) tests/ -m "not vm" -n auto

lint: .venv/installed-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/installed-dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: .venv/installed-dev
	@scripts/system-packages $(TEST_PACKAGES)
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

.venv/installed: pyproject.toml constraints.txt
	@scripts/virtual-environment $(PYTHON)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@
