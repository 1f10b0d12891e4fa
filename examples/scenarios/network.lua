-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Two nodes on a network that is whole, loses frames, is dead, and recovers.
--
--   vmm-reference test examples/scenarios/network.lua

local vmm = require "vmm"

describe("guest network", function()
    it("survives a lost link", function()
        local lan <close> = vmm.link { name = "lan" }
        local a <close> = vmm.scenario.vm { guest = "debian-cloud", net = { lan } }
        local b <close> = vmm.scenario.vm { guest = "debian-cloud", net = { lan } }
        vmm.wait_all { a:boot(), b:boot() }
        a:succeed "ip addr add 10.0.0.1/24 dev eth0 && ip link set eth0 up"
        b:succeed "ip addr add 10.0.0.2/24 dev eth0 && ip link set eth0 up"
        a:wait_until_succeeds "ping -c1 -W1 10.0.0.2"
        lan:fault { drop = 1.0 }
        a:fail("ping -c1 -W1 10.0.0.2")
        lan:heal(); a:wait_until_succeeds("ping -c1 -W1 10.0.0.2", { timeout = 10 })
    end)
end)

describe("a network of two nodes", function()
    local lan, a, b

    setup(function()
        lan = vmm.link { name = "lan" }
        a = vmm.scenario.vm { name = "a", guest = "debian-cloud", net = { lan } }
        b = vmm.scenario.vm { name = "b", guest = "debian-cloud", net = { lan } }
        vmm.wait_all { a:boot(), b:boot() }
        a:succeed "ip addr add 10.0.0.1/24 dev eth0 && ip link set eth0 up"
        b:succeed "ip addr add 10.0.0.2/24 dev eth0 && ip link set eth0 up"
        a:wait_until_succeeds "ping -c1 -W1 10.0.0.2"
    end)

    after_each(function()
        lan:heal()
    end)

    teardown(function()
        for _, vm in ipairs { a, b } do vm:close() end
        lan:close()
    end)

    it("answers every ping while it is whole", function()
        assert.matches(" 5 packets received", a:succeed "ping -c5 -i0.1 -W5 10.0.0.2")
    end)

    it("answers some pings when it loses some frames", function()
        local fault = lan:fault { drop = 0.4, seed = 1 }
        local answered = a:run("ping -c20 -i0.1 -W1 10.0.0.2").output:match "(%d+) packets received"
        assert.is_true(tonumber(answered) < 20)
        assert.is_true(fault:stats().dropped > 0)
    end)

    it("brings a file across whole, though every tenth frame is lost", function()
        b:succeed "mkdir /www && dd if=/dev/urandom of=/www/file bs=1k count=200 && httpd -h /www"
        lan:fault { drop = 0.1, seed = 2 }
        a:succeed("wget -O /tmp/file http://10.0.0.2/file", { timeout = 120 })
        assert.equal(b:succeed "md5sum </www/file", a:succeed "md5sum </tmp/file")
    end)
end)
