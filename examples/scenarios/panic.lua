-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A kernel that panics: whoever waits is told at once, with the kernel's own words and a backtrace
-- that has names, and artefacts are left for whoever looks into it later.
--
--   vmm-reference test --artefacts kept examples/scenarios/panic.lua

local record = require "vmm.scenario.record"
local vmm = require "vmm"

describe("a guest whose kernel panics", function()
    local vm, folder

    setup(function()
        vm = vmm.scenario.vm { guest = "debian-cloud", vcpus = { num = 2 } }
        vm:boot():wait()
        folder = os.tmpname() .. ".d"
        assert(os.execute("mkdir " .. folder))
    end)

    teardown(function()
        vm:close()
        os.execute("rm -r " .. folder)
    end)

    it("ends the command that waits, with the reason and the calls that led to it", function()
        local ok, failure = pcall(vm.run, vm, "echo c >/proc/sysrq-trigger")
        assert.is_false(ok)
        assert.equal("panic", failure.code)
        assert.matches("Kernel panic %- not syncing: sysrq triggered crash", failure.title)
        assert.matches("sysrq_handle_crash%+0x", failure.backtrace)
        assert.matches("proc_reg_write%+0x", failure.backtrace)
    end)

    -- Run with --artefacts, they are in the test's folder and linked from its report.
    local function keep(name, write)
        local path = (record.directory() or folder) .. "/" .. name
        assert(write(path))
        record.artefact(vm, path, name)
        local file <close> = assert(io.open(path, "rb"))
        return file:read "a"
    end

    it("leaves its kernel's log and the symbols of the kernel that was running", function()
        local log = keep("kernel.log", function(path)
            local file <close> = assert(io.open(path, "w"))
            return file:write(vm.console.log:tail(1000), "\n")
        end)
        assert.matches("%] Kernel panic %- not syncing: sysrq triggered crash\n", log)

        local symbols = keep("kernel.elf", function(path) return vm:write_symbols(path) end)
        assert.equal("\x7fELF", symbols:sub(1, 4))
        assert.matches("sysrq_handle_crash", symbols, 1, true)
    end)
end)
