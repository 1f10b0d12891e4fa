-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vm:on: exits that no device took, asked about on the vCPU's thread.

local bare = require "tests.spec.support.bare"
local tiny = require "tests.spec.support.tiny"

local HLT, SPIN, OUT_43 = bare.HLT, bare.SPIN, bare.OUT_43
local append, result_of, run = bare.append, bare.result_of, bare.run
local IN_500 = "\xba\x00\x05\xec" -- mov dx, 0x500; in al, dx
local MMIO = "\xb8\x00\x20\x8e\xd8\xa0\x00\x00\xa2\x05\x00" -- ds = 0x2000; al = [0]; [5] = al
local RDMSR = "\x66\xb9\x45\x23\x01\x00\x0f\x32" -- mov ecx, 0x12345; rdmsr
local WRMSR = "\x0f\x30"

describe("an exit that no device took", function()
    it("is answered by unhandled_pio: a read by an integer", function()
        local vm <close> = tiny.bare(IN_500 .. OUT_43 .. HLT)
        local seen = {}
        vm:on("unhandled_pio", function(index, exit)
            seen[#seen + 1] = { index, exit.type, exit.port, exit.size, exit.count, exit.data }
            if exit.type == "pio_read" then return 0x1234 end
        end)
        assert.equal("halt", run(vm).reason)
        assert.same({
            { 1, "pio_read", 0x500, 1, 1 },
            { 1, "pio_write", 0x43, 1, 1, "\x34" },
        }, seen)
    end)

    it("reads as all-ones by default, and when the hook says no more than done", function()
        for _, answer in ipairs { "nil", "false", "true" } do
            local vm <close> = tiny.bare(IN_500 .. OUT_43 .. HLT)
            local result = result_of(vm)
            vm:on("unhandled_pio", load("return " .. answer))
            assert.equal("halt", run(vm).reason)
            assert.same({ 0xff }, result)
        end
    end)

    it("of a string instruction is answered by one integer, or by all bytes", function()
        for answer, wanted in pairs { [7] = "\7\7\7", abc = "abc" } do
            -- mov dx, 0x500; mov di, 0x3000; mov cx, 3; rep insb; hlt
            local vm <close> = tiny.bare "\xba\x00\x05\xbf\x00\x30\xb9\x03\x00\xf3\x6c\xf4"
            vm:on("exit", function(_, exit)
                return type(answer) == "string" and answer:sub(1, exit.size * exit.count) or answer
            end)
            assert.equal("halt", run(vm).reason)
            assert.equal(wanted, vm.memory:read(0x3000, 3))
        end
    end)

    it("is answered by unhandled_mmio", function()
        local vm <close> = tiny.bare(MMIO .. HLT)
        local seen = {}
        vm:on("unhandled_mmio", function(_, exit)
            seen[#seen + 1] = { exit.type, exit.gpa, exit.size, exit.data }
            return 0x77
        end)
        assert.equal("halt", run(vm).reason)
        assert.same({ { "mmio_read", 0x20000, 1 }, { "mmio_write", 0x20005, 1, "\x77" } }, seen)
    end)

    it("is answered by msr: what rdmsr gives, and a wrmsr that is taken", function()
        local vm <close> = tiny.bare(RDMSR .. WRMSR .. HLT)
        local seen = {}
        local subscription, message, code = vm:on("msr", function(_, exit)
            seen[#seen + 1] = { exit.type, exit.index, exit.value }
            return exit.type == "msr_write" or 0x123456789a
        end)
        if code == "EINVAL" then return pending(message) end
        assert(subscription, message)
        assert.equal("halt", run(vm).reason)
        assert.equal(0x123456789a & 0xffffffff, vm.first.regs.rax)
        assert.same({ "msr_read", 0x12345, 0 }, seen[1])
        assert.same({ "msr_write", 0x12345, 0x123456789a }, seen[2])
    end)

    it("at an MSR is a fault in the guest by default", function()
        local vm <close> = tiny.bare(RDMSR .. SPIN)
        local seen = {}
        vm.memory:write(13 * 4, string.pack("<I2I2", 0x2000, 0)) -- #GP
        vm.memory:write(0x2000, HLT)
        local subscription, message = vm:on("msr", append(seen, "msr"))
        if not subscription then return pending(message) end
        assert.equal("halt", run(vm).reason)
        assert.same({ "msr" }, seen)
    end)

    it("asks all in order, of the event and of exit; the first answer counts", function()
        local vm <close> = tiny.bare(IN_500 .. OUT_43 .. HLT)
        local result, seen = result_of(vm), {}
        local function asked(event, name, answer)
            return vm:on(event, function()
                seen[#seen + 1] = name
                return answer
            end)
        end
        asked("exit", "a")
        asked("unhandled_pio", "b", 1)
        asked("unhandled_pio", "removed", 5):remove()
        asked("unhandled_mmio", "other", 6)
        asked("exit", "c", 2)
        assert.equal("halt", run(vm).reason)
        assert.same({ 1 }, result)
        assert.same({ "a", "b", "c" }, seen)
    end)

    it("is not asked about any more once the subscription is removed, by itself too", function()
        local vm <close> = tiny.bare(IN_500 .. OUT_43 .. IN_500 .. OUT_43 .. HLT)
        local result, subscription = result_of(vm), nil
        subscription = vm:on("exit", function()
            subscription:remove()
            return 9
        end)
        assert.equal("halt", run(vm).reason)
        assert.same({ 9, 0xff }, result)
    end)

    it("may be subscribed to while the guest runs", function()
        local vm <close> = tiny.bare(IN_500 .. "\xeb\xfd") -- in al, dx again and again
        assert(vm:start())
        local count = 0
        vm:on("unhandled_pio", function()
            count = count + 1
            if count == 100 then vm:stop "halt" end
        end)
        assert.equal("halt", assert(vm:wait { timeout = 10 }).reason)
        assert.is_true(count >= 100)
    end)

    it("is asked about by vcpu:dispatch as well", function()
        local vm <close>, vcpu = tiny.bare(IN_500 .. OUT_43 .. HLT)
        vm:on("exit", function(_, exit)
            return exit.type == "pio_read" and 0x21
        end)
        assert.equal("pio_read", assert(vcpu:run_once()).type)
        assert.is_true(vcpu:dispatch())
        assert.equal("\x21", assert(vcpu:run_once()).data)
    end)
end)

describe("a hook of an exit", function()
    local function stop_by(fn)
        local vm <close> = tiny.bare(IN_500 .. SPIN)
        vm:on("unhandled_pio", fn)
        return run(vm)
    end

    it("that throws stops the VM with the traceback and the access", function()
        local stop = stop_by(function()
            error "no such luck"
        end)
        assert.equal("error", stop.reason)
        assert.matches("hook unhandled_pio: pio_read of 1 bytes at port 0x500: ", stop.text, 1,
            true)
        assert.matches("hooks_spec.lua:%d+: no such luck\nstack traceback", stop.text)
    end)

    it("that returns what no read can give stops the VM", function()
        local stop = stop_by(function()
            return {}
        end)
        assert.equal("error", stop.reason)
        assert.matches("the hook returned a table, not an integer, bytes, true or nil", stop.text,
            1, true)
        assert.matches("the hook returned 2 bytes, not 1", stop_by(function()
            return "ab"
        end).text, 1, true)
    end)

    it("may close its own VM, which is told as closed", function()
        local vm = tiny.bare(IN_500 .. SPIN)
        local seen = {}
        vm:on("closed", append(seen, "closed"))
        vm:on("exit", function()
            vm:close()
        end)
        assert.equal("closed", run(vm).reason)
        assert.same({ "closed" }, seen)
        vm:close()
    end)

    it("keeps no VM alive", function()
        local weak = setmetatable({}, { __mode = "v" })
        do
            local vm = tiny.bare(HLT)
            vm:on("exit", function()
                return vm
            end)
            weak[1] = vm
        end
        collectgarbage()
        collectgarbage()
        assert.is_nil(weak[1])
    end)
end)
