-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The socket device of a machine whose guest has no driver for it, and what scripts say wrong.

local process = require "vmm.process"
local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

describe("a vsock device", function()
    local directory, path

    before_each(function()
        directory = assert(process.temporary_directory "vmm-vsock")
        path = directory .. "/vsock"
    end)

    after_each(function()
        process.remove(directory)
    end)

    local function machine()
        return vmm.vm {
            console = "capture", memory = { size_mib = 16 },
            kernel = { path = tiny.path "halt" }, vsock = { cid = 5, path = path },
        }
    end

    it("has its socket at the path as long as the machine is there", function()
        local vm <close> = assert(machine())
        assert.equal(5, vm.vsock.cid)
        assert.equal(path, vm.vsock.path)
        assert.truthy(process.stat1(path))
        vm:close()
        assert.is_nil(process.stat1(path))
    end)

    it("refuses a path that another machine listens at", function()
        local vm <close> = assert(machine()) -- luacheck: ignore vm
        local other, message, code = machine()
        assert.is_nil(other)
        assert.equal("EADDRINUSE", code)
        assert.truthy(message:find(path, 1, true), message)
    end)

    it("has connections wait for a driver", function()
        local vm <close> = assert(machine())
        local socket, _, code = vm:vsock_connect(52, { timeout = 0.1 })
        assert.is_nil(socket)
        assert.equal("timeout", code)
    end)

    it("listens for a port beside its path", function()
        local vm <close> = assert(machine())
        local listener <close> = assert(vm:vsock_listen(52)) -- luacheck: ignore listener
        assert.truthy(process.stat1(path .. "_52"))
    end)

    it("takes ports and known options only", function()
        local vm <close> = assert(machine())
        assert.has_error(function() vm:vsock_connect(-1) end,
            "vm:vsock_connect: port must be an integer from 0 to 4294967294, not -1")
        assert.has_error(function() vm:vsock_listen "52" end,
            'vm:vsock_listen: port must be an integer from 0 to 4294967294, not "52"')
        assert.has_error(function() vm:vsock_connect(1, { timeuot = 1 }) end,
            'vm:vsock_connect: unknown option "timeuot", did you mean "timeout"? valid: timeout')
    end)

    it("is missed by name", function()
        local vm <close> = assert(vmm.vm {
            console = "capture", kernel = { path = tiny.path "halt" },
        })
        assert.has_error(function() vm:vsock_connect(1) end,
            "vm:vsock_connect: the machine has no vsock device: vmm.vm{ vsock = { path = ... } }")
    end)

    it("is no entropy device", function()
        local vm <close> = assert(machine())
        local rng = assert(vmm.virtio_rng { vm = vm })
        assert.has_error(function() rng:reset_connections() end)
    end)
end)
