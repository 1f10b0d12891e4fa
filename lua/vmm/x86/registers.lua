-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The names of a vCPU's registers, and where each lies in the kernel's structures.
--
-- A place is one of
--   { state =, offset =, size = }    an integer of 1 to 8 bytes in vcpu:get_state(state)
--   { state =, offset =, bytes = }   so many bytes, as a string
--   { state =, offset =, bytes =, component = n }   the first 16 bytes at offset, the rest in
--                                    part n of the XSAVE area, whose place CPUID leaf 0xD tells
--   { msr = index }
-- Of the XSAVE area, part says which bit of XSTATE_BV tells that it is in use.

local registers = {}

local places = {} -- name -> place
local groups = {} -- array of { name =, [1] = register, ... }, for an overview
local names = {} -- every name, for suggestions

local function define(name, place)
    places[name] = place
    names[#names + 1] = name
end

local function group(name)
    local list = { name = name }
    groups[#groups + 1] = list
    return list
end

-- A register that the overview shows.
local function add(list, name, place)
    define(name, place)
    list[#list + 1] = name
end

-- ---- struct kvm_regs --------------------------------------------------------------------

local function part_of(offset, size)
    return { state = "regs", offset = offset, size = size }
end

-- Low parts, as instructions name them: writing one leaves the rest of the register alone.
local function define_parts(name, offset)
    local number, letter = name:match "^r(%d+)$", name:match "^r(%a)x$"
    local pair = name:match "^r(%a%a)$"
    if number then
        define(name .. "d", part_of(offset, 4))
        define(name .. "w", part_of(offset, 2))
        define(name .. "b", part_of(offset, 1))
    elseif letter then
        define("e" .. letter .. "x", part_of(offset, 4))
        define(letter .. "x", part_of(offset, 2))
        define(letter .. "l", part_of(offset, 1))
        define(letter .. "h", part_of(offset + 1, 1))
    else
        define("e" .. pair, part_of(offset, 4))
        define(pair, part_of(offset, 2))
        if pair ~= "ip" then define(pair .. "l", part_of(offset, 1)) end
    end
end

local general = group "general"
for i, name in ipairs { "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp",
    "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip" } do
    add(general, name, part_of(8 * (i - 1), 8))
    define_parts(name, 8 * (i - 1))
end
add(general, "rflags", part_of(136, 8))
define("eflags", part_of(136, 4))

-- ---- struct kvm_sregs -------------------------------------------------------------------

local SEGMENT_SIZE, TABLES, CONTROLS = 24, 192, 224
local SEGMENT_FIELDS = {
    { "base", 0, 8 }, { "limit", 8, 4 }, { "selector", 12, 2 }, { "type", 14, 1 },
    { "present", 15, 1 }, { "dpl", 16, 1 }, { "db", 17, 1 }, { "s", 18, 1 }, { "l", 19, 1 },
    { "g", 20, 1 }, { "avl", 21, 1 }, { "unusable", 22, 1 },
}
local OF_OVERVIEW = { base = true, limit = true }

local segment = group "segment"
for i, name in ipairs { "cs", "ds", "es", "fs", "gs", "ss", "tr", "ldt" } do
    local base = SEGMENT_SIZE * (i - 1)
    add(segment, name, { state = "sregs", offset = base + 12, size = 2 })
    for _, field in ipairs(SEGMENT_FIELDS) do
        local place = { state = "sregs", offset = base + field[2], size = field[3] }
        if OF_OVERVIEW[field[1]] then
            add(segment, name .. "." .. field[1], place)
        else
            define(name .. "." .. field[1], place)
        end
    end
end
for i, name in ipairs { "gdt", "idt" } do
    local base = TABLES + 16 * (i - 1)
    add(segment, name .. ".base", { state = "sregs", offset = base, size = 8 })
    add(segment, name .. ".limit", { state = "sregs", offset = base + 8, size = 2 })
end

local control = group "control"
for i, name in ipairs { "cr0", "cr2", "cr3", "cr4", "cr8", "efer", "apic_base" } do
    add(control, name, { state = "sregs", offset = CONTROLS + 8 * (i - 1), size = 8 })
end
-- struct kvm_xcrs: a count, flags, then number and value of each; KVM has no other than XCR0.
add(control, "xcr0", { state = "xcrs", offset = 16, size = 8 })
add(control, "mp_state", { state = "mp_state", offset = 0, size = 4 })

-- ---- struct kvm_debugregs ---------------------------------------------------------------

local debug_group = group "debug"
for i, name in ipairs { "dr0", "dr1", "dr2", "dr3", "dr6", "dr7" } do
    add(debug_group, name, { state = "debugregs", offset = 8 * (i - 1), size = 8 })
end

-- ---- model specific ---------------------------------------------------------------------

local MSRS = {
    { "tsc", 0x10 }, { "apic_base", 0x1b }, { "tsc_adjust", 0x3b }, { "spec_ctrl", 0x48 },
    { "sysenter_cs", 0x174 }, { "sysenter_esp", 0x175 }, { "sysenter_eip", 0x176 },
    { "mcg_cap", 0x179 }, { "mcg_status", 0x17a }, { "misc_enable", 0x1a0 },
    { "debugctl", 0x1d9 }, { "pat", 0x277 }, { "mtrr_def_type", 0x2ff },
    { "tsc_deadline", 0x6e0 }, { "xss", 0xda0 },
    { "efer", 0xc0000080 }, { "star", 0xc0000081 }, { "lstar", 0xc0000082 },
    { "cstar", 0xc0000083 }, { "sfmask", 0xc0000084 }, { "fs_base", 0xc0000100 },
    { "gs_base", 0xc0000101 }, { "kernel_gs_base", 0xc0000102 }, { "tsc_aux", 0xc0000103 },
    { "kvm_wall_clock", 0x4b564d00 }, { "kvm_system_time", 0x4b564d01 },
    { "kvm_async_pf", 0x4b564d02 }, { "kvm_steal_time", 0x4b564d03 },
    { "kvm_eoi", 0x4b564d04 }, { "kvm_poll_control", 0x4b564d05 },
}

local msr = group "msr"
for _, entry in ipairs(MSRS) do
    add(msr, "msr." .. entry[1], { msr = entry[2] })
end

-- ---- struct kvm_xsave: the standard format of XSAVE, the first 512 bytes that of FXSAVE ---

local X87, SSE, AVX = 1 << 0, 1 << 1, 1 << 2 -- in XSTATE_BV
registers.XSTATE_BV = 512 -- its offset
local AVX_COMPONENT = 2

local function legacy(offset, size, part)
    return { state = "xsave", offset = offset, size = size, part = part }
end

local fpu = group "fpu"
for _, field in ipairs { { "fcw", 0, 2 }, { "fsw", 2, 2 }, { "ftw", 4, 1 }, { "fop", 6, 2 },
    { "fip", 8, 8 }, { "fdp", 16, 8 } } do
    add(fpu, field[1], legacy(field[2], field[3], X87))
end
add(fpu, "mxcsr", legacy(24, 4, SSE))
add(fpu, "xstate_bv", { state = "xsave", offset = registers.XSTATE_BV, size = 8 })
for i = 0, 7 do
    add(fpu, "st" .. i, { state = "xsave", offset = 32 + 16 * i, bytes = 10, part = X87 })
end

local vector = group "vector"
for i = 0, 15 do
    local at = 160 + 16 * i
    define("xmm" .. i, { state = "xsave", offset = at, bytes = 16, part = SSE })
    add(vector, "ymm" .. i, {
        state = "xsave", offset = at, bytes = 32, part = SSE | AVX,
        component = AVX_COMPONENT, above = 16 * i,
    })
end

-- ---- struct kvm_lapic_state: its registers as the guest's page has them -----------------

local lapic = group "lapic"
local function add_lapic(name, offset)
    add(lapic, "lapic." .. name, { state = "lapic", offset = offset, size = 4 })
end
for _, entry in ipairs { { "id", 0x20 }, { "version", 0x30 }, { "tpr", 0x80 }, { "ppr", 0xa0 },
    { "ldr", 0xd0 }, { "dfr", 0xe0 }, { "svr", 0xf0 }, { "esr", 0x280 }, { "icr_low", 0x300 },
    { "icr_high", 0x310 }, { "lvt_cmci", 0x2f0 }, { "lvt_timer", 0x320 },
    { "lvt_thermal", 0x330 }, { "lvt_pmc", 0x340 }, { "lvt_lint0", 0x350 },
    { "lvt_lint1", 0x360 }, { "lvt_error", 0x370 }, { "timer_initial", 0x380 },
    { "timer_current", 0x390 }, { "timer_divide", 0x3e0 } } do
    add_lapic(entry[1], entry[2])
end
for _, bank in ipairs { { "isr", 0x100 }, { "tmr", 0x180 }, { "irr", 0x200 } } do
    for i = 0, 7 do
        add_lapic(bank[1] .. i, bank[2] + 16 * i)
    end
end

-- ---- look-up ----------------------------------------------------------------------------

-- The place of a register, or nil. An MSR may be named by number, too: "msr.0xc0000082".
function registers.find(name)
    if places[name] then return places[name] end
    local number = type(name) == "string" and name:match "^msr%.(%w+)$"
    number = number and math.tointeger(tonumber(number))
    if number and number >= 0 and number <= 0xffffffff then return { msr = number } end
end

-- Every name there is, and the groups of an overview; not to be changed.
registers.names = names
registers.groups = groups

return registers
