-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The registers that gdb sees of a vCPU, in its order for amd64, and their values.
--
-- A register is { name =, bytes =, type =, feature =, read = function(view), write = function(view,
-- bytes) }; without write it is read only. A view is one vCPU's state, loaded as it is needed.

local registers = {}

local K_GS_BASE = 0xc0000102
local CPUID_AVX = 1 << 28 -- leaf 1, ecx

-- Offsets in the XSAVE area (Intel SDM 1, 13.4): its first 512 bytes are FXSAVE's.
local FCW, FSW, FTW, FOP, FIP, FDP, MXCSR, ST, XMM = 0, 2, 4, 6, 8, 16, 24, 32, 160
local XSTATE_BV, YMM_HIGH = 512, 576
local X87, SSE, AVX = 1 << 0, 1 << 1, 1 << 2 -- in XSTATE_BV

-- ---- a vCPU's state --------------------------------------------------------------------------

local LOAD = {
    regs = function(vcpu) return vcpu.regs end,
    sregs = function(vcpu) return vcpu.sregs end,
    xsave = function(vcpu) return vcpu:get_state "xsave" end,
    k_gs_base = function(vcpu)
        local values = vcpu:get_msrs { K_GS_BASE }
        return values and values[K_GS_BASE] or 0
    end,
}

-- KVM refuses a CR0 that no CPU has, for instance, and the property raises; here it is but a
-- debugger's mistake.
local function set(vcpu, name, value)
    local ok, message = pcall(function()
        vcpu[name] = value
    end)
    if ok then return true end
    return nil, message, "EINVAL"
end

local STORE = {
    regs = function(vcpu, regs) return set(vcpu, "regs", regs) end,
    sregs = function(vcpu, sregs) return set(vcpu, "sregs", sregs) end,
    xsave = function(vcpu, bytes) return vcpu:set_state("xsave", bytes) end,
    k_gs_base = function(vcpu, value) return vcpu:set_msrs { [K_GS_BASE] = value } end,
}

local View = {}

function View:__index(name)
    local load = LOAD[name]
    if not load then return View[name] end
    local value = load(self.vcpu)
    rawset(self, name, value)
    return value
end

-- The state of a vCPU that does not run.
function registers.view(vcpu)
    return setmetatable({ vcpu = vcpu, changed = {} }, View)
end

-- Gives the vCPU what was written; true, or nil, message, code.
function View:store()
    for name in pairs(self.changed) do
        local ok, message, code = STORE[name](self.vcpu, self[name])
        if not ok then return nil, message, code end
    end
    self.changed = {}
    return true
end

-- ---- kinds of registers ----------------------------------------------------------------------

local function packed(value, bytes)
    return ("<i8"):pack(value):sub(1, bytes)
end

local function unpacked(bytes)
    return (("<i8"):unpack(bytes .. ("\0"):rep(8 - #bytes)))
end

local function general(name, gdb_name, bytes)
    return {
        name = gdb_name or name,
        bytes = bytes or 8,
        read = function(view) return packed(view.regs[name], bytes or 8) end,
        write = function(view, value)
            view.regs[name] = unpacked(value)
            view.changed.regs = true
        end,
    }
end

-- To load a selector is more than to change its number, so it is read only.
local function selector(name)
    return {
        name = name,
        bytes = 4,
        read = function(view) return packed(view.sregs[name].selector, 4) end,
    }
end

local function segment_base(name, segment)
    return {
        name = name,
        bytes = 8,
        read = function(view) return packed(view.sregs[segment].base, 8) end,
        write = function(view, value)
            view.sregs[segment].base = unpacked(value)
            view.changed.sregs = true
        end,
    }
end

local function control(name)
    return {
        name = name,
        bytes = 8,
        read = function(view) return packed(view.sregs[name], 8) end,
        write = function(view, value)
            view.sregs[name] = unpacked(value)
            view.changed.sregs = true
        end,
    }
end

-- Puts bytes into the XSAVE area. Unless its component is said to be there, the CPU takes the
-- component's initial state instead.
local function patch(view, offset, bytes, component)
    local area = view.xsave
    local present = ("<I8"):unpack(area, XSTATE_BV + 1) | component
    area = area:sub(1, offset) .. bytes .. area:sub(offset + #bytes + 1)
    view.xsave = area:sub(1, XSTATE_BV) .. ("<I8"):pack(present) .. area:sub(XSTATE_BV + 9)
    view.changed.xsave = true
end

-- A register that lies in the XSAVE area: `width` bytes of it, zero-extended to `bytes`.
local function extended(name, offset, width, component, bytes)
    bytes = bytes or width
    return {
        name = name,
        bytes = bytes,
        read = function(view)
            local value = view.xsave:sub(offset + 1, offset + width)
            if ("<I8"):unpack(view.xsave, XSTATE_BV + 1) & AVX == 0 and component == AVX then
                value = ("\0"):rep(width)
            end
            return value .. ("\0"):rep(bytes - width)
        end,
        write = function(view, value)
            patch(view, offset, value:sub(1, width), component)
        end,
    }
end

-- The area has a bit for each register that is not empty; gdb wants two for each, 3 for empty.
local function tag_word()
    return {
        name = "ftag",
        bytes = 4,
        read = function(view)
            local full, abridged = 0, view.xsave:byte(FTW + 1)
            for i = 0, 7 do
                if abridged & 1 << i == 0 then full = full | 3 << 2 * i end
            end
            return packed(full, 4)
        end,
        write = function(view, value)
            local full, abridged = unpacked(value), 0
            for i = 0, 7 do
                if full >> 2 * i & 3 ~= 3 then abridged = abridged | 1 << i end
            end
            patch(view, FTW, string.char(abridged), X87)
        end,
    }
end

local kernel_gs_base = {
    name = "k_gs_base",
    bytes = 8,
    read = function(view) return packed(view.k_gs_base, 8) end,
    write = function(view, value)
        view.k_gs_base = unpacked(value)
        view.changed.k_gs_base = true
    end,
}

-- ---- the list --------------------------------------------------------------------------------

-- Adds registers to a list, of a feature and, when given, a type of gdb's.
local function add(list, feature, kind, entries)
    for _, entry in ipairs(entries) do
        entry.feature = feature
        entry.type = kind or entry.type or (entry.bytes == 8 and "int64" or "int32")
        entry.number = #list
        list[#list + 1] = entry
        list[entry.name] = entry
    end
end

local function add_core(list)
    local feature = "org.gnu.gdb.i386.core"
    local names = "rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15"
    for name in names:gmatch "%S+" do
        local kind = (name == "rbp" or name == "rsp") and "data_ptr" or "int64"
        add(list, feature, kind, { general(name) })
    end
    add(list, feature, "code_ptr", { general "rip" })
    add(list, feature, "i386_eflags", { general("rflags", "eflags", 4) })
    for name in ("cs ss ds es fs gs"):gmatch "%S+" do
        add(list, feature, nil, { selector(name) })
    end
    for i = 0, 7 do
        add(list, feature, "i387_ext", { extended("st" .. i, ST + 16 * i, 10, X87) })
    end
    add(list, feature, nil, {
        extended("fctrl", FCW, 2, X87, 4),
        extended("fstat", FSW, 2, X87, 4),
        tag_word(),
        extended("fiseg", FIP + 4, 2, X87, 4),
        extended("fioff", FIP, 4, X87),
        extended("foseg", FDP + 4, 2, X87, 4),
        extended("fooff", FDP, 4, X87),
        extended("fop", FOP, 2, X87, 4),
    })
end

local function add_vectors(list, name, feature, kind, offset, component)
    for i = 0, 15 do
        add(list, feature, kind, {
            extended(name:format(i), offset + 16 * i, 16, component),
        })
    end
end

local function has_avx(vcpu)
    for _, entry in ipairs(vcpu.cpuid or {}) do
        if entry.function_ == 1 then return entry.ecx & CPUID_AVX ~= 0 end
    end
    return false
end

-- The registers of a VM whose vCPUs are like this one: an array in gdb's order (the numbers begin
-- with 0), which has them by name, too.
function registers.list(vcpu)
    local list = {}
    add_core(list)
    add_vectors(list, "xmm%d", "org.gnu.gdb.i386.sse", "vec128", XMM, SSE)
    add(list, "org.gnu.gdb.i386.sse", "i386_mxcsr", { extended("mxcsr", MXCSR, 4, SSE) })
    add(list, "org.gnu.gdb.i386.segments", nil, {
        segment_base("fs_base", "fs"), segment_base("gs_base", "gs"),
    })
    add(list, "vmm.x86.system", nil, {
        kernel_gs_base, control "cr0", control "cr2", control "cr3", control "cr4",
        control "cr8", control "efer",
    })
    if has_avx(vcpu) then
        add_vectors(list, "ymm%dh", "org.gnu.gdb.i386.avx", "uint128", YMM_HIGH, AVX)
    end
    return list
end

-- How many bytes all of them have.
function registers.size(list)
    local size = 0
    for _, register in ipairs(list) do
        size = size + register.bytes
    end
    return size
end

return registers
