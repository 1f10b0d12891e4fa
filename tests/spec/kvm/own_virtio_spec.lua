-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A virtio device in somebody's own C module (examples/own-vmm/dice.c), which the library knows as
-- one of its own.

local process = require "vmm.process"
local tiny = require "tests.spec.support.tiny"
local virtio = require "vmm.virtio"
local vmm = require "vmm"

-- A lab has no compiler.
local describe_here = process.which "cc" and describe or function(name)
    pending(name .. " (there is no C compiler here)")
end

describe_here("a virtio device of a C module", function()
    local dice, folder

    setup(function()
        folder = assert(process.temporary_directory "vmm-own-virtio")
        local said, _, code = process.capture({ "sh", "-c", ([[
            cc -Wall -Wextra -Werror -shared -fPIC -Iinclude $(pkg-config --cflags lua5.4) \
                examples/own-vmm/dice.c -o %s/dice.so]]):format(folder) }, { stderr = "merge" })
        assert.equal("", said, code)
        dice = assert(package.loadlib(folder .. "/dice.so", "luaopen_dice"))()
    end)

    teardown(function() process.capture { "rm", "-r", folder } end)

    local function add(vm, parts) assert(virtio.add(vm, parts, assert(dice.new(vm)))) end

    it("is driven by a guest", function()
        local stop, output = tiny.run("virtio_mmio", {
            kernel = { cmdline = "acpi=off" }, setup = add,
        })
        assert.matches("PASS\n", output, 1, true)
        assert.equal("reboot", stop.reason)
    end)

    for _, transport in ipairs { "mmio", "pci" } do
        it("is closed with its VM, over " .. transport, function()
            local device
            local vm = assert(vmm.vm {
                memory = { size_mib = 16 }, transport = transport, setup = function(vm, parts)
                    device = assert(dice.new(vm))
                    assert(virtio.add(vm, parts, device))
                end,
            })
            assert.equal("dice 1", ("%s %d"):format(device.name, device.queues))
            vm:close()
            assert.equal("vmm.virtio: closed", tostring(device))
        end)
    end

    it("outlives a VM whose object is collected with it", function()
        for round = 1, 20 do
            local vm = assert(vmm.vm { memory = { size_mib = 16 }, setup = add })
            assert(dice.new(vm))
            if round % 2 == 0 then vm:close() end
        end
        collectgarbage()
        collectgarbage()
    end)

    it("needs a VM that has memory", function()
        local vm <close> = assert(assert(vmm.kvm()):create_vm {})
        local ok, message = pcall(dice.new, vm)
        assert.is_false(ok)
        assert.matches("the VM has no memory yet", message, 1, true)
    end)
end)
