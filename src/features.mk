# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# The blocks that a build may leave out: a line each.
#
#   make                              all of them
#   make FEATURES="serial elf"        these (what they need has to be named)
#   make FEATURES="-lab -bzimage"     all but these and those that need them
#
# $(call block,NAME,C files,Lua files,libraries,packages,what it needs,unit tests)
# A block is opened in src/lua/core.c; lua/vmm/features.lua names what scripts then miss.

block = $(eval $(call block_is,$(1),$(2),$(3),$(4),$(5),$(6),$(7)))
define block_is
FEATURES_ALL += $(1)
SRC_OF_$(1) := $(wildcard $(2))
SCRIPTS_OF_$(1) := $(wildcard $(3))
LIBS_OF_$(1) := $(4)
PACKAGES_OF_$(1) := $(5)
NEEDS_OF_$(1) := $(6)
TESTS_OF_$(1) := $(wildcard $(7:%=tests/unit/test_%.c))
endef

# ---- devices
$(call block,serial,src/devices/serial*.c src/lua/device_serial.c,,,,,serial*)
$(call block,i8042,src/devices/i8042.c src/lua/device_i8042.c,,,,,i8042)
$(call block,rtc,src/devices/rtc*.c src/lua/device_rtc.c,,,,,rtc)
$(call block,pvpanic,src/devices/pvpanic.c src/lua/device_pvpanic.c,,,,,pvpanic)
$(call block,debug_port,src/devices/debug_port.c src/lua/device_debug_port.c)
$(call block,acpi,src/devices/acpi_*.c src/lua/device_acpi_*.c,lua/vmm/x86/a*.lua,,,,acpi_*)
$(call block,mptable,,lua/vmm/x86/mptable.lua)
$(call block,tap,src/devices/bus_tap.c src/lua/lua_tap.c,,,,,bus_tap)
$(call block,doorbell,src/lua/doorbell.c)

$(call block,virtio,src/virtio/*.c src/lua/virtio*.c src/net/[!s]*.c src/lua/net.c \
	src/lua/net_fault.c src/lua/net_station.c, \
	lua/vmm/virtio*.lua lua/vmm/link.lua lua/vmm/net_fault.lua lua/vmm/station.lua,-luring,liburing-dev,acpi,virt* net*)
$(call block,user_net,src/net/slirp*.c src/lua/net_user.c,,,libslirp-dev,virtio,net_user)
# (The tests of virtio devices drive them over both transports.)
$(call block,pci,src/pci/*.c src/virtio/pci*.c src/lua/pci.c,lua/vmm/pci.lua,,,virtio,pci* virtio_* vhost_*)

$(call block,vhost_user,src/base/process.c src/virtio/vhost_*.c src/lua/vhost_user.c, \
	lua/vmm/vhost_user.lua lua/vmm/share.lua lua/vmm/storage.lua,,,virtio,vhost_* process)

# ---- kernels: ELF with the boot flows of Linux, bzImage, and what its payload is packed with
ELF_FLOWS := cmdline kernel linux64 pvh zero_page
$(call block,elf,src/boot/elf*.c src/lua/image_elf.c,$(ELF_FLOWS:%=lua/vmm/boot/%.lua),,,,elf* relocate)
$(call block,bzimage,src/boot/bzimage.c src/boot/unpack.c src/boot/unpack_formats.c \
	src/lua/image_bzimage.c,,,,elf,bzimage* unpack*)
$(call block,gzip,src/boot/unpack_gzip.c,,-lz,zlib1g-dev,bzimage,bzimage* unpack*)
$(call block,xz,src/boot/unpack_xz.c,,-llzma,liblzma-dev,bzimage,bzimage* unpack*)
$(call block,bzip2,src/boot/unpack_bzip2.c,,-lbz2,libbz2-dev,bzimage,bzimage* unpack*)
$(call block,lz4,src/boot/unpack_lz4.c,,-llz4,liblz4-dev,bzimage,bzimage* unpack*)
$(call block,zstd,src/boot/unpack_zstd.c,,-lzstd,libzstd-dev,bzimage,bzimage* unpack*)

# ---- where a console may go, beside stdio, files and the script
$(call block,pty,src/console/pty.c src/lua/console_pty.c,,,,,console*)
$(call block,unix,src/console/unix.c src/lua/console_unix.c,,,,,console*)

# ---- tools
$(call block,disassemble,src/machine/disassemble.c src/lua/disassemble.c, \
	lua/vmm/inspect/disassemble.lua,,libcapstone-dev)
$(call block,socket,src/lua/socket.c,lua/vmm/socket.lua lua/vmm/vsock.lua)
$(call block,line_editor,src/base/libedit.c src/base/line_editor*.c \
	src/lua/line_editor.c,,,libedit-dev,,line_editor)
METRICS := metrics trace top observe cli/top
$(call block,metrics,src/machine/metrics.c src/machine/meter.c src/machine/trace.c \
	src/kvm/stats.c src/lua/metrics.c src/lua/trace.c src/lua/ranges.c, \
	$(METRICS:%=lua/vmm/%.lua),,,,meter trace stats)
$(call block,debug,src/machine/debug*.c src/kvm/debug.c src/lua/debug*.c,lua/vmm/debug.lua,,,,debug*)
INSPECT := symbols kallsyms linux orc tasks types backtrace
$(call block,symbols,src/symbols/*.c src/lua/symbols.c src/lua/types.c, \
	$(INSPECT:%=lua/vmm/inspect/%.lua) lua/vmm/symbol_file.lua,,libelf-dev libbpf-dev,, \
	symbols* kallsyms* types*)
$(call block,gdb,,lua/vmm/gdb.lua lua/vmm/gdb/*.lua,,,socket debug)
GUESTS := guests guest/boot debian initramfs modules cpio
$(call block,guests,,$(GUESTS:%=lua/vmm/%.lua))
GUEST_PARTS := disk initrd kernel store
$(call block,scenario,,lua/vmm/scenario/*.lua lua/vmm/guest.lua $(GUEST_PARTS:%=lua/vmm/guest/%.lua) \
	lua/vmm/test/*.lua lua/vmm/report/*.lua lua/vmm/cli/report.lua,,,guests)
$(call block,lab,,lua/vmm/lab.lua lua/vmm/lab/*.lua,,,guests)

# The files that include vmm_features.h: all that is compiled anew for another choice.
REGISTRY_SRC := src/base/version.c src/boot/unpack_formats.c src/devices/bus.c \
	src/devices/bus_access.c src/machine/failure.c src/machine/dispatch.c \
	src/machine/life.c src/machine/machine.c src/lua/core.c

# ---- what FEATURES says ------------------------------------------------------------------
FEATURES ?= all
named := $(filter-out -%,$(FEATURES))
unwanted := $(patsubst -%,%,$(filter -%,$(FEATURES)))
unknown := $(filter-out all $(FEATURES_ALL),$(named) $(unwanted))
$(if $(unknown),$(error FEATURES: unknown $(unknown); valid: all $(FEATURES_ALL)))

# $(1) and, in the end, all that need one of them
with_users = $(if $(filter-out $(1),$(call users,$(1))),$(call \
	with_users,$(1) $(filter-out $(1),$(call users,$(1)))),$(1))
users = $(foreach f,$(FEATURES_ALL),$(if $(filter $(NEEDS_OF_$(f)),$(1)),$(f)))

# Only "-x"s: from all.
base := $(if $(named),$(named),$(if $(unwanted),all))
BUILT := $(filter $(if $(filter all,$(base)),%,$(base)),$(FEATURES_ALL))
BUILT := $(filter-out $(call with_users,$(unwanted)),$(BUILT))
$(foreach f,$(BUILT),$(foreach need,$(filter-out $(BUILT),$(NEEDS_OF_$(f))),$(error \
	FEATURES: $(f) needs $(need))))
LEFT_OUT := $(filter-out $(BUILT),$(FEATURES_ALL))

of = $(foreach f,$(2),$($(1)_OF_$(f)))
