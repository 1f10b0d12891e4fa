-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Faults and limits of networks, as two Linux guests on a link see them.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local sched = require "vmm.sched"
local vmm = require "vmm"

local lan, one, two

local function boot(kernel, initrd, address)
    local vm = linux.boot {
        net = { { link = "lan" } },
        memory = { size_mib = 128 },
        kernel = { path = kernel.path, initrd = initrd },
    }
    -- Nothing but what the tests send.
    linux.run(vm, "echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6; "
        .. ("ip addr add %s/24 dev eth0; ip link set eth0 up"):format(address))
    return vm
end

setup(function()
    local kernel = assert(guests.kernel "cloud-amd64")
    local initrd = assert(guests.initramfs { kernel = kernel,
        modules = { "virtio_mmio", "virtio_net" } })
    lan = assert(vmm.link { name = "lan" })
    one = boot(kernel, initrd, "192.168.7.1")
    two = boot(kernel, initrd, "192.168.7.2")
end)

teardown(function()
    if one then one:close() end
    if two then two:close() end
    if lan then lan:close() end
end)

-- How many of count pings of the other guest are answered, and the shortest time in milliseconds.
local function ping(count)
    local said = linux.run(one, ("ping -c %d -i 0.05 -W 4 192.168.7.2"):format(count))
    return tonumber(said:match "(%d+) packets received"),
        tonumber(said:match "min/avg/max = ([%d.]+)/"), said
end

describe("a fault of a link", function()
    it("drops some frames, which add up, and none once it is removed", function()
        assert.equal(3, (ping(3)))
        local before = lan:stats().frames
        local fault = assert(lan:fault { drop = 0.3, seed = 1 })
        local answered = ping(40)
        local stats = fault:stats()
        assert.is_true(answered < 40 and stats.dropped > 0, answered)
        assert.equal(stats.frames - stats.dropped, lan:stats().frames - before)
        fault:remove()
        assert.equal(10, (ping(10)))
        assert.equal(stats.frames, fault:stats().frames)
    end)

    it("delays each frame: a ping takes twice as long", function()
        local fault = assert(lan:fault { delay_ms = 20 })
        local answered, shortest, said = ping(5)
        assert.equal(5, answered)
        assert.is_true(shortest and shortest >= 40, said)
        assert.is_true(fault:stats().delayed >= 10)
        fault:remove()
    end)

    it("brings TCP's bytes across whole, though it damages, doubles and reorders", function()
        linux.run(two, "mkdir -p /www; dd if=/dev/urandom of=/www/file bs=1024 count=512 "
            .. "2>/dev/null; httpd -h /www")
        local fault = assert(lan:fault { corrupt = 0.01, duplicate = 0.05, reorder = 0.05,
            drop = 0.01, seed = 5 })
        linux.run(one, "wget -q http://192.168.7.2/file -O /file")
        assert.equal(linux.run(two, "md5sum </www/file"), linux.run(one, "md5sum </file"))
        local stats = fault:stats()
        assert.is_true(stats.frames > 100 and stats.duplicated > 0 and stats.reordered > 0)
        assert.equal(0, stats.overflowed)
        fault:remove()
    end)

    it("asks a function, which picks frames", function()
        local asked = 0
        local fault = assert(lan:fault(function(frame)
            local protocol = (">I2"):unpack(frame, 13)
            if protocol ~= 0x0800 or frame:byte(24) ~= 1 then return nil end -- not ICMP
            asked = asked + 1
            local sequence = (">I2"):unpack(frame, 41)
            if sequence % 2 == 1 then return "drop" end
            return { delay_ms = 15 }
        end))
        local answered, shortest, said = ping(10)
        assert.equal(5, answered)
        assert.is_true(shortest >= 30, said)
        assert.equal(15, asked)
        local stats = fault:stats()
        assert.equal(5, stats.dropped)
        assert.equal(10, stats.delayed)
        fault:remove()
        assert.equal(3, (ping(3)))
    end)
end)

describe("a fault of a device", function()
    it("has a direction: what comes in is lost, what goes out is not", function()
        local fault = assert(one.nics[1]:fault { drop = 1, direction = "rx" })
        local before = two.nics[1]:stats().rx_frames
        assert.equal(0, (ping(3)))
        assert.is_true(fault:stats().dropped >= 3)
        assert.is_true(two.nics[1]:stats().rx_frames - before >= 3)
        fault:remove()
        assert.equal(3, (ping(3)))
    end)
end)

describe("a limit of a device", function()
    it("makes bytes wait that it sends, until it is lifted", function()
        linux.run(two, "dd if=/dev/urandom of=/www/limited bs=1024 count=256 2>/dev/null")
        two.nics[1]:limit { tx_bandwidth = 128 << 10, burst = 0.1 }
        local before = vmm.now()
        linux.run(one, "wget -q http://192.168.7.2/limited -O /limited")
        local elapsed = vmm.now() - before
        assert.is_true(elapsed >= 1.8, elapsed)
        assert.equal(linux.run(two, "md5sum </www/limited"), linux.run(one, "md5sum </limited"))
        assert.same({ rx_bandwidth = 0, tx_bandwidth = 0, rx_packets = 0, tx_packets = 0,
            burst = 0.1 }, two.nics[1]:limit { tx_bandwidth = 0 })
    end)

    it("makes packets wait that it receives", function()
        one.nics[1]:limit { rx_packets = 5, burst = 0.2 }
        local before, frames = vmm.now(), one.nics[1]:stats().rx_frames
        ping(10) -- which may give up before the last answer is there
        assert(sched.wait(function()
            return one.nics[1]:stats().rx_frames - frames >= 10 or nil
        end, 20))
        local elapsed = vmm.now() - before
        assert.is_true(elapsed >= 1.6, elapsed)
        assert.equal(0, one.nics[1]:stats().rx_dropped)
        one.nics[1]:limit { rx_packets = 0 }
    end)
end)
