# Thin front of CMake. Programs land in bin/, libraries in lib/, everything else in build/.
BUILD_TYPE ?= RelWithDebInfo
BUILD_DIR  ?= build/main
PREFIX     ?= /usr/local
JOBS       ?= $(shell nproc)
SHELL      := /bin/bash

.PHONY: all debug release test sanitize soak demo simulate bench bench-report format tidy clean install deps gpu-check
all:
	@scripts/install_dependencies.sh --check
	cmake -S . -B $(BUILD_DIR) -G Ninja -DCMAKE_BUILD_TYPE=$(BUILD_TYPE) -DTESSERA_OUT=$(CURDIR) -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	cmake --build $(BUILD_DIR) -j $(JOBS)

debug:
	$(MAKE) all BUILD_TYPE=Debug BUILD_DIR=build/debug

release:
	$(MAKE) all BUILD_TYPE=Release BUILD_DIR=build/release

deps:
	scripts/install_dependencies.sh

test: deps
	$(MAKE) all
	scripts/test.sh $(BUILD_DIR)

sanitize: deps
	scripts/sanitize.sh

soak: deps
	$(MAKE) all
	scripts/soak.sh $(BUILD_DIR)

demo: deps
	$(MAKE) all
	scripts/demo.sh

# Random workloads against the scheduling policies: make simulate SEEDS=100000
simulate: deps
	$(MAKE) all
	bin/gpu_scheduler check --seeds $(or $(SEEDS),1000)

bench: deps
	$(MAKE) all
	scripts/bench.sh $(BUILD_DIR)

# Shares, latency and cost against what is promised, in build/report: make bench-report OPTIONS='--rounds 1'
bench-report: deps
	$(MAKE) all
	scripts/bench_report.sh $(BUILD_DIR) $(OPTIONS)

gpu-check: deps
	$(MAKE) all
	scripts/gpu_check.sh

format:
	git ls-files '*.cc' '*.h' '*.cu' | xargs clang-format -i

tidy: all
	git ls-files 'src/*.cc' | xargs -P $(JOBS) -n 4 clang-tidy -quiet -p $(BUILD_DIR)

install: all
	cmake --install $(BUILD_DIR)

clean:
	rm -rf build bin lib
