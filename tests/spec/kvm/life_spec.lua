-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The life of a VM: start, pause, resume, close, in any order, leaving nothing behind.

local holdings = require "tests.spec.support.holdings"
local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

local function resident_kib()
    for line in io.lines "/proc/self/status" do
        local kib = line:match "VmRSS:%s+(%d+)"
        if kib then return tonumber(kib) end
    end
end

-- mov cx, 0xffff; 1: dec cx; jnz 1b, twice; hlt
local COUNT_DOWN = ("\xb9\xff\xff\x49\x75\xfd"):rep(2) .. "\xf4"

describe("a VM", function()
    it("pauses and resumes a guest that never exits", function()
        local vm <close> = tiny.start "spin"
        vm.console:expect("[%w ]+\n", { timeout = 10 })
        for _ = 1, 20 do
            assert(vm:pause(5))
            assert.equal("paused", vm.vcpus[1].state)
            assert.is_number(vm.vcpus[1].regs.rip)
            assert(vm:resume())
        end
    end)

    it("that is started paused runs no instruction before it is resumed", function()
        local vm <close> = assert(vmm.vm {
            memory = { size_mib = 16 },
            kernel = { path = tiny.path "poweroff" },
        })
        assert(vm:start { paused = true })
        assert.equal("paused", vm.vcpus[1].state)
        assert.equal(vm.plan.entry, vm.vcpus[1].regs.rip)
        assert.is_nil((vm:wait { timeout = 0.1 }))
        assert.equal(vm.plan.entry, vm.vcpus[1].regs.rip)
        assert.same({}, vm:exit_counts())
        assert(vm:resume())
        assert.equal("poweroff", assert(vm:wait { timeout = 20 }).reason)
    end)

    it("that was stopped before it is started paused does not start", function()
        local vm <close> = assert(vmm.vm {
            memory = { size_mib = 16 },
            kernel = { path = tiny.path "poweroff" },
        })
        vm:stop("closed", "not wanted")
        local ok, _, code = vm:start { paused = true }
        assert.same({ nil, "ECANCELED" }, { ok, code })
    end)

    it("refuses to read the state of a running vCPU", function()
        local vm <close> = tiny.start "spin"
        vm.console:expect("[%w ]+\n", { timeout = 10 })
        assert.error_matches(function()
            return vm.vcpus[1].regs
        end, "vCPU 0 runs: pause it to get its state")
    end)

    it("times out a wait for its end on time", function()
        local vm <close> = tiny.start "spin"
        local before = vmm.now()
        local stop, message, code = vm:wait { timeout = 0.2 }
        assert.same({ nil, "timeout", "timeout" }, { stop, message, code })
        local passed = vmm.now() - before
        local scale = tonumber(os.getenv "VMM_TIMEOUT_SCALE") or 1
        assert.is_true(passed >= 0.2 * scale and passed < 0.2 * scale + 5, passed .. " s")
    end)

    it("closes while it runs, and again", function()
        local vm = tiny.start "spin"
        vm:close()
        vm:close()
        assert.is_true(vm.closed)
    end)

    it("refuses to be started twice", function()
        local vm <close> = tiny.start "spin"
        local ok, message, code = vm:start()
        assert.same({ nil, "the VM has been started already", "EBUSY" }, { ok, message, code })
    end)

    it("interrupts a wait when it is closed meanwhile", function()
        local vm = tiny.start "spin"
        local waiter = vmm.spawn(function()
            return select(3, vm:wait())
        end)
        vmm.spawn(function()
            vm:close()
        end)
        assert.equal("interrupted", waiter:wait(5))
    end)

    it("runs beside another one in the same process", function()
        local a <close> = tiny.start "spin"
        local b <close> = tiny.start "hello"
        assert.equal("reboot", assert(b:wait { timeout = 10 }).reason)
        assert.is_nil(a:stopped())
    end)

    it("tells which exits there were", function()
        local vm <close> = tiny.start "hello"
        assert(vm:wait { timeout = 10 })
        assert.is_true(vm:exit_counts().pio_write > #"Hello from a guest\nPASS\n")
    end)

    it("leaves no fd, thread, mapping or memory behind in 1,000 lives", function()
        local function live()
            local vm <close> = tiny.start "first_byte"
            assert(vm:wait { timeout = 20 })
        end
        for _ = 1, 20 do
            live()
        end
        collectgarbage()
        collectgarbage()
        local before, resident = holdings(), resident_kib()
        for _ = 1, 1000 do
            live()
        end
        collectgarbage()
        collectgarbage()
        local after = holdings()
        for what, number in pairs(before) do
            assert.is_true(after[what] <= number,
                ("%d %s before, %d after"):format(number, what, after[what]))
        end
        local grown = resident_kib() - resident
        assert.is_true(grown < 4096, grown .. " KiB more are resident")
    end)

    it("is closed to another VM's handler as soon as its close has begun", function()
        local READ = "\xba\x00\x05\xec\xeb\xfd" -- mov dx, 0x500; 1: in al, dx; jmp 1b
        local other
        local asks <close> = tiny.bare(READ)
        assert(asks:device { pio = { 0x500, 1 }, read = function()
            if other and not other.closed then
                other:exit_counts()
            end
            return 0
        end })
        assert(asks:start())
        for _ = 1, 50 do
            other = tiny.bare(READ)
            assert(other:start())
            vmm.sleep(0.001)
            other:close()
        end
        assert.is_nil(asks:stopped())
    end)

    it("is freed only when no handler waits for it any more", function()
        local other, console
        local asks <close> = tiny.bare "\xe6\x10\xeb\xfc" -- 1: out 0x10, al; jmp 1b
        assert(asks:device { pio = { 0x10, 1 }, write = function()
            if other and not other.closed then
                console:flush(0.001)
            end
            if other and not other.closed then
                other:pause(0.01)
            end
        end })
        assert(asks:start())
        for _ = 1, 50 do
            local vm = tiny.bare "\xeb\xfe"
            console = assert(vm:create_console { capture = 1024 })
            assert(vm:start())
            other = vm
            vmm.sleep(0.001)
            vm:close()
        end
        assert.is_nil(asks:stopped())
    end)

    it("is waited for though an earlier VM had its number for the end", function()
        local kvm = assert(vmm.kvm())
        local first = tiny.bare("\xeb\xfe", kvm)
        assert(first:start())
        first:wait { timeout = 0.05 }
        local number = first:stopped_fd()
        first:close()
        local second <close> = tiny.bare(COUNT_DOWN, kvm)
        assert.equal(number, second:stopped_fd())
        assert(second:start())
        local before = vmm.now()
        assert.equal("halt", assert(second:wait { timeout = 20 }).reason)
        assert.is_true(vmm.now() - before < 10)
    end)
end)
