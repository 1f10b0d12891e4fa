# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# vmm-reference: one makefile, no recursion.  `make help` lists the targets.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules -j$(shell nproc)
SHELL := /bin/sh

V ?= 0
ifeq ($(V),0)
Q := @
say = @printf '  %-8s %s\n' '$(1)' '$(2)'
else
Q :=
say = @:
endif

PREFIX ?= /usr/local
DESTDIR ?=
ifeq ($(origin CC),default)
CC := gcc
endif
CLANG ?= clang
comma := ,
B := .build
# What depends on FEATURES; builds of several choices may share all else: make F=.build/small ...
F := $(B)
in_version = $(shell awk '$$2 == "VMM_$(1)" { print $$3 }' include/vmm/version.h)
VERSION := $(call in_version,VERSION_MAJOR).$(call in_version,VERSION_MINOR).$(call \
	in_version,VERSION_PATCH)
SOVERSION := $(call in_version,ABI_VERSION)

include src/features.mk

# ---- packages: what a fresh Debian 12 lacks -----------------------------------
BUILD_PACKAGES := gcc libc6-dev linux-libc-dev pkg-config lua5.4 \
	liblua5.4-dev $(call of,PACKAGES,$(BUILT))
GUEST_PACKAGES := qemu-system-x86 busybox-static
TEST_PACKAGES := gdb munge slurm-wlm ethtool fio iperf3 tshark rng-tools5 e2fsprogs mmdebstrap lua-busted lua-check libcmocka-dev \
	clang clang-format libclang-rt-14-dev procps acpica-tools pciutils qemu-utils cpio gzip \
	bzip2 xz-utils lz4 zstd chromium libxml2-utils perl
BENCH_PACKAGES := fio iperf3 e2fsprogs python3-pexpect

$(F)/packages-%: Makefile $(F)/gen/vmm_features.h
	@mkdir -p $(@D)
	@src/packages.sh $(PACKAGES_$*)
	@touch $@
PACKAGES_build := $(BUILD_PACKAGES)
PACKAGES_run := $(BUILD_PACKAGES) $(GUEST_PACKAGES)
PACKAGES_test := $(BUILD_PACKAGES) $(GUEST_PACKAGES) $(TEST_PACKAGES)
PACKAGES_bench := $(BUILD_PACKAGES) $(GUEST_PACKAGES) $(BENCH_PACKAGES)

# ---- flags ---------------------------------------------------------------------
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wundef -Wvla -Wpointer-arith \
	-Wcast-qual -Wwrite-strings -Wstrict-prototypes -Wmissing-prototypes \
	-Wformat=2 -Wswitch-enum -Wconversion -Wno-sign-conversion \
	-Wnull-dereference $(if $(WERROR),-Werror)
WARN_gcc := -Wlogical-op -Wduplicated-cond -Wduplicated-branches
COMPILER_KIND = $(if $(findstring clang,$(1)),clang,gcc)
CPPFLAGS := -Iinclude -Isrc -D_GNU_SOURCE
CFLAGS ?= -O2 -g
BASE_CFLAGS := -std=gnu11 -fPIC -fvisibility=hidden -pthread
LUA_CFLAGS = $(shell pkg-config --cflags lua5.4)
LUA_LIBS = $(shell pkg-config --libs lua5.4)
LIBS := $(call of,LIBS,$(BUILT)) -pthread -ldl

SRC := $(filter-out $(call of,SRC,$(LEFT_OUT)),$(wildcard src/*/*.c))
LIB_SRC := $(filter-out src/lua/%,$(SRC))
LUA_SRC := $(filter src/lua/%,$(SRC))
SCRIPTS := $(filter-out $(call of,SCRIPTS,$(LEFT_OUT)),$(sort $(wildcard \
	lua/vmm/*.lua lua/vmm/*/*.lua)))
# $(call objects,VARIANT,SOURCES)
objects = $(patsubst %.c,$(F)/$(1)/%.o,$(filter $(REGISTRY_SRC),$(2))) \
	$(patsubst %.c,$(B)/$(1)/%.o,$(filter-out $(REGISTRY_SRC),$(2)))
BYTECODE := $(SCRIPTS:%.lua=$(B)/gen/%.luac)
UNIT_SRC := $(filter-out $(call of,TESTS,$(LEFT_OUT)),$(wildcard tests/unit/test_*.c))
# What has threads: for TSan.  (KVM's guests change memory behind its back.)
THREADED := $(filter $(UNIT_SRC),$(foreach t,loop console ring bus vcpu serial meter trace \
	virtq virtio vhost line_editor net,$(wildcard tests/unit/test_$(t)*.c)))
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)
C_FILES := $(wildcard include/vmm/*.h src/*.c src/*/*.[ch] tests/*/*.[ch] tests/guest/*/*.[ch])

.PHONY: FORCE
$(F)/gen/vmm_features.h: FORCE
	@mkdir -p $(@D)
	@src/features.sh $@ "$(BUILT)" "$(FEATURES_ALL)"

# ---- one set of rules per variant: release, asan, tsan, fuzz -----------------------
# $(1) variant, $(2) compiler, $(3) extra flags
define variant
$(B)/$(1)/src/lua/%.o: src/lua/%.c | $(F)/packages-build
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$$(Q)$(2) $$(CPPFLAGS) $$(LUA_CFLAGS) $$(BASE_CFLAGS) $$(CFLAGS) \
		$$(WARN) $$(WARN_$$(call COMPILER_KIND,$(2))) $(3) -MMD -MP -c -o $$@ $$<
$(B)/$(1)/src/main.o: src/main.c | $(F)/packages-build
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$$(Q)$(2) $$(CPPFLAGS) $$(LUA_CFLAGS) $$(BASE_CFLAGS) $$(CFLAGS) \
		$$(WARN) $$(WARN_$$(call COMPILER_KIND,$(2))) $(3) -MMD -MP -c -o $$@ $$<
$(B)/$(1)/src/%.o: src/%.c | $(F)/packages-build
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$$(Q)$(2) $$(CPPFLAGS) $$(BASE_CFLAGS) $$(CFLAGS) \
		$$(WARN) $$(WARN_$$(call COMPILER_KIND,$(2))) $(3) -MMD -MP -c -o $$@ $$<
$(patsubst %.c,$(F)/$(1)/%.o,$(REGISTRY_SRC)): $(F)/$(1)/%.o: %.c $(F)/gen/vmm_features.h \
		| $(F)/packages-build
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$$(Q)$(2) $$(CPPFLAGS) -iquote $(F)/gen $$(LUA_CFLAGS) $$(BASE_CFLAGS) $$(CFLAGS) \
		$$(WARN) $$(WARN_$$(call COMPILER_KIND,$(2))) $(3) -MMD -MP -c -o $$@ $$<
$(F)/$(1)/scripts.o: $(F)/gen/scripts.S $(BYTECODE)
	@mkdir -p $$(@D)
	$$(Q)$(2) -c -o $$@ $$<
$(F)/$(1)/libvmm.a: $(call objects,$(1),$(LIB_SRC)) $(F)/gen/vmm_features.h
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && ar rcs $$@ $$(filter %.o,$$^)
$(F)/$(1)/vmm-reference: $(B)/$(1)/src/main.o $(call objects,$(1),$(LUA_SRC)) \
		$(F)/$(1)/scripts.o $(F)/$(1)/libvmm.a
	$$(call say,LD,$$@)
	$$(Q)$(2) $$(CFLAGS) $(3) $$(LDFLAGS) -Wl,-E -o $$@ $$(filter %.o,$$^) \
		-Wl,--whole-archive $(F)/$(1)/libvmm.a -Wl,--no-whole-archive \
		$$(LUA_LIBS) $$(LIBS)
$(F)/$(1)/tests/%: tests/%.c $(F)/$(1)/libvmm.a | $(F)/packages-test
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)
	$$(Q)$(2) $$(CPPFLAGS) $$(BASE_CFLAGS) $$(CFLAGS) $(3) \
		$$(if $$(findstring fuzz_,$$*),-fsanitize=fuzzer) -Wall -Wextra \
		$(if $(WERROR),-Werror) -MMD -MP -o $$@ $$< $(F)/$(1)/libvmm.a \
		$$(if $$(findstring unit/,$$*),-lcmocka) $$(LIBS)
endef
$(eval $(call variant,release,$(CC),))
$(eval $(call variant,asan,$(CC),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer -fno-sanitize-recover=all))
$(eval $(call variant,tsan,$(CC),-fsanitize=thread))
$(eval $(call variant,fuzz,$(CLANG),-fsanitize=fuzzer-no-link$(comma)address$(comma)undefined -fno-sanitize-recover=all))
-include $(wildcard $(foreach d,$(sort $(B) $(F)),$(d)/*/*.d $(d)/*/*/*.d $(d)/*/*/*/*.d))

# The Lua library, embedded, compiled: that makes its loading seven times faster.
$(B)/gen/%.luac: %.lua | $(F)/packages-build
	@mkdir -p $(@D)
	$(Q)luac5.4 -o $@ $<
$(F)/gen/scripts.S: src/lua/embed.sh $(SCRIPTS) $(F)/gen/vmm_features.h
	@mkdir -p $(@D)
	$(Q)src/lua/embed.sh $(B)/gen $(SCRIPTS) > $@

# ---- tests/guest: tiny guests, each as flat binary, ELF and (64-bit ones) bzImage ------
# A name that ends in 16 or 32 tells the mode of the entry; all others are 64-bit.
GUEST_NAMES := $(sort $(basename $(notdir $(wildcard tests/guest/*.[cS]))))
GUEST_NAMES_64 := $(filter-out %16 %32,$(GUEST_NAMES))
GUEST_C_NAMES := $(basename $(notdir $(wildcard tests/guest/*.c)))
# Programs that Linux guests run.
LINUX_PROGRAMS := $(patsubst tests/guest/linux/%.c,$(B)/guest/linux/%,$(wildcard tests/guest/linux/*.c))
GUESTS := $(GUEST_NAMES:%=$(B)/guest/%.elf) $(GUEST_NAMES:%=$(B)/guest/%.bin) \
	$(GUEST_NAMES_64:%=$(B)/guest/%.bzimage) $(LINUX_PROGRAMS)
GUEST_BASE = $(if $(filter %16,$(1)),0x7c00,0x100000)
GUEST_CFLAGS := -std=gnu11 -O1 -ffreestanding -fpie -fvisibility=hidden \
	-mgeneral-regs-only -mno-red-zone -fno-stack-protector -fcf-protection=none \
	-fno-asynchronous-unwind-tables -Wall -Wextra $(if $(WERROR),-Werror)
GUEST_LDFLAGS := -nostdlib -static -no-pie -Wl,--build-id=none,-z,noexecstack \
	-Wl,-T,tests/guest/lib/guest.ld

guests: $(GUESTS) ## build the tiny guests of the tests into .build/guest
.PHONY: guests
$(B)/guest/%.o: tests/guest/%.c | $(F)/packages-build
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/guest/%.o: tests/guest/%.S | $(F)/packages-build
	@mkdir -p $(@D)
	$(call say,AS,$@)
	$(Q)$(CC) -MMD -MP -c -o $@ $<
$(GUEST_C_NAMES:%=$(B)/guest/%.elf): $(B)/guest/lib/start.o $(B)/guest/lib/guest.o
$(B)/guest/serial_irq.elf: $(B)/guest/lib/interrupt.o
$(B)/guest/%.elf: $(B)/guest/%.o tests/guest/lib/guest.ld
	$(call say,LD,$@)
	$(Q)$(CC) $(GUEST_LDFLAGS) -Wl,--defsym=guest_base=$(call GUEST_BASE,$*) \
		-o $@ $(filter %.o,$^)
$(B)/guest/linux/%: tests/guest/linux/%.c | $(B)/packages-build
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -D_GNU_SOURCE -std=gnu11 -O1 -s $(WARN) -static -MMD -MP -o $@ $<
$(B)/guest/%.bin: $(B)/guest/%.elf
	$(Q)objcopy -O binary $< $@
$(B)/guest/%.bzimage.o: tests/guest/lib/bzimage.S $(B)/guest/%.bin
	$(Q)$(CC) -DIMAGE='"$(B)/guest/$*.bin"' -c -o $@ $<
$(B)/guest/%.bzimage: $(B)/guest/%.bzimage.o
	$(call say,BZIMAGE,$@)
	$(Q)objcopy -O binary $< $@

# ---- tests/bench: the yardsticks ---------------------------------------------------------
BENCH := $(B)/bench/raw $(B)/bench/launch $(B)/bench/stream
$(B)/bench/launch $(B)/bench/stream: LDFLAGS += -static # they run in the lab as well
$(B)/bench/%: tests/bench/%.c | $(F)/packages-build
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -D_GNU_SOURCE -std=gnu11 $(CFLAGS) $(WARN) -MMD -MP $(LDFLAGS) -o $@ $<
PARTS ?=
bench: vmm-reference guests $(BENCH) | $(F)/packages-bench ## compare with a raw KVM program and with QEMU
	$(Q)./vmm-reference tests/bench/bench.lua $(PARTS)
.PHONY: bench

# ---- products ------------------------------------------------------------------------
R := $(F)/release
LIB_OBJ := $(call objects,release,$(LIB_SRC))
LUA_OBJ := $(call objects,release,$(LUA_SRC))
MODULE_OBJ := $(filter-out %/front.o %/scripts.o,$(LUA_OBJ))

# Another F leaves the tree's ./vmm-reference alone.
all: $(if $(filter $(B),$(F)),vmm-reference,$(R)/vmm-reference) libraries ## build the program and the libraries
libraries: $(R)/libvmm.so.$(SOVERSION) $(R)/libvmm-lua.so.$(SOVERSION) \
	$(R)/static/libvmm.a $(R)/static/libvmm-lua.a $(R)/vmm/core.so \
	$(R)/vmm.pc $(R)/vmm-lua.pc
.PHONY: all libraries

vmm-reference: $(R)/vmm-reference
	$(Q)cp -f $< $@

# C blocks, no Lua.
$(R)/libvmm.so.$(SOVERSION): $(LIB_OBJ) $(F)/gen/vmm_features.h
	$(call say,LD,$@)
	$(Q)$(CC) -shared -Wl,-soname,$(@F) -Wl,-z,defs $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIBS)
	$(Q)ln -sf $(@F) $(R)/libvmm.so

# The same plus the Lua library, behind one call (include/vmm/lua.h).
$(R)/libvmm-lua.so.$(SOVERSION): $(LIB_OBJ) \
		$(LUA_OBJ) $(R)/scripts.o
	$(call say,LD,$@)
	$(Q)$(CC) -shared -Wl,-soname,$(@F) -Wl,-z,defs $(LDFLAGS) -o $@ $^ \
		$(LUA_LIBS) $(LIBS)
	$(Q)ln -sf $(@F) $(R)/libvmm-lua.so

# The archives to be installed: one object each, so that only what
# include/vmm declares is left for others to collide with.
$(R)/static/libvmm.a: $(LIB_OBJ)
$(R)/static/libvmm-lua.a: $(LIB_OBJ) $(LUA_OBJ) \
		$(R)/scripts.o
$(R)/static/%.a: $(F)/gen/vmm_features.h
	@mkdir -p $(@D)
	$(call say,AR,$@)
	$(Q)ld -r -o $(@:.a=.o) $(filter %.o,$^) && objcopy --localize-hidden $(@:.a=.o)
	$(Q)rm -f $@ && ar rcs $@ $(@:.a=.o)

# The C core for a stock lua5.4: not linked to liblua, which the host brings.
$(R)/vmm/core.so: $(LIB_OBJ) $(MODULE_OBJ)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) -shared $(LDFLAGS) -o $@ $^ $(LIBS)

# examples/*.c, for tests where there is nothing but files of the tree; for yourself see
# examples/README.md.
EXAMPLES := $(patsubst examples/%.c,$(B)/examples/%,$(wildcard examples/*.c))
$(B)/examples/%: examples/%.c $(R)/static/libvmm-lua.a
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -Iinclude $(CFLAGS) -Wall -Wextra $(if $(WERROR),-Werror) -MMD -MP -o $@ $< \
		$(R)/static/libvmm-lua.a $(LUA_LIBS) $(LIBS)

# What the shared libraries show: a removal is seen in the diff.
symbols: $(R)/libvmm.so.$(SOVERSION) $(R)/libvmm-lua.so.$(SOVERSION) ## list exported symbols anew
	$(Q)for l in libvmm libvmm-lua; do nm -D --defined-only $(R)/$$l.so.$(SOVERSION) | \
		awk '{ print $$3 }' | LC_ALL=C sort > tests/abi/$$l.symbols || exit 1; done
.PHONY: symbols

# Anew each time: PREFIX may be another.
$(R)/vmm.pc: FORCE
	@mkdir -p $(@D)
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'features=$(BUILT)' 'libdir=$${prefix}/lib' \
		'includedir=$${prefix}/include' '' 'Name: vmm' \
		'Description: building blocks of a virtual machine monitor for KVM' \
		'Version: $(VERSION)' 'Libs: -L$${libdir} -lvmm' \
		'Libs.private: $(LIBS)' 'Cflags: -I$${includedir}' > $@
$(R)/vmm-lua.pc: FORCE
	@mkdir -p $(@D)
	$(Q)printf '%s\n' 'prefix=$(PREFIX)' 'features=$(BUILT)' 'libdir=$${prefix}/lib' \
		'includedir=$${prefix}/include' '' 'Name: vmm-lua' \
		'Description: the VMM with its Lua library, behind one call' \
		'Version: $(VERSION)' 'Requires.private: lua5.4' \
		'Libs: -L$${libdir} -lvmm-lua' 'Libs.private: $(LIBS)' \
		'Cflags: -I$${includedir}' > $@

# ---- install ---------------------------------------------------------------------------
D = $(DESTDIR)$(PREFIX)
install: all ## install below $(DESTDIR)$(PREFIX)
	$(Q)install -d $(D)/bin $(D)/lib/pkgconfig $(D)/lib/lua/5.4/vmm \
		$(D)/include/vmm
	$(Q)install $(R)/vmm-reference $(D)/bin/
	$(Q)install -m 644 $(R)/static/libvmm.a $(R)/static/libvmm-lua.a $(D)/lib/
	$(Q)install $(R)/libvmm.so.$(SOVERSION) $(R)/libvmm-lua.so.$(SOVERSION) \
		$(D)/lib/
	$(Q)ln -sf libvmm.so.$(SOVERSION) $(D)/lib/libvmm.so
	$(Q)ln -sf libvmm-lua.so.$(SOVERSION) $(D)/lib/libvmm-lua.so
	$(Q)install -m 644 $(R)/vmm.pc $(R)/vmm-lua.pc $(D)/lib/pkgconfig/
	$(Q)install $(R)/vmm/core.so $(D)/lib/lua/5.4/vmm/
	$(Q)install -m 644 include/vmm/*.h $(D)/include/vmm/
	$(Q)for f in $(SCRIPTS); do \
		install -D -m 644 $$f $(D)/share/lua/5.4/$${f#lua/} || exit 1; done
	$(Q)install -d $(D)/share/man/man1 $(D)/share/bash-completion/completions
	$(Q)$(R)/vmm-reference --man > $(D)/share/man/man1/vmm-reference.1
	$(Q)$(R)/vmm-reference --completion bash \
		> $(D)/share/bash-completion/completions/vmm-reference
.PHONY: install

# ---- run -------------------------------------------------------------------------------
run: $(F)/packages-run vmm-reference ## boot Linux to a shell (in the lab where needed)
	$(Q)./vmm-reference examples/run.lua
.PHONY: run

lab: $(F)/packages-run vmm-reference ## the same in the lab, also where the host could
	$(Q)./vmm-reference lab examples/run.lua
.PHONY: lab

# ---- checks ----------------------------------------------------------------------------
UNIT := $(UNIT_SRC:%.c=$(R)/%)
TEST_PROGRAMS := $(UNIT) $(UNIT_SRC:%.c=$(F)/asan/%) $(THREADED:%.c=$(F)/tsan/%) \
	$(FUZZ_SRC:%.c=$(F)/fuzz/%) $(F)/asan/vmm-reference $(F)/tsan/vmm-reference
test: $(F)/packages-test all $(TEST_PROGRAMS) guests $(EXAMPLES) ## lint, unit tests, fuzzing, specs here and in the lab
	$(Q)./vmm-reference tests/run.lua
.PHONY: test

unit: $(UNIT) ## build and run the C unit tests
	$(Q)for t in $^; do ./$$t || exit 1; done
.PHONY: unit

lint: $(F)/packages-test ## style, layers, licences, warnings of gcc and clang
	$(Q)tests/lint/lint.sh
.PHONY: lint

# What lint compiles: all C of the products and tests, nothing linked.
compile: $(LIB_OBJ) $(LUA_OBJ) $(B)/release/src/main.o $(UNIT)
.PHONY: compile

asan: $(UNIT_SRC:%.c=$(F)/asan/%) $(F)/asan/vmm-reference ## unit tests under ASan and UBSan
	$(Q)for t in $(filter %/test_%,$^); do ./$$t || exit 1; done
.PHONY: asan

tsan: $(THREADED:%.c=$(F)/tsan/%) ## unit tests of what has threads under TSan
	$(Q)for t in $^; do ./$$t || exit 1; done
.PHONY: tsan

threaded: # for tests/run.lua: the sources of what runs under TSan
	@printf '%s\n' $(THREADED)
.PHONY: threaded

FUZZ_SECONDS ?= 20
fuzz: $(FUZZ_SRC:%.c=$(F)/fuzz/%) ## run every fuzz target for FUZZ_SECONDS
	$(Q)tests/fuzz/run.sh $(FUZZ_SECONDS) $^
.PHONY: fuzz

# name yes|no [needs ...] [-l...] files...
describe_feature = @echo '$(1) $(if $(filter $(1),$(BUILT)),yes,no)' \
	'$(if $(NEEDS_OF_$(1)),needs $(NEEDS_OF_$(1)))' '$(LIBS_OF_$(1))' \
	'$(SRC_OF_$(1)) $(SCRIPTS_OF_$(1))'
define newline


endef
features: ## list the blocks that FEATURES="..." picks from: built or not, files
	$(foreach f,$(FEATURES_ALL),$(call describe_feature,$(f))$(newline)	)
.PHONY: features

format: ## format the C sources
	$(Q)clang-format -i $(C_FILES)
.PHONY: format

clean: ## remove what was built (downloads stay in .build/cache)
	$(Q)find $(B) -mindepth 1 -maxdepth 1 ! -name cache -exec rm -rf {} +
	$(Q)rm -f vmm-reference
.PHONY: clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile
.PHONY: help
