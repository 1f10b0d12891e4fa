-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A whole Debian on a disk, with systemd: it reaches multi-user, lets in who has the password, and
-- is powered off.
--
--   vmm-reference test examples/scenarios/login.lua

local vmm = require "vmm"

describe("Debian on a disk", function()
    local vm

    setup(function()
        vm = vmm.scenario.vm { guest = "debian-disk" }
        vm:boot({ timeout = 120 }):wait()
    end)

    teardown(function()
        vm:close()
    end)

    it("reaches multi-user, and no unit has failed", function()
        vm:wait_for_unit("multi-user.target", { timeout = 120 })
        assert.equal("", vm:succeed "systemctl --failed --plain --no-legend")
    end)

    it("keeps out who does not know the password", function()
        local ok, _, code = vm:try_login { user = "root", password = "guess" }
        assert.is_nil(ok)
        assert.equal("refused", code)
    end)

    it("lets in who does", function()
        vm:login { user = "root", password = "root" }
        vm.console:send_line "tty; id -un"
        assert.equal("root", vm.console:expect("/dev/ttyS0\r\n(%w+)\r\n")[1])
    end)

    it("ends in good order when it is told to power off", function()
        vm:background "systemctl poweroff"
        assert.equal("poweroff", assert(vm:wait { timeout = 120 }).reason)
        assert.matches("reboot: Power down$", vm.console.log:tail(1))
    end)
end)
