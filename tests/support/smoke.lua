-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Boots a tiny flat guest with whatever this build has, and says PASS.
--
-- usage: smoke.lua GUEST.bin

local vmm = require "vmm"

local vm <close> = assert(vmm.vm {
    memory = { size_mib = 16 },
    kernel = { path = arg[1], flow = "flat" },
})
assert(vm:start())
if vmm.features.serial then
    vm.console:expect("PASS", { timeout = 20 })
else -- it ends by the i8042
    assert(assert(vm:wait { timeout = 20 }).reason == "reboot")
end
print "PASS"
