-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vm:on: events of a VM's life on the script's thread, and exits no device took on the vCPU's.

local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

local HLT = "\xf4"
local SPIN = "\xeb\xfe" -- jmp to itself
local OUT_43 = "\xe6\x43" -- out 0x43, al
local IN_500 = "\xba\x00\x05\xec" -- mov dx, 0x500; in al, dx
local MMIO = "\xb8\x00\x20\x8e\xd8\xa0\x00\x00\xa2\x05\x00" -- ds = 0x2000; al = [0]; [5] = al
local RDMSR = "\x66\xb9\x45\x23\x01\x00\x0f\x32" -- mov ecx, 0x12345; rdmsr
local WRMSR = "\x0f\x30"

-- Starts a bare VM and waits for its end.
local function run(vm)
    assert(vm:start())
    return assert(vm:wait { timeout = 10 })
end

-- The value that the guest writes to port 0x43 comes out here.
local function result_of(vm)
    local result = {}
    assert(vm:device {
        pio = { 0x43, 1 },
        write = function(_, _, _, value)
            result[#result + 1] = value
        end,
    })
    return result
end

local function append(list, ...)
    local what = { ... }
    return function()
        table.move(what, 1, #what, #list + 1, list)
    end
end

describe("vm:on", function()
    it("raises for an event that there is not, and lists those that there are", function()
        local vm <close> = tiny.bare(HLT)
        local ok, message = pcall(vm.on, vm, "rebot", print)
        assert.is_false(ok)
        assert.matches('vm:on: unknown event "rebot", did you mean "reboot"?', message, 1, true)
        for _, name in ipairs {
            "ready", "stop", "reboot", "poweroff", "shutdown", "panic", "triple_fault", "halt",
            "error", "closed", "crashloaded", "unhandled_pio", "unhandled_mmio", "msr",
            "hypercall", "debug", "unknown", "exit",
        } do
            assert.matches("[ ,]" .. name .. "%f[,\0]", message)
            if name ~= "msr" then assert(vm:on(name, print)):remove() end
        end
        assert.has_error(function()
            vm:on(nil, print)
        end)
    end)

    it("raises without a function, and for a closed VM", function()
        local vm <close> = tiny.bare(HLT)
        local ok, message = pcall(function()
            vm:on("stop", 5)
        end)
        assert.is_false(ok)
        assert.matches("hooks_spec.lua:%d+: vm:on: fn must be a function, not 5", message)
        vm:close()
        assert.error_matches(function()
            vm:on("stop", print)
        end, "the VM is closed")
    end)

    it("calls several in the order of subscription, until they are removed", function()
        local vm <close> = tiny.bare(HLT)
        local seen = {}
        local first = vm:on("halt", append(seen, "first"))
        local second = vm:on("stop", append(seen, "second"))
        vm:on("halt", append(seen, "third"))
        assert.equal("vmm.subscription: stop", tostring(second))
        second:remove()
        second:remove()
        assert.equal("vmm.subscription: stop, removed", tostring(second))
        run(vm)
        assert.same({ "first", "third" }, seen)
        vm:close()
        first:remove()
    end)

    it("lets a hook remove others and add more", function()
        local vm <close> = tiny.bare(HLT)
        local seen, second = {}, nil
        vm:on("stop", function()
            second:remove()
            vm:on("stop", append(seen, "late"))
            seen[#seen + 1] = "first"
        end)
        second = vm:on("stop", append(seen, "second"))
        run(vm)
        assert.same({ "first" }, seen)
    end)
end)

describe("ready", function()
    it("comes at the start, before the first instruction, and may change registers", function()
        local vm <close> = tiny.bare(OUT_43 .. HLT)
        local result, seen = result_of(vm), {}
        vm:on("ready", function(ready)
            seen[#seen + 1] = ready == vm
            vm.first.regs = { rax = 0x5a }
        end)
        assert.same({}, seen)
        assert.equal("halt", run(vm).reason)
        assert.same({ 0x5a }, result)
        assert.is_nil(vm:start())
        assert.same({ true }, seen)
    end)

    it("raises a hook's error in vm:start, which starts nothing", function()
        local vm <close> = tiny.bare(HLT)
        local subscription = vm:on("ready", function()
            error "not yet"
        end)
        assert.error_matches(function()
            vm:start()
        end, "not yet")
        assert.equal("none", vm.first.state)
        subscription:remove()
        assert.equal("halt", run(vm).reason)
    end)
end)

describe("the end", function()
    -- Which of all reasons' events come at the end of a VM, and with what.
    local function events_of(vm, finish)
        local seen = {}
        for _, name in ipairs {
            "stop", "reboot", "shutdown", "panic", "triple_fault", "halt", "error", "closed",
        } do
            vm:on(name, function(stop)
                seen[#seen + 1] = name .. ":" .. stop.reason
            end)
        end
        finish(vm)
        vm:close()
        return seen
    end

    for event, reason in pairs {
        reboot = "reboot",
        shutdown = "poweroff",
        panic = "panic",
        triple_fault = "triple_fault",
        halt = "halt",
        error = "error",
        closed = "closed",
    } do
        it("is told as stop and as " .. event .. ", once", function()
            local vm <close> = tiny.bare(SPIN)
            local seen = events_of(vm, function()
                assert(vm:start())
                vm:stop(reason, "for a test")
                assert.equal(reason, assert(vm:wait { timeout = 10 }).reason)
                vm:stopped()
                vmm.step(0)
            end)
            assert.same({ "stop:" .. reason, event .. ":" .. reason }, seen)
        end)
    end

    it("is told for what guests do: halt, triple fault, reboot, power off", function()
        for name, reason in pairs {
            halt = "halt",
            triple_fault = "triple_fault",
            reboot = "reboot",
            poweroff = "poweroff",
        } do
            local vm <close> = tiny.start(name)
            local told
            vm:on(reason, function(stop)
                told = stop
            end)
            if name == "halt" then vm:stop "halt" end
            assert(vm:wait { timeout = 20 })
            assert.equal(reason, told and told.reason)
        end
    end)

    it("is told when the script does nothing but step", function()
        local vm <close> = tiny.bare(HLT)
        local told
        vm:on("stop", function(stop)
            told = stop
        end)
        assert(vm:start())
        local deadline = vmm.now() + 10
        while not told and vmm.now() < deadline do
            vmm.step(0.1)
        end
        assert.equal("halt", told.reason)
    end)

    it("is told by vm:close, with what the guest did before", function()
        local closed = events_of(tiny.bare(SPIN), function(vm)
            assert(vm:start())
        end)
        assert.same({ "stop:closed", "closed:closed" }, closed)
        local never = events_of(tiny.bare(HLT), function() end)
        assert.same({ "stop:closed", "closed:closed" }, never)
        local halted = events_of(tiny.bare(HLT), function(vm)
            assert(vm:start())
            while vm.first.state ~= "finished" do
                os.execute "sleep 0.01"
            end
        end)
        assert.same({ "stop:halt", "halt:halt" }, halted)
    end)

    it("is told by a <close>, and lets a hook close the VM", function()
        local seen = {}
        do
            local vm <close> = tiny.bare(HLT)
            vm:on("stop", append(seen, "stop"))
        end
        local vm = tiny.bare(HLT)
        vm:on("halt", function()
            vm:close()
            seen[#seen + 1] = "halt"
        end)
        assert(vm:start())
        vm:wait { timeout = 10 }
        assert.is_true(vm.closed)
        assert.same({ "stop", "halt" }, seen)
    end)

    it("raises a hook's error in the script's next wait; the others are called", function()
        local vm <close> = tiny.bare(HLT)
        local seen = {}
        vm:on("stop", function()
            error "oh dear"
        end)
        vm:on("stop", append(seen, "second"))
        local ok, message = pcall(function()
            run(vm)
            vmm.sleep(0)
        end)
        assert.is_false(ok)
        assert.matches("oh dear", message)
        assert.same({ "second" }, seen)
    end)
end)

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

    it("may not wait, and may not yield", function()
        assert.matches("a handler may not wait", stop_by(function()
            vmm.sleep(1)
        end).text, 1, true)
        assert.matches("attempt to yield", stop_by(coroutine.yield).text, 1, true)
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

describe("pvpanic", function()
    -- mov dx, 0x505; in al, dx; out 0x43, al
    local READ = "\xba\x05\x05\xec" .. OUT_43

    local function machine(code)
        local vm = tiny.bare(code)
        assert(vm:attach(vmm.pvpanic { vm = vm }, { pio = 0x505 }))
        return vm, result_of(vm)
    end

    it("ends the VM with reason panic when the guest writes bit 0", function()
        local vm <close>, result = machine(READ .. "\xb0\x01\xee" .. SPIN)
        local told
        vm:on("panic", function(stop)
            told = stop
        end)
        local stop = run(vm)
        assert.equal("panic", stop.reason)
        assert.equal("the guest told pvpanic that it has panicked", stop.text)
        assert.same(stop, told)
        assert.same({ 3 }, result)
    end)

    it("tells crashloaded for bit 1, before the end, and goes on", function()
        local vm <close> = machine("\xba\x05\x05\xb0\x02\xee" .. HLT)
        local seen = {}
        vm:on("stop", append(seen, "stop"))
        vm:on("crashloaded", append(seen, "crashloaded"))
        assert.equal("halt", run(vm).reason)
        assert.same({ "crashloaded", "stop" }, seen)
    end)

    it("tells crashloaded while the guest runs", function()
        local vm <close> = machine("\xba\x05\x05\xb0\x02\xee" .. SPIN)
        local seen = {}
        vm:on("crashloaded", append(seen, "crashloaded"))
        assert(vm:start())
        local deadline = vmm.now() + 10
        while not seen[1] and vmm.now() < deadline do
            vmm.step(0.1)
        end
        assert.same({ "crashloaded" }, seen)
        assert.is_nil(vm:stopped())
    end)

    it("is in a whole machine, where the console's line says more", function()
        local path = os.tmpname()
        local file <close> = assert(io.open(path, "wb"))
        file:write("\xbe\x17\x7c", -- mov si, the text
            "\xac\x84\xc0\x74\x06", -- lodsb; test al, al; jz behind the loop
            "\xba\xf8\x03\xee\xeb\xf5", -- mov dx, COM1; out dx, al; jmp to lodsb
            "\xba\x05\x05\xb0\x01\xee", -- mov dx, 0x505; mov al, 1; out dx, al
            HLT, "\xeb\xfd",
            "Kernel panic - not syncing: a test\r\n\0")
        file:close()
        local vm <close> = assert(vmm.vm {
            console = "capture",
            memory = { size_mib = 16 },
            kernel = { path = path, flow = "flat", mode = 16 },
        })
        os.remove(path)
        local stop = run(vm)
        assert.equal("panic", stop.reason)
        assert.equal("Kernel panic - not syncing: a test", stop.text)
    end)
end)
