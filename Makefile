# SPDX-License-Identifier: Apache-2.0
# The README's commands over Meson. `make help` lists them; `make m=KIND ...` builds a variant in
# a folder of its own: asan ubsan tsan cov dbg clang.
SHELL = /bin/bash -o pipefail
m ?=
build = build$(if $(m),-$(m))

setup_asan  = -Db_sanitize=address -Dbuildtype=debugoptimized
setup_ubsan = -Db_sanitize=undefined -Dbuildtype=debugoptimized
setup_tsan  = -Db_sanitize=thread -Dbuildtype=debugoptimized
setup_cov   = -Db_coverage=true -Dbuildtype=debug
setup_dbg   = -Dbuildtype=debug
setup_clang =
$(if $(filter-out asan ubsan tsan cov dbg clang,$(m)),$(error m=$(m): one of asan ubsan tsan cov dbg clang))

compile = ninja -C $(build) --quiet $(1) </dev/null | { grep -v 'no work to do' || true; }

.PHONY: all run check check-kvm check-long watch format lint clean help
all: packages-build $(build)/build.ninja
	@$(call compile)

packages-%:
	@tools/setup $(subst -, ,$*) </dev/null

$(build)/build.ninja:
	@$(if $(filter clang,$(m)),CC=clang) meson setup $(setup_$(m)) $(build) >/dev/null </dev/null || \
	    { meson setup $(setup_$(m)) $(build) | tail -n 20; exit 1; }

demo_needs = posada guest/init.riscv64 guest/agent.riscv64

# Boots the demo guest. Input that is no terminal is a script for the guest's shell.
run: packages-build-run $(build)/build.ninja
	@$(call compile,$(demo_needs))
	@tools/demo $(build)/posada

check: packages-build-run-test $(build)/build.ninja
	@$(call compile)
	@tests/run --build $(build)

check-kvm: packages-build-run-test $(build)/build.ninja
	@$(call compile)
	@tests/run --build $(build) --long kvm/

check-long: packages-build-run-test $(build)/build.ninja
	@$(call compile)
	@tests/run --build $(build) --long

watch: packages-build-test $(build)/build.ninja
	@tools/watch $(build)

format: packages-test
	@tools/ck_format --fix

lint: packages-build-test-dev $(build)/build.ninja
	@$(call compile)
	@tools/lint $(build)

clean:
	rm -rf $(build)

help:
	@echo 'make run         boot a RISC-V Debian kernel to a shell (or run the commands on stdin in it)'
	@echo 'make check       all tests; closing line "N passed, N failed"'
	@echo 'make check-kvm   hardware guests, in a nested bed where there is no VT-x or AMD-V'
	@echo 'make check-long  the same and the slow ones (random programs, soak, lockstep)'
	@echo 'make watch       rebuild and test on every save'
	@echo 'make format      clang-format-14 over everything; make lint: clang-tidy, shellcheck'
	@echo 'make m=KIND ...  asan ubsan tsan cov dbg clang: a build folder each (build-KIND)'
