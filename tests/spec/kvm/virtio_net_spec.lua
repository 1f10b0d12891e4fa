-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Network devices of a VM that does not run: what they have of the host's.

local vmm = require "vmm"

describe("the network device of a VM", function()
    local function free_port()
        local listener <close> = assert(vmm.listen { tcp = 0 })
        return listener:port()
    end

    it("gives the host's ports back when the VM is closed, though it is kept", function()
        local port = free_port()
        local forward = ("tcp:%d-80"):format(port)
        local vm = assert(vmm.vm { net = { { user = true, forward = forward } } })
        assert.is_nil((vmm.listen { tcp = port }))
        local nic = vm.nics[1]
        vm:close()
        local listener <close> = assert(vmm.listen { tcp = port })
        assert.equal(port, listener:port())
        assert.equal("user", nic.backend)
    end)

    it("leaves its link", function()
        local lan <close> = assert(vmm.link { name = "of a VM" })
        local vm = assert(vmm.vm { net = { { link = "of a VM" } } })
        assert.equal(1, lan:stats().ports)
        vm:close()
        assert.equal(0, lan:stats().ports)
    end)

    it("has a station's frames go nowhere while its guest has no driver", function()
        local vm <close> = assert(vmm.vm { net = { { backend = { send = print } } } })
        local nic = vm.nics[1]
        assert.equal("lua", nic:stats().backend)
        assert.is_true(nic:receive(("x"):rep(60)))
        assert.has_error(function() nic:receive "short" end)
        assert.equal(0, nic:stats().rx_frames)
        vm:close()
        assert.same({ nil, "the VM is closed", "closed" }, { nic:receive(("x"):rep(60)) })
    end)

    it("has limits that are read, and set one by one", function()
        local vm <close> = assert(vmm.vm { net = { { link = "limited", tx_packets = 5 } } })
        local nic = vm.nics[1]
        assert.same({ rx_bandwidth = 0, tx_bandwidth = 0, rx_packets = 0, tx_packets = 5,
            burst = 1 }, nic:limit())
        assert.same({ rx_bandwidth = 1000, tx_bandwidth = 0, rx_packets = 0, tx_packets = 5,
            burst = 0.5 }, nic:limit { rx_bandwidth = 1000, burst = 0.5 })
        assert.has_error(function() nic:limit { rx_bandwidth = -1 } end)
        assert.has_error(function() nic:limit { bandwidth = 1 } end)
        assert.has_error(function() nic:limit { burst = 4000 } end)
        assert.equal(1000, nic:limit().rx_bandwidth)
    end)

    it("says at the caller's line what cannot be done when the VM is closed", function()
        local vm = assert(vmm.vm { net = { { link = "closed" } } })
        local nic = vm.nics[1]
        vm:close()
        for _, name in ipairs { "set_link", "fault", "limit", "stats" } do
            local ok, message = pcall(function() nic[name](nic, {}) end)
            assert.is_false(ok)
            assert.matches("virtio_net_spec.lua:%d+: nic:" .. name .. ": the VM is closed", message)
        end
    end)

    it("knows what is wrong with a fault", function()
        local vm <close> = assert(vmm.vm { net = { { link = "faulty" } } })
        assert.has_error(function() vm.nics[1]:fault { direction = "up" } end,
            'fault: direction must be one of "tx", "rx", "both"')
        local fault <close> = assert(vm.nics[1]:fault { drop = 0.5, direction = "rx" })
        assert.equal(0, fault:stats().frames)
        assert.has_error(function() vm.nics[1]:receive(("x"):rep(60)) end,
            "nic:receive: only of a backend in Lua")
    end)
end)
