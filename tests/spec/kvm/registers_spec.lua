-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A vCPU's registers by name: read, written, listed, printed.

local bare = require "tests.spec.support.bare"
local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

local HLT, SPIN, OUT_43 = bare.HLT, bare.SPIN, bare.OUT_43

-- A vCPU as vmm.vm makes it: with an irqchip, and CPUID.
local function pc()
    local vm = assert(vmm.vm {
        console = "capture", memory = { size_mib = 16 }, kernel = { path = tiny.path "halt" },
    })
    return vm, vm.vcpus[1]
end

describe("vcpu:reg", function()
    it("reads and writes general registers and their low parts", function()
        local vm <close>, vcpu = tiny.bare(HLT)
        assert.is_true(vcpu:reg("rax", 0x1122334455667788))
        assert.same({ 0x1122334455667788, 0x55667788, 0x7788, 0x88, 0x77 }, {
            vcpu:reg "rax", vcpu:reg "eax", vcpu:reg "ax", vcpu:reg "al", vcpu:reg "ah",
        })
        assert(vcpu:reg("ah", 0xab))
        assert(vcpu:reg("r15d", 0xffffffff))
        assert(vcpu:reg("sil", 0x7f))
        assert.equal(0x112233445566ab88, vcpu.regs.rax)
        assert.equal(0xffffffff, vcpu.regs.r15)
        assert.equal(0x7f, vcpu.regs.rsi)
        assert.equal(0x1000, vcpu:reg "rip")
        assert.equal(2, vcpu:reg "rflags")
        assert(vcpu:reg("rdx", -1))
        assert.equal(-1, vcpu:reg "rdx")
    end)

    it("has every name agree with vcpu.regs and vcpu.sregs", function()
        local vm <close>, vcpu = pc()
        local regs = {}
        for name in pairs(vcpu.regs) do
            regs[name] = math.random(0) & ~0x8000
        end
        regs.rflags = 2
        vcpu.regs = regs
        for name, value in pairs(vcpu.regs) do
            assert.equal(value, vcpu:reg(name), name)
        end
        for name, value in pairs(vcpu.sregs) do
            if type(value) == "table" then
                for field, number in pairs(value) do
                    assert.equal(number, vcpu:reg(name .. "." .. field), name .. "." .. field)
                end
            else
                assert.equal(value, vcpu:reg(name), name)
            end
        end
    end)

    it("reads and writes segments, tables and control registers", function()
        local vm <close>, vcpu = tiny.bare(HLT)
        assert(vcpu:reg("ds", 0x123))
        assert(vcpu:reg("ds.base", 0x1230))
        assert(vcpu:reg("gdt.base", 0x5000))
        assert(vcpu:reg("gdt.limit", 0x1f))
        assert(vcpu:reg("cr8", 3))
        local sregs = vcpu.sregs
        assert.same({ 0x123, 0x1230, 0x5000, 0x1f, 3 }, {
            sregs.ds.selector, sregs.ds.base, sregs.gdt.base, sregs.gdt.limit, sregs.cr8,
        })
    end)

    it("reads and writes MSRs by name and by number", function()
        local vm <close>, vcpu = tiny.bare(HLT)
        assert(vcpu:reg("msr.lstar", 0xffff800012345678))
        assert.equal(0xffff800012345678, vcpu:reg "msr.0xc0000082")
        assert(vcpu:reg("msr.3221225602", 0x1000)) -- the same in decimal
        assert.equal(0x1000, vcpu:reg "msr.lstar")
    end)

    it("passes on what KVM says of an MSR that it does not have", function()
        local vm <close>, vcpu = tiny.bare(HLT)
        local value, message, code = vcpu:reg "msr.0x12345678"
        assert.is_nil(value)
        assert.equal("vCPU 0: KVM refuses to read MSR 0x12345678", message)
        assert.equal("EINVAL", code)
        local ok, why = vcpu:reg("msr.0x12345678", 1)
        assert.is_nil(ok)
        assert.equal("vCPU 0: KVM refuses 0x1 for MSR 0x12345678", why)
    end)

    it("reads and writes the x87 and SSE registers as bytes", function()
        local vm <close>, vcpu = pc()
        local ten, sixteen = ("0123456789"), ("ABCDEFGHIJKLMNOP")
        assert(vcpu:reg("st3", ten))
        assert(vcpu:reg("xmm15", sixteen))
        assert(vcpu:reg("fcw", 0x27f))
        assert(vcpu:reg("mxcsr", 0x1fa0))
        assert.same({ ten, sixteen, 0x27f, 0x1fa0 }, {
            vcpu:reg "st3", vcpu:reg "xmm15", vcpu:reg "fcw", vcpu:reg "mxcsr",
        })
        -- struct kvm_fpu: fpr[8][16], 24 bytes, xmm[16][16]
        local fpu = vcpu:get_state "fpu"
        assert.equal(ten, fpu:sub(3 * 16 + 1, 3 * 16 + 10))
        assert.equal(sixteen, fpu:sub(152 + 15 * 16 + 1, 152 + 16 * 16))
    end)

    it("reads and writes ymm registers, whose low half is an xmm register", function()
        local vm <close>, vcpu = pc()
        local bytes = ("0123456789abcdef" .. "ABCDEFGHIJKLMNOP")
        local ok, message, code = vcpu:reg("ymm7", bytes)
        if not ok then
            assert.equal("vCPU 0 has no ymm7", message)
            assert.equal("ENXIO", code)
            return
        end
        assert.equal(bytes, vcpu:reg "ymm7")
        assert.equal(bytes:sub(1, 16), vcpu:reg "xmm7")
        assert.equal(("\0"):rep(32), vcpu:reg "ymm6")
        assert.equal(7, vcpu:reg "xstate_bv" & 7 | 1)
    end)

    it("lacks ymm registers where CPUID has no room for them", function()
        local vm <close>, vcpu = tiny.bare(HLT)
        local value, message, code = vcpu:reg "ymm0"
        assert.is_nil(value)
        assert.equal("vCPU 0 has no ymm0", message)
        assert.equal("ENXIO", code)
    end)

    it("reads and writes the local APIC and the debug registers", function()
        local vm <close>, vcpu = pc()
        assert.equal(0xff, vcpu:reg "lapic.svr") -- after reset: disabled
        assert.equal(0, vcpu:reg "lapic.id" >> 24)
        assert(vcpu:reg("lapic.tpr", 0x20))
        assert.equal(0x20, vcpu:reg "lapic.tpr")
        assert.equal(2, vcpu:reg "cr8")
        assert.equal(0, vcpu:reg "lapic.isr0" | vcpu:reg "lapic.isr7")
        assert.equal(0x10000, vcpu:reg "lapic.lvt_timer")
        assert(vcpu:reg("dr0", 0x123456))
        assert.equal(0x123456, vcpu:reg "dr0")
        assert.equal(0xffff0ff0, vcpu:reg "dr6")
        assert.equal(0x400, vcpu:reg "dr7")
    end)

    it("says why a VM without an irqchip has no local APIC", function()
        local vm <close>, vcpu = tiny.bare(HLT)
        assert.error_matches(function()
            vcpu:reg "lapic.id"
        end, "KVM can't get lapic without an irqchip")
    end)

    it("raises for an unknown name and says which may be meant", function()
        local vm <close>, vcpu = tiny.bare(HLT)
        for given, meant in pairs {
            RAX = "rax", ["msr.lstat"] = "msr.lstar", ["lapic.lvt_timr"] = "lapic.lvt_timer",
            ["cs.bas"] = "cs.base", xmm16 = "xmm1",
        } do
            local ok, message = pcall(vcpu.reg, vcpu, given)
            assert.is_false(ok)
            assert.matches(('no register "%s", did you mean "%s"?'):format(given, meant), message,
                1, true)
        end
        for _, given in ipairs { "msr.0x100000000", "msr.-1", "", "dr4", "cr1" } do
            assert.error_matches(function()
                vcpu:reg(given)
            end, "no register")
        end
        assert.error_matches(function()
            vcpu:reg(nil)
        end, "no register nil")
    end)

    it("raises for a value that the register has no room for", function()
        local vm <close>, vcpu = tiny.bare(HLT)
        for name, case in pairs {
            eax = { 1 << 32, "0x100000000 does not fit the 32 bits of eax" },
            cs = { 0x10000, "0x10000 does not fit the 16 bits of cs" },
            al = { -1, "0xffffffffffffffff does not fit the 8 bits of al" },
            rbx = { "1", 'rbx takes an integer, not "1"' },
            rcx = { 1.5, "rcx takes an integer, not 1.5" },
            xmm1 = { "short", "xmm1 takes a string of 16 bytes, not 5 of them" },
            ymm1 = { 1, "ymm1 takes a string of 32 bytes, not 1" },
            ["msr.star"] = { {}, "msr.star takes an integer, not a table" },
        } do
            local ok, message = pcall(vcpu.reg, vcpu, name, case[1])
            assert.is_false(ok)
            assert.matches(case[2], message, 1, true)
        end
        assert.error_matches(function()
            vcpu:reg("rax", nil)
        end, "rax takes an integer, not nil")
    end)

    it("raises while the vCPU runs, and works once it is paused", function()
        local vm <close>, vcpu = tiny.bare(SPIN)
        assert(vm:start())
        assert.error_matches(function()
            vcpu:reg "rip"
        end, "vCPU 0 runs: pause it to get its state")
        assert.error_matches(function()
            vcpu:reg("rip", 0)
        end, "vCPU 0 runs: pause it to ")
        assert.error_matches(function()
            vcpu:registers "lapic"
        end, "vCPU 0 runs: pause it to ")
        assert.same({ nil, "vCPU 0 runs: pause it to set MSRs", "EBUSY" },
            { vcpu:reg("msr.lstar", 0) })
        assert(vm:pause(10))
        assert.equal(0x1000, vcpu:reg "rip")
        assert(vcpu:reg("rip", 0x1001))
        assert.equal(0x1001, vcpu:reg "rip")
    end)

    it("reads and writes in a handler, on the vCPU's own thread", function()
        -- mov bl, 5; out 0x50, al; mov al, bl; out 0x43, al; hlt
        local vm <close>, vcpu = tiny.bare("\xb3\x05\xe6\x50\x88\xd8" .. OUT_43 .. HLT)
        local result, seen = bare.result_of(vm), nil
        assert(vm:device {
            pio = { 0x50, 1 },
            write = function()
                seen = vcpu:reg "bl"
                vcpu:reg("bl", 0x77)
            end,
        })
        assert.equal("halt", bare.run(vm).reason)
        assert.equal(5, seen)
        assert.same({ 0x77 }, result)
    end)
end)

describe("vcpu:registers", function()
    it("lists groups in order, each register with its value", function()
        local vm <close>, vcpu = pc()
        vcpu:reg("rbx", 0x77)
        local seen, order = {}, {}
        for _, register in ipairs(vcpu:registers()) do
            assert.is_nil(seen[register.name], register.name)
            seen[register.name] = register.value
            if order[#order] ~= register.group then order[#order + 1] = register.group end
        end
        -- Not every host's CPU has AVX.
        local vector = vcpu:reg "ymm0" and "vector "
        assert.equal(("general segment control debug msr fpu %slapic"):format(vector or ""),
            table.concat(order, " "))
        assert.equal(0x77, seen.rbx)
        assert.equal(vcpu:reg "cr0", seen.cr0)
        assert.equal(vcpu:reg "cs.base", seen["cs.base"])
    end)

    it("lists one group, and names those there are", function()
        local vm <close>, vcpu = tiny.bare(HLT)
        local debugs = {}
        for i, register in ipairs(vcpu:registers "debug") do
            debugs[i] = register.name
        end
        assert.same({ "dr0", "dr1", "dr2", "dr3", "dr6", "dr7" }, debugs)
        assert.error_matches(function()
            vcpu:registers "genral"
        end, 'no group "genral", did you mean "general"%? groups: general, segment')
    end)

    it("leaves out the local APIC of a VM without an irqchip", function()
        local vm <close>, vcpu = tiny.bare(HLT)
        for _, register in ipairs(vcpu:registers()) do
            assert.not_equal("lapic", register.group)
        end
    end)
end)

describe("vcpu:dump", function()
    it("is a page of registers in hexadecimal, of lines that fit a terminal", function()
        local vm <close>, vcpu = pc()
        vcpu:reg("r12", 0xfeedface)
        vcpu:reg("xmm2", "\1" .. ("\0"):rep(15))
        local page = vcpu:dump()
        assert.matches("^vCPU 0, none\ngeneral\n  rax +%x+ +rbx ", page)
        assert.matches("r12    00000000feedface", page, 1, true)
        assert.matches("\n  cs  %x%x%x%x base %x+ limit ffffffff\n", page)
        assert.matches("\n  gdt      base %x+ limit %x+\n", page)
        assert.matches("\ncontrol\n  cr0 ", page)
        assert.not_matches("dr0", page)
        local lines = 0
        for line in page:gmatch "([^\n]*)\n" do
            lines = lines + 1
            assert.is_true(#line <= 102, line)
        end
        assert.is_true(lines < 60, page)
    end)
end)
