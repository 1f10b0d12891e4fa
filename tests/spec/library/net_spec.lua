-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Network options as text and tables, and links by name.

local config = require "vmm.config"
local net = require "vmm.virtio_net"
local parse = require "vmm.cli.parse"
local vmm = require "vmm"

describe("forwards", function()
    it("have a protocol, ports, and addresses where they are given", function()
        assert.same({
            { udp = false, host = "127.0.0.1", host_port = 8080, guest_port = 80 },
            { udp = true, host = "0.0.0.0", host_port = 53, guest = "10.0.2.16", guest_port = 54 },
        }, net.forwards "tcp:8080-80,udp:0.0.0.0:53-10.0.2.16:54")
    end)

    it("are none by default", function()
        assert.same({}, net.forwards(nil))
    end)
end)

describe("the option net", function()
    it("is a list, and complete", function()
        local list = config.check { net = { { user = true, forward = "tcp:1-2,udp:3-4" } } }.net
        assert.equal(1, #list)
        assert.equal("tcp:1-2,udp:3-4", list[1].forward)
        assert.is_false(list[1].restrict)
        assert.is_nil(config.check {}.net)
        assert.same(list, config.check { net = list }.net)
    end)

    it("takes functions of a script, which it knows by name", function()
        local function mistake(nic)
            return select(2, config.check { net = { nic } })
        end
        local send = function() end
        local list = config.check { net = { { backend = { send = send } } } }.net
        assert.equal(send, list[1].backend.send)
        assert.equal("net[1]: backend: send is missing", mistake { backend = {} })
        assert.equal('net[1].backend: "recv" is not known; allowed: send',
            mistake { backend = { recv = send } })
        assert.equal("net[1].backend: send: 5 is not a function",
            mistake { backend = { send = 5 } })
        assert.equal("net[1].backend: 5 is not a table of functions", mistake { backend = 5 })
        assert.equal("net[1]: give one of: user=true, tap=NAME, link=NAME",
            mistake { backend = { send = send }, user = true })
    end)

    it("takes a link that is open in the place of its name", function()
        local lan = assert(vmm.link { name = "wire" })
        local list = config.check { net = { lan, { link = "other" } } }.net
        assert.equal("wire", list[1].link)
        assert.equal(1, list[1].queues)
        assert.equal("other", list[2].link)
        lan:close()
        assert.same({ nil, "net[1]: the link wire is closed" },
            { config.check { net = { lan } } })
    end)

    it("may be given several times on the command line", function()
        local command = assert(parse { "--kernel", "path=k", "--net",
            "user=true,forward=tcp:1-2,udp:3-4,mac=52:54:00:00:00:01", "--net", "link=lan" })
        assert.equal(2, #command.config.net)
        assert.equal("tcp:1-2,udp:3-4", command.config.net[1].forward)
        assert.equal("52:54:00:00:00:01", command.config.net[1].mac)
        assert.equal("lan", command.config.net[2].link)
    end)
end)

describe("vmm.link", function()
    it("finds a link by its name until it is closed", function()
        local first = assert(vmm.link { name = "x" })
        assert.equal(first, vmm.link { name = "x" })
        assert.not_equal(first, vmm.link { name = "y" })
        assert.same({ ports = 0, frames = 0, bytes = 0, dropped = 0 }, first:stats())
        local port = assert(first:port())
        assert.equal(1, first:stats().ports)
        first:close()
        first:close()
        assert.is_not_nil(port)
        assert.equal(0, vmm.link { name = "x" }:stats().ports)
    end)

    it("begins its capture with the link, or not at all", function()
        assert(vmm.link { name = "z" })
        assert.same({ nil, "link z is there already, pcap= comes too late", "EEXIST" },
            { vmm.link { name = "z", pcap = "/tmp/x" } })
        assert.same({ nil, "pcap /dev/null: not a regular file", "EINVAL" },
            { vmm.link { name = "w", pcap = "/dev/null" } })
    end)

    it("refuses what it does not know", function()
        assert.has_error(function() vmm.link { name = 5 } end,
            "vmm.link: name must be a string, not 5")
        assert.has_error(function() vmm.link { nam = "x" } end)
    end)
end)

describe("vmm.net_user", function()
    it("says which forward cannot be", function()
        local listener = assert(vmm.listen { tcp = 0 })
        local made, message, code = vmm.net_user { forwards = { {
            host = "127.0.0.1", host_port = listener:port(), guest_port = 80,
        } } }
        assert.is_nil(made)
        assert.matches("^user network: cannot forward tcp port %d+ of 127.0.0.1: ", message)
        assert.equal("EADDRINUSE", code)
        listener:close()
    end)
end)

describe("vmm.net_tap", function()
    it("says what is wrong", function()
        assert.same({ nil, "tap : a name has 1 to 15 characters", "EINVAL" },
            { vmm.net_tap { name = "" } })
        assert.same({ nil, "tap 1234567890123456: a name has 1 to 15 characters", "EINVAL" },
            { vmm.net_tap { name = "1234567890123456" } })
    end)
end)
