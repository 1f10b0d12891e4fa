-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Linux by its 64-bit entry: long mode, identity pages, RSI at the zero page
-- (Documentation/x86/boot.rst, "64-bit boot protocol").

local cmdline = require "vmm.boot.cmdline"
local cpu_mode = require "vmm.boot.cpu_mode"
local failure = require "vmm.boot.failure"
local kernel = require "vmm.boot.kernel"
local layout = require "vmm.x86.layout"
local plan = require "vmm.boot.plan"
local zero_page = require "vmm.boot.zero_page"

local linux64 = {}

-- Puts a kernel and what it needs into memory. options:
--   mem, load     guest memory; the loaders (vmm.load)
--   image         a vmlinux (ELF) or a bzImage
--   cmdline       string (""); initrd: an image (none)
--   himem_start   0x100000. bzImage as it is: where its protected-mode part goes. ELF: no
--                 segment may start below it.
--   unpack        a bzImage is unpacked on the host: true (or fail), false (the guest does
--                 it), nil (here if its format is known)
--   slide         bytes added to the kernel's addresses, relocations applied (0)
--   rsdp          address of the ACPI RSDP (none)
--   reserved      more ranges for the e820 map, see layout.e820 (none)
-- Returns a plan (vmm.boot.plan; kernel = vmm.boot.kernel's table) or nil, message, code.
linux64.load = failure.catch(function(options)
    local new = plan.new("linux64", options)
    local loaded = kernel.load(new, options)
    local bzimage = loaded.bzimage
    local initrd = kernel.load_initrd(new, options, loaded)
    cmdline.place(new, options.cmdline or "", bzimage and bzimage.cmdline_size_max)
    local page = zero_page.build {
        setup_header = bzimage and bzimage.setup_header,
        cmdline = layout.cmdline,
        e820 = layout.e820(options.mem:regions(), options.reserved),
        initrd = initrd,
        rsdp = options.rsdp,
        code32_start = loaded.how == "bzimage" and loaded.low or nil,
        kaslr = (options.slide or 0) ~= 0,
    }
    new:write("zero page", layout.zero_page, page)
    cpu_mode.long(new, loaded.entry, loaded.high)
    new.regs.rsi = layout.zero_page
    new.kernel = loaded
    return new
end)

return linux64
