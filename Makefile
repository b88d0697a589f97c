# The front door. `make help` lists what there is.
.DEFAULT_GOAL := build
PRESET ?= release
BUILD := build/$(PRESET)
# make compare A=./model-a B=ORG/NAME ARGS='--limit 20'
A ?= demo:distilled
B ?= demo:native
ARGS ?=

.PHONY: help build deps compare serve test page bench package format lint clean

help: ## This list
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/'

deps: ## Install the Debian packages that are missing
	@tools/install_deps.sh

build: deps ## Build build/release/touchstone
	@cmake --preset $(PRESET) -DTOUCHSTONE_TESTS=OFF
	@cmake --build --preset $(PRESET) --target touchstone

compare: build ## Compare two models: the built-in pair, or make compare A=… B=…
	@$(BUILD)/touchstone compare $(A) $(B) $(ARGS)

serve: build ## Serve both on http://127.0.0.1:7860 for any OpenAI client
	@$(BUILD)/touchstone serve $(A) $(B) $(ARGS)

test: ## Build and run all tests
	@tools/install_deps.sh test
	@cmake --preset $(PRESET) -DTOUCHSTONE_TESTS=ON
	@cmake --build --preset $(PRESET)
	@ctest --preset $(PRESET) -j $$(nproc)

page: build ## Check the page: its types, its tests in Chromium, and that web/dist is what the sources build
	@tools/install_deps.sh page
	@TOUCHSTONE=$(CURDIR)/$(BUILD)/touchstone web/check.sh

bench: build ## Measure speed against this machine's roofline
	@$(BUILD)/touchstone bench $(A) --roofline $(ARGS)

package: build ## Make the Debian package build/release/package/*.deb
	@tools/install_deps.sh package
	@cpack --config $(BUILD)/CPackConfig.cmake

format: ## Format all C++ sources
	@tools/install_deps.sh lint
	@git ls-files '*.cpp' '*.cu' '*.h' | xargs clang-format -i

lint: ## clang-format and clang-tidy, as CI runs them
	@tools/lint.sh

clean: ## Remove build folders
	@rm -rf build
