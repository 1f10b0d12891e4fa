-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Two Linux guests that flood each other over a link: what is sent comes or is counted, and the
-- host's memory is bounded.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local process = require "vmm.process"
local sched = require "vmm.sched"
local vmm = require "vmm"

local MIB = 1 << 20
local GUEST_MIB = 192
local IPERF3 = process.which "iperf3"

-- The most memory that this process has had, in bytes.
local function most_resident()
    local file <close> = assert(io.open "/proc/self/status")
    return tonumber(file:read("a"):match "VmHWM:%s*(%d+) kB") * 1024
end

describe("a flood of small packets both ways", function()
    it("crashes nothing, and every frame is accounted for", function()
        local kernel = assert(guests.kernel "cloud-amd64")
        local files = {}
        linux.add_program(files, IPERF3)
        local initrd = assert(guests.initramfs { kernel = kernel, files = files,
            modules = { "virtio_mmio", "virtio_net" } })
        local function boot(address)
            local vm = linux.boot {
                net = { { link = "flood" } },
                memory = { size_mib = GUEST_MIB },
                kernel = { path = kernel.path, initrd = initrd },
            }
            -- Nothing but what the test sends: a guest whose peer is not there yet sends to nobody.
            linux.run(vm, "echo 1 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6; "
                .. ("ip addr add %s/24 dev eth0; ip link set eth0 up"):format(address))
            return vm
        end
        local lan <close> = assert(vmm.link { name = "flood" })
        local one <close> = boot "192.168.7.1"
        local two <close> = boot "192.168.7.2"
        linux.run(one, IPERF3 .. " -s -D")
        local said = linux.run(two, ("until %s -c 192.168.7.1 -u -b 0 -l 100 -n 300K --bidir -i 0; "
            .. "do usleep 100000; done"):format(IPERF3))
        assert.matches("receiver", said)

        local sums
        local function adds_up()
            local link, a, b = lan:stats(), one.nics[1]:stats(), two.nics[1]:stats()
            sums = {
                sent = a.tx_frames + b.tx_frames,
                link = link.frames,
                come = a.rx_frames + b.rx_frames + a.rx_dropped + b.rx_dropped + link.dropped,
            }
            return sums.sent == sums.link and sums.come == sums.link or nil
        end
        assert(sched.wait(adds_up, 20),
            ("sent %d, by the link %d, come %d"):format(sums.sent, sums.link, sums.come))
        -- The client sends 3072, and the server until the client has done so.
        assert.is_true(two.nics[1]:stats().tx_frames >= 3072, two.nics[1]:stats().tx_frames)
        assert.is_true(one.nics[1]:stats().tx_frames >= 300, one.nics[1]:stats().tx_frames)
        assert.is_true(most_resident() < (2 * GUEST_MIB + 64) * MIB, most_resident())
        assert.matches("3 packets received",
            linux.run(two, "ping -c 3 -i 0.1 192.168.7.1"), 1, true)
    end)
end)
