-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A kernel's symbols out of guest memory that a test lays out, honest and not.

local core = require "vmm.core"
require "vmm.vm"

local KERNEL = 0xffffffff80000000
local NOTE, ROOT, TABLE = 0x5000, 0x10000, 0x11000
local NAMES, TOKENS, INDEX = 0x20000, 0x30000, 0x31000
local OFFSETS, BASE, COUNT = 0x32000, 0x33000, 0x33008

-- A VM as far as introspection needs one: the kernel's 1 GiB lies at physical address 0.
local function guest()
    local memory = assert(core.memory { ranges = { { 0, 1 << 20 } } })
    memory:u64(ROOT + 8 * 511, TABLE | 1)
    memory:u64(TABLE + 8 * 510, 0 | 0x80 | 1)
    return setmetatable({ memory = memory }, { __index = core.classes["vmm.vm"] })
end

local function write_note(vm, gpa, lines)
    local text = table.concat(lines, "\n") .. "\n"
    vm.memory:write(gpa, ("<I4I4I4c12"):pack(11, #text, 0, "VMCOREINFO") .. text)
end

local function symbol_line(name, gpa)
    return ("SYMBOL(%s)=%x"):format(name, KERNEL + gpa)
end

-- The lines of VMCOREINFO; change: function(lines) for a liar.
local function lines_of(change)
    local lines = {
        "OSRELEASE=6.1.0-test",
        symbol_line("swapper_pg_dir", ROOT),
        symbol_line("_stext", 0x100),
        symbol_line("kallsyms_names", NAMES),
        symbol_line("kallsyms_num_syms", COUNT),
        symbol_line("kallsyms_token_table", TOKENS),
        symbol_line("kallsyms_token_index", INDEX),
        symbol_line("kallsyms_offsets", OFFSETS),
        symbol_line("kallsyms_relative_base", BASE),
        "NUMBER(phys_base)=0",
        "NUMBER(pgtable_l5_enabled)=0",
        "KERNELOFFSET=1000",
    }
    if change then change(lines) end
    return lines
end

-- Tables of these { letter and name, offset }; a token for each character.
local function write_tables(vm, list)
    local names, offsets, tokens, index, at = {}, {}, {}, {}, 0
    for i = 0, 255 do
        index[#index + 1] = ("<I2"):pack(at)
        tokens[#tokens + 1] = (i == 0 and "" or string.char(i)) .. "\0"
        at = at + #tokens[#tokens]
    end
    for i, symbol in ipairs(list) do
        names[i] = ("s1"):pack(symbol[1])
        offsets[i] = ("<i4"):pack(symbol[2])
    end
    vm.memory:write(NAMES, table.concat(names))
    vm.memory:write(TOKENS, table.concat(tokens))
    vm.memory:write(INDEX, table.concat(index))
    vm.memory:write(OFFSETS, table.concat(offsets))
    vm.memory:u64(BASE, KERNEL)
    vm.memory:u32(COUNT, #list)
end

local SYMBOLS = { { "Acurrent_task", 0x1000 }, { "T_stext", -1 - 0x100 }, { "tlater", -1 - 0x200 } }

local function honest()
    local vm = guest()
    write_note(vm, NOTE, lines_of())
    write_tables(vm, SYMBOLS)
    return vm
end

-- Loading fails with this message and code.
local function assert_refused(vm, pattern, code)
    local symbols, message, found = vm:load_symbols()
    assert.is_nil(symbols)
    assert.matches(pattern, message)
    assert.equal(code, found)
end

describe("A guest's own symbols", function()
    it("are found by VMCOREINFO", function()
        local vm = honest()
        assert.equal(3, assert(vm:load_symbols()):count())
        assert.equal(KERNEL + 0x100, (vm:symbol "_stext"))
        assert.equal("later+0x4", vm:symbolize(KERNEL + 0x204))
        assert.equal(0x1000, (vm:symbol "current_task"))
        assert.same({ "6.1.0-test", 0x1000 }, { vm.linux.release, vm.linux.slide })
    end)

    it("are loaded by the first question for one", function()
        assert.equal(KERNEL + 0x200, (honest():symbol "later"))
    end)

    it("let the kernel's memory be read by its own page tables", function()
        local vm = honest()
        assert(vm:load_symbols())
        vm.memory:write(0x204, "code")
        assert.equal("code", vm:read_virtual(vm:symbol "later+4", 4))
    end)

    it("are not there without the note", function()
        assert_refused(guest(), "no VMCOREINFO", "ENOENT")
    end)

    it("are found behind what only looks like the note", function()
        local vm = honest()
        write_note(vm, 0x1000, { "something else" })
        vm.memory:write(0x2000, ("<I4I4I4c12"):pack(11, 0xffffffff, 0, "VMCOREINFO"))
        vm.memory:write(0x3000, ("<I4I4I4c12"):pack(12, 64, 0, "VMCOREINFO"))
        assert.equal(3, assert(vm:load_symbols()):count())
    end)

    it("are moved by the slide when they come from a System.map", function()
        local vm = honest()
        local path = os.tmpname()
        local file = assert(io.open(path, "w"))
        assert(file:write("ffffffff80000100 T _stext\n"))
        assert(file:close())
        assert(vm:load_symbols { path = path })
        assert.equal(KERNEL + 0x1100, (vm:symbol "_stext"))
        assert(vm:load_symbols { path = path, slide = 0x20 })
        assert.equal(KERNEL + 0x120, (vm:symbol "_stext"))
        os.remove(path)
    end)

    it("need what kernels before 6.0 do not tell", function()
        local vm = honest()
        write_note(vm, NOTE, lines_of(function(lines)
            table.remove(lines, 4)
        end))
        assert_refused(vm, "%(Linux 6.1.0%-test%) lacks kallsyms_names, which kernels have from",
            "ENOENT")
    end)

    it("are refused when their number is impossible", function()
        local vm = honest()
        vm.memory:u32(COUNT, 0)
        assert_refused(vm, "claims 0 symbols", "ENOEXEC")
        vm.memory:u32(COUNT, 0xffffffff)
        assert_refused(vm, "claims 4294967295 symbols", "ENOEXEC")
        vm.memory:u32(COUNT, 1 << 19)
        assert_refused(vm, "not mapped to RAM", "EFAULT")
        vm.memory:u32(COUNT, 4)
        assert_refused(vm, "symbol 3 of 4 has no name", "ENOEXEC")
    end)

    it("are refused when their tables lie behind each other or far apart", function()
        local vm = honest()
        for _, gpa in ipairs { NAMES - 1, NAMES, NAMES + (64 << 20) } do
            write_note(vm, NOTE, lines_of(function(lines)
                lines[6] = symbol_line("kallsyms_token_table", gpa)
            end))
            assert_refused(vm, "guest's kallsyms_names has an impossible size", "ENOEXEC")
        end
    end)

    it("are refused when a table is not mapped", function()
        local vm = honest()
        write_note(vm, NOTE, lines_of(function(lines)
            lines[8] = "SYMBOL(kallsyms_offsets)=1000"
        end))
        assert_refused(vm, "guest virtual address 0x1000 is not mapped to RAM", "EFAULT")
    end)

    it("are refused when they contradict VMCOREINFO", function()
        local vm = honest()
        write_tables(vm, { { "T_stext", -1 - 0x300 } })
        assert_refused(vm, "kallsyms has _stext at 0xffffffff80000300, its VMCOREINFO at "
            .. "0xffffffff80000100", "ENOEXEC")
    end)

    it("are refused when the kernel's page tables are not there", function()
        local vm = honest()
        vm.memory:u64(ROOT + 8 * 511, 0)
        assert_refused(vm, "not mapped to RAM", "EFAULT")
    end)
end)
