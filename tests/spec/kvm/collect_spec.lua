-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What the garbage collector may take of a VM, when, and that nothing in use goes with it.

local core = require "vmm.core"
local holdings = require "tests.spec.support.holdings"
local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

local function collect()
    collectgarbage()
    collectgarbage()
end

-- mov dx, 0x3f8; mov al, 'A'; out dx, al; and what follows
local PRINT = "\xba\xf8\x03\xb0\x41\xee"
local HALT = "\xf4"
local PRINT_AGAIN = "\xeb\xfd" -- jmp to the out

-- A VM with a serial port whose console is held by nobody but the table of weak references.
local function with_serial(code)
    local vm, vcpu = tiny.bare(code)
    local console = assert(vm:create_console { capture = 1024 })
    assert(vm:attach(core.serial { console = console }, { pio = 0x3f8 }))
    return vm, vcpu, setmetatable({ vm = vm, console = console }, { __mode = "v" })
end

describe("the console of an attached serial port", function()
    it("lives as long as the VM", function()
        local vm <close>, vcpu, weak = with_serial(PRINT .. HALT)
        collect()
        assert(weak.console, "the console was collected")
        assert.equal("pio_write", vcpu:run_once().type)
        assert.is_true(vcpu:dispatch())
        assert(weak.console:flush(1))
        assert.equal("A", (weak.console:capture(0)))
    end)

    it("is collected with the VM", function()
        local weak = select(3, with_serial(HALT))
        collect()
        assert.is_nil(weak.vm)
        assert.is_nil(weak.console)
    end)

    it("serves a VM that is dropped while it prints, up to the VM's end", function()
        for _ = 1, 20 do
            assert(with_serial(PRINT .. PRINT_AGAIN):start())
            collect()
        end
    end)
end)

describe("a console whose serial port was collected", function()
    it("still takes input", function()
        local vm <close> = tiny.bare(HALT)
        local console = assert(vm:create_console { capture = 1024 })
        local weak = setmetatable({ core.serial { console = console } }, { __mode = "v" })
        collect()
        assert.is_nil(weak[1])
        assert.equal(3, console:input "abc")
    end)
end)

-- Drops a VM that prints, for another one's handler to collect: true when it did.
local function collect_in_handler()
    local vm <close> = tiny.bare "\xe6\x10\xf4" -- out 0x10, al; hlt
    assert(vm:device { pio = { 0x10, 1 }, write = collect })
    collectgarbage "stop" -- until that
    local weak = select(3, with_serial(PRINT .. PRINT_AGAIN))
    assert(weak.vm:start())
    assert(vm:start())
    local deadline = vmm.now() + 10
    while not vm:stopped() and vmm.now() < deadline do
        vmm.step(0.01)
    end
    collectgarbage "restart"
    return weak.vm == nil
end

describe("a VM that is collected in another one's handler", function()
    it("is freed at the script's next step", function()
        local ROUNDS = 4
        collect()
        local before = holdings()
        for _ = 1, ROUNDS do
            assert.is_true(collect_in_handler())
            vmm.step(0)
        end
        collect()
        local after = holdings()
        assert.equal(before.threads, after.threads)
        -- A kvm object or two may wait for the next collection; a VM holds more.
        local fds = after.fds - before.fds
        assert.is_true(fds < ROUNDS, fds .. " fds more")
    end)
end)

describe("the consoles of a VM that is closed", function()
    -- A VM whose handler collects, again and again: other VMs are closed meanwhile.
    local function collector()
        local vm = tiny.bare "\xe6\x10\xeb\xfc" -- out 0x10, al; jmp to it
        assert(vm:device { pio = { 0x10, 1 }, write = collect })
        assert(vm:start())
        return vm
    end

    it("may be collected in another one's handler meanwhile", function()
        local other <close> = collector()
        for _ = 1, 50 do
            local vm <close> = tiny.bare(HALT)
            for _ = 1, 100 do
                assert(vm:create_console { capture = 1024 })
            end
        end
        assert.is_nil(other:stopped())
    end)
end)
