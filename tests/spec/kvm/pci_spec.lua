-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Machines with a PCI bus, not started: what they have, and what they have no more of.

local vmm = require "vmm"
local layout = require "vmm.x86.layout"
local pci = require "vmm.pci"
local virtio = require "vmm.virtio"

-- A machine whose setup adds this many entropy devices; or nil, message, code.
local function machine(count, change)
    local failure
    local vm, message, code = vmm.vm {
        memory = { size_mib = 64 },
        transport = "pci",
        setup = function(vm, parts)
            assert(pci.bus(vm, parts))
            if change then change(parts.pci) end
            for _ = 1, count do
                local device = assert(vmm.virtio_rng { vm = vm })
                local ok, text, name = virtio.add(vm, parts, device)
                if not ok then
                    failure = { text, name }
                    return
                end
            end
        end,
    }
    assert(vm, message, code)
    vm:close()
    return failure
end

describe("a machine with a PCI bus", function()
    it("has 31 slots and says so when they are taken", function()
        assert.is_nil(machine(31))
        assert.same({ "virtio-rng: no slot is free: a machine has 31 for PCI devices", "ENOSPC" },
            machine(32))
    end)

    it("says so when no GSI is left", function()
        assert.same({ "virtio-rng: no GSI is free: a machine has 1000 for PCI devices", "ENOSPC" },
            machine(3, function(bus) bus.next_gsi = layout.gsis - 4 end))
    end)

    it("says so when no address is left", function()
        local failure = machine(2, function(bus)
            bus.next_bar = layout.pci_window + layout.pci_window_size - 0x8000
        end)
        assert.same({
            "virtio-rng: no address is free: a machine has 134217728 for PCI devices", "ENOSPC",
        }, failure)
    end)

    it("refuses a slot and a GSI that are taken, and a bridge that is none", function()
        local vm <close> = assert(vmm.vm { memory = { size_mib = 64 } })
        local function rng() return assert(vmm.virtio_rng { vm = vm }) end
        local host = assert(vmm.pci_host {
            vm = vm, windows = { { 0xd8000000, 0x1000000 } }, gsis = { 16 },
        })
        local function add(changes)
            local options = { virtio = rng(), host = host, slot = 1, gsi = 24 }
            for key, value in pairs(changes) do options[key] = value end
            return vmm.virtio_pci(options)
        end
        local function refusal(changes)
            local ok, message, code = add(changes)
            assert.is_nil(ok)
            return { message, code }
        end
        assert.is_true(add {})
        assert.same({ "PCI slot 1 has a function already", "EBUSY" }, refusal { gsi = 30 })
        assert.same({ "gsi 25 is in use", "EBUSY" }, refusal { slot = 2, gsi = 25 })
        assert.same({ "2 message(s) from gsi 1023: 24 to 1023", "EINVAL" },
            refusal { slot = 2, gsi = 1023 })
        local device = assert(vmm.debug_port { name = "post" })
        local _, mistake = pcall(add, { host = device, slot = 2, gsi = 40 })
        assert.truthy(mistake:find("the bridge is of another VM", 1, true))
        assert.is_true(add { slot = 2, gsi = 30 }) -- what was refused is free again
    end)
end)
