# The front door. Everything here can also be done by hand with cmake --preset, ninja and ctest.
# build, run, test and bench share one folder, so that nothing is compiled twice.

BUILD := build/release
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
# Warnings stop the build with the compiler that CI uses; a newer one may know more of them.
WERROR ?= $(if $(filter 12 12.%,$(shell g++ -dumpversion 2>/dev/null)),ON,OFF)
MODEL ?= models/llama-scout-mini.gguf
# What `make test` and `make microbench` select: a regular expression.
FILTER ?= .
# How long `make fuzz` spends on each target.
FUZZ_SECONDS ?= 30

.DEFAULT_GOAL := help
.PHONY: help setup setup-check configure build run test bench microbench format lint tidy asan tsan fuzz \
        coverage clean test-web test-clients test-arm test-emulated soak

help: ## show this list
	@echo 'make TARGET, where TARGET is one of'
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | \
	  awk -F '\t' '{ printf "  %-12s %s\n", $$1, $$2 }'

setup: ## install the Debian packages that building and testing need, if any is missing
	@tools/setup.sh build

setup-check: ## install those for format, tidy, asan, tsan, fuzz and coverage too
	@tools/setup.sh build check

configure: setup
	@cmake --preset release -DCORRAL_WERROR=$(WERROR) >/dev/null

build: configure ## build the program: build/release/corral
	@cmake --build $(BUILD) -j $(JOBS) --target corral

run: build ## chat with the model in models/; without a terminal, let it write one story
	@if [ -t 0 ] && [ -t 1 ]; then $(BUILD)/corral chat $(MODEL); \
	else $(BUILD)/corral run $(MODEL) -p 'Once upon a time' -n 200; fi

test: configure ## build the program and the tests and run them; FILTER=REGEX selects
	@cmake --build $(BUILD) -j $(JOBS) --target corral_all_tests
	@python3 tools/run_tests.py $(BUILD) -j $(JOBS) -R '$(FILTER)'

test-arm: ## test the kernels for 64-bit ARM: Debian's cross compiler, run in qemu
	@tools/setup.sh build arm || echo 'test-arm: goes on with what there is'
	@tools/test_arm.sh $(JOBS) '$(FILTER)'

test-emulated: setup ## test the kernels of AVX-VNNI and AMX on a processor without these
	@tools/test_emulated.sh $(JOBS) '$(FILTER)'

test-web: build ## test the chat page: its modules with node, the whole in Debian's chromium
	@[ ! -x "$$(command -v npm)" ] || [ -d tests/web/node_modules ] || \
	  npm ci --prefix tests/web --silent || echo 'test-web: npm ci failed; what needs it is skipped'
	@tsc --noEmit -p web
	@node tests/web/run.mjs $(BUILD)/corral

test-clients: configure ## fetch the clients that people use from npm and run them against the server
	@npm ci --prefix tests/clients --silent
	@cmake --build $(BUILD) -j $(JOBS) --target corral_serve_test
	@$(BUILD)/corral_serve_test --gtest_filter='Clients.*'

soak: build ## load the server and break things for SECONDS (default 180): streams, faults, leaks
	@python3 tests/serve/soak.py $(BUILD)/corral $(MODEL) --seconds $(or $(SECONDS),180)

bench: configure ## measure every kernel beside the machine's ceilings: tables and a roofline
	@cmake --build $(BUILD) -j $(JOBS)
	@python3 bench/kernel_table.py $(BUILD) --svg $(BUILD)/roofline.svg
	@python3 bench/training_tables.py $(BUILD)
	@echo 'picture: $(BUILD)/roofline.svg; one benchmark by itself: make microbench FILTER=REGEX'

microbench: configure ## build and run the benchmarks that FILTER selects
	@cmake --build $(BUILD) -j $(JOBS)
	@for bench in $(BUILD)/corral_*_bench; do "$$bench" --benchmark_filter='$(FILTER)' || exit 1; done

format: setup-check ## format the C++ sources in place
	@tools/format.sh

lint: setup-check ## check format, include directions and the tree's rules
	@tools/format.sh --check
	@python3 tools/check_floors.py
	@python3 tools/check_tree.py

tidy: setup-check ## run clang-tidy on every source (minutes)
	@cmake --preset debug >/dev/null
	@python3 tools/tidy.py --build build/debug -j $(JOBS)

asan: setup-check ## run the tests with address and undefined-behaviour sanitizers
	@cmake --preset asan >/dev/null && cmake --build --preset asan -j $(JOBS)
	@python3 tools/run_tests.py build/asan -j $(JOBS) -R '$(FILTER)'

tsan: setup-check ## run the tests with the thread sanitizer
	@cmake --preset tsan >/dev/null && cmake --build --preset tsan -j $(JOBS)
	@TSAN_OPTIONS="suppressions=$(CURDIR)/tools/tsan.supp" python3 tools/run_tests.py build/tsan -j $(JOBS) -R '$(FILTER)'

fuzz: setup-check ## fuzz every parser for FUZZ_SECONDS (30) each
	@cmake --preset fuzz >/dev/null && cmake --build --preset fuzz -j $(JOBS)
	@tools/fuzz.sh build/fuzz $(FUZZ_SECONDS)

coverage: setup-check ## run the tests and print the lines that they reach
	@cmake --preset coverage >/dev/null && cmake --build --preset coverage -j $(JOBS)
	@find build/coverage -name '*.gcda' -delete
	@python3 tools/run_tests.py build/coverage -j $(JOBS) -R '$(FILTER)'
	@gcovr --root . --filter src/ --exclude-throw-branches --gcov-ignore-parse-errors build/coverage

clean: ## remove everything that was built
	rm -rf build
