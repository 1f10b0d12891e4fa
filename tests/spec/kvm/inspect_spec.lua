-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Introspection of a guest that is no Linux: memory, symbols of its ELF file, code.

local bare = require "tests.spec.support.bare"
local tiny = require "tests.spec.support.tiny"

-- A file with this text, which is removed after use(path).
local function with_file(content, use)
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    assert(file:write(content))
    assert(file:close())
    use(path)
    os.remove(path)
end

describe("A guest that is no Linux", function()
    local vm

    setup(function()
        vm = tiny.start "spin"
        vm.console:expect("spinning", { timeout = 10 })
        assert(vm:pause(10))
        -- The text's end may still be in the `rep outsb`; after these the guest is at its jump.
        assert(vm:step { count = #"spinning\n" + 1 })
    end)

    teardown(function()
        if vm then vm:close() end
    end)

    it("has no symbols of its own, which is said in a line", function()
        local found, message, code = vm:symbol "_start"
        assert.same({ nil, "no VMCOREINFO in the guest's memory: it runs no Linux that keeps one, "
            .. "or that has not come so far yet", "ENOENT" }, { found, message, code })
    end)

    it("has those of its ELF file", function()
        local symbols = assert(vm:load_symbols { path = tiny.path "spin" })
        assert.equal("_start", (symbols:at(0x100000)))
        assert.equal(0x100000, (vm:symbol "_start"))
        assert.equal("_start+0x4", vm:symbolize(0x100004))
        assert.matches("^_start%+0x%x+$", vm:symbolize(vm.vcpus[1].regs.rip))
        assert.equal("ENOENT", (select(3, vm:symbol "nothing")))
    end)

    it("has them where a slide has moved them", function()
        assert(vm:load_symbols { path = tiny.path "spin", slide = 0x1000 })
        assert.equal(0x101000, (vm:symbol "_start"))
    end)

    it("has those of a System.map", function()
        with_file("0000000000100000 T begin\n0000000000100004 t later\n", function(path)
            assert.equal(2, assert(vm:load_symbols { path = path }):count())
        end)
        assert.equal("begin+0x3", vm:symbolize(0x100003))
        assert.equal("later", vm:symbolize(0x100004))
    end)

    it("keeps its symbols when others can't be loaded", function()
        assert(vm:load_symbols { path = tiny.path "spin" })
        assert.equal("ENOENT", (select(3, vm:load_symbols { path = "/nonexistent" })))
        with_file("no symbols", function(path)
            local found, message, code = vm:load_symbols { path = path }
            assert.is_nil(found)
            assert.matches('line 1 is not "address type name"', message, 1, true)
            assert.equal("ENOEXEC", code)
        end)
        assert.equal(0x100000, (vm:symbol "_start"))
    end)

    it("is disassembled in the mode that it runs in", function()
        assert(vm:load_symbols { path = tiny.path "spin" })
        local code = assert(vm:disassemble(vm:symbol "_start", 5))
        assert.matches("^lea rsi, %[rip %+ 0x%x+%]$", code[1].text)
        assert.equal("_start", code[1].label)
        assert.equal("text", code[1].symbol)
        assert.matches("^jmp 0x", code[5].text)
        assert.equal(code[5].address, code[5].target)
        assert.is_true(code[5].branch)
        assert.equal(vm.vcpus[1].regs.rip, code[5].address)
        assert.matches("^leaq 0x%x+%(%%rip%), %%rsi$",
            assert(vm:disassemble(0x100000, 1, { syntax = "att" }))[1].text)
        assert.equal(16, #assert(vm:disassemble(0x100000, 16)))
    end)

    it("has a backtrace of at least where it is", function()
        assert(vm:load_symbols { path = tiny.path "spin" })
        local trace = assert(vm:backtrace(1))
        assert.equal(vm.vcpus[1].regs.rip, trace[1].address)
        assert.matches("^Call Trace:\n _start%+0x%x+", tostring(trace))
        assert.equal("unknown", trace.ends)
    end)

    it("has no types and no current task", function()
        assert(vm:load_symbols { path = tiny.path "spin" })
        for _, name in ipairs { "types", "current", "tasks", "modules" } do
            local found, message, code = vm[name](vm)
            assert.is_nil(found, name)
            assert.is_string(message, name)
            assert.equal("ENOENT", code, name)
        end
    end)

    it("is read and written by virtual address", function()
        local bytes = assert(vm:read_virtual(0x100000, 64))
        assert.equal(vm.memory:read(0x100000, 64), bytes)
        assert(vm:write_virtual(0x180000, "written"))
        assert.equal("written", vm.memory:read(0x180000, 7))
        local cr3, levels = vm.vcpus[1]:address_space()
        assert.equal(4, levels)
        assert.equal("written", vm:read_virtual(0x180000, 7, { cr3 = cr3 }))
        assert.equal(0x180000, (vm.memory:translate(0x180000, cr3, levels)))
    end)

    it("has an error that names the first page that is not there", function()
        local found, message, code = vm:read_virtual(-0x1000, 8)
        assert.is_nil(found)
        assert.matches("guest virtual address 0xfffffffffffff000 is not mapped", message, 1, true)
        assert.equal("EFAULT", code)
        assert.equal("EFAULT", (select(3, vm:write_virtual(-0x1000, "x"))))
        assert.equal("EFAULT", (select(3, vm:disassemble(-0x1000, 1))))
    end)

    it("raises for what is no argument", function()
        assert.error_matches(function() vm:read_virtual("x", 1) end, "gva must be an integer")
        assert.error_matches(function() vm:read_virtual(0, 1, { vpcu = 1 }) end,
            'unknown option "vpcu"')
        assert.error_matches(function() vm:read_virtual(0, 1, { vcpu = 2 }) end, "no vCPU 2")
        assert.error_matches(function() vm:read_virtual(0, 1 << 40) end, "len must be 0 to 2684")
        assert.error_matches(function() vm:load_symbols { file = "x" } end, "unknown option")
        assert.error_matches(function() vm:backtrace(7) end, "no vCPU 7")
        assert.error_matches(function() vm:disassemble(0, 1, { syntax = "x" }) end,
            '"intel" or "att"')
        assert.error_matches(function() vm:symbol() end, "name must be a string")
    end)

    it("is searched for bytes", function()
        vm.memory:write(0x190004, "needle")
        assert.equal(0x190004, vm.memory:find "needle")
        assert.equal(0x190004, vm.memory:find("needle", 4, nil, 4096))
        assert.equal("ENOENT", (select(3, vm.memory:find("needle", 0, nil, 4096))))
        assert.equal("ENOENT", (select(3, vm.memory:find("needle", 0x190005))))
        assert.error_matches(function() vm.memory:find "" end, "1 to 4096 bytes")
    end)
end)

describe("A guest in real mode", function()
    it("is read by physical address and disassembled as 16-bit code", function()
        local vm <close>, vcpu = tiny.bare("\xb8\x34\x12" .. bare.HLT)
        vm.vcpus = { vcpu }
        assert.equal("\xb8\x34\x12", vm:read_virtual(0x1000, 3))
        assert.equal("mov ax, 0x1234", assert(vm:disassemble(0x1000, 1))[1].text)
    end)

    it("shows what is no instruction as bytes", function()
        local vm <close>, vcpu = tiny.bare("\x0f\x04" .. bare.HLT)
        vm.vcpus = { vcpu }
        local code = assert(vm:disassemble(0x1000, 3))
        assert.same({ ".byte 0x0f", "add al, 0xf4" }, { code[1].text, code[2].text })
    end)
end)

describe("A table of symbols", function()
    it("is made of a list", function()
        local symbols <close> = require("vmm.core").symbols {
            { 0x20, "b" }, { 0x10, "a", "D" }, { 0x30, "b", "t", 4 },
        }
        assert.equal(3, symbols:count())
        assert.same({ 0x20, 2 }, { symbols:find "b" })
        assert.same({ "a", 0x10, "D", 0x10 }, { symbols:at(0x1f) })
        assert.same({ "b", 0x30, "t", 4 }, { symbols:get(3) })
        assert.is_nil(symbols:at(0x34))
        assert.error_matches(function() symbols:get(4) end, "no such symbol")
    end)
end)
