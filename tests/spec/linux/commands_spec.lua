-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Commands in a Linux guest, over a virtio port and over a second serial port.

local agent = require "vmm.scenario.agent"
local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"

-- A guest whose agent finds its way by itself.
local function boot(kind)
    local kernel = assert(guests.kernel "cloud-amd64")
    local initrd = assert(guests.initramfs {
        kernel = kernel,
        modules = kind == "port" and { "virtio_mmio", "virtio_console" } or nil,
        files = { [agent.PATH] = agent.SCRIPT },
        run = ("sh %s &"):format(agent.PATH),
    })
    return linux.boot {
        kernel = { initrd = initrd },
        virtio_console = kind == "port" and { ports = { agent.PORT } } or nil,
        serial2 = kind == "serial" and "capture" or nil,
    }
end

for _, kind in ipairs { "port", "serial" } do
    describe("commands over a " .. kind, function()
        local vm

        setup(function() vm = boot(kind) end)

        teardown(function()
            if vm then vm:close() end
        end)

        it("run, and give status, output and duration", function()
            local result = vm:run "echo out; echo err >&2; exit 3"
            assert.equal(3, result.status)
            assert.equal("out\nerr\n", result.output)
            assert.is_true(result.duration >= 0)
        end)

        it("succeed and fail", function()
            assert.equal("6.1", vm:succeed("uname -r"):match "^%d+%.%d+")
            assert.equal("", vm:fail "false")
            local ok, err = pcall(vm.succeed, vm, "ls /nowhere")
            assert.is_false(ok)
            assert.equal(1, err.status)
            assert.matches("^vm: `ls /nowhere` failed with status 1 after [%d.]+ s;"
                .. " its last output:\nls: /nowhere: No such file or directory$", tostring(err))
        end)
    end)
end
