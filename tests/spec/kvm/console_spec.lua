-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Where a console can go, and the dialogue with a tiny guest.

local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

local HELLO = "Hello from a guest\nPASS\n"

describe("a console", function()
    it("goes to a function, piece by piece", function()
        local pieces = {}
        local vm <close> = tiny.start("hello", {
            console = function(bytes)
                pieces[#pieces + 1] = bytes
            end,
        })
        assert(vm:wait { timeout = 20 })
        vm.console:pull()
        assert.equal(HELLO, table.concat(pieces))
    end)

    it("goes to a file, whole when the VM is closed", function()
        local path = os.tmpname()
        local vm = tiny.start("hello", { console = { file = path } })
        assert(vm:wait { timeout = 20 })
        vm:close()
        local file <close> = assert(io.open(path))
        assert.equal(HELLO, file:read "a")
        os.remove(path)
    end)

    it("goes to a pseudo-terminal, whose path it tells", function()
        local vm <close> = tiny.start("serial_irq", { console = "pty" })
        -- Opened by another process: it would become the terminal of a leader of a session that
        -- has none, who is told when it is closed.
        local pty <close> = assert(io.popen("exec cat >" .. vm.console.path, "w"))
        vm.console:expect("ready\n", { timeout = 20 })
        assert(pty:write "end\n")
        assert(pty:flush())
        assert.equal("reboot", assert(vm:wait { timeout = 20 }).reason)
    end)

    it("refuses a unix socket's path that is taken", function()
        local path = os.tmpname()
        local ok, err = pcall(tiny.start, "hello", { console = { unix = path } })
        assert.is_false(ok)
        assert.matches(path, tostring(err), 1, true)
        os.remove(path)
    end)

    it("keeps the output that no expect has consumed", function()
        local vm <close> = tiny.start "hello"
        assert.equal("Hello", vm.console:expect("Hello", { timeout = 20 }).match)
        assert(vm:wait { timeout = 20 })
        assert.equal(" from a guest\nPASS\n", vm.console:output())
    end)

    it("hands out captures and what came before", function()
        local vm <close> = tiny.start "hello"
        local found = vm.console:expect("from (%w+) (%w+)\n", { timeout = 20 })
        assert.same({ "Hello ", "a", "guest" }, { found.before, found[1], found[2] })
    end)

    it("ends an expect at once when a silent guest ends", function()
        -- mov cx, 0xffff; 1: dec cx; jnz 1b, four times, then S5 to the ACPI sleep control register
        local code = ("\xb9\xff\xff\x49\x75\xfd"):rep(4)
            .. ("<BI2BBB"):pack(0xba, vmm.layout.acpi_power_port, 0xb0, 0x34, 0xee) .. "\xeb\xfe"
        local path = os.tmpname()
        do
            local file <close> = assert(io.open(path, "wb"))
            file:write(code)
        end
        local vm <close> = assert(vmm.vm {
            console = "capture", memory = { size_mib = 1 },
            kernel = { path = path, flow = "flat", mode = 16, himem_start = 0x7c00 },
        })
        os.remove(path)
        assert(vm:start())
        local before = vmm.now()
        local _, err, why = vm.console:try_expect("never said", { timeout = 20 })
        assert.equal("ended", why)
        assert.matches("the VM is ended: poweroff", tostring(err), 1, true)
        assert.is_true(vmm.now() - before < 10)
    end)

    it("ends an expect at once when the guest has ended", function()
        local vm <close> = tiny.start "hello"
        local found, err, code = vm.console:try_expect("never", { timeout = 600 })
        assert.is_nil(found)
        assert.equal("ended", code)
        assert.matches('expected "never", the guest ended after', tostring(err), 1, true)
        assert.matches("the VM is ended: reboot", tostring(err), 1, true)
        assert.matches("PASS", tostring(err), 1, true)
    end)

    it("says in an error that the machine is not started", function()
        local vm <close> = assert(vmm.vm { memory = { size_mib = 16 } })
        local _, err = vm.console:try_expect("x", { timeout = 0 })
        assert.matches("the VM is not started; ", tostring(err), 1, true)
    end)
end)
