-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Taps with several queues, and iperf3 through them, by Linux's own driver over both transports.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local process = require "vmm.process"
local vmm = require "vmm"

local IPERF3, ETHTOOL = process.which "iperf3", process.which "ethtool"
local TRANSPORTS = {
    { name = "mmio", module = "virtio_mmio", cmdline = " pci=off" },
    { name = "pci", module = "virtio_pci", cmdline = "" },
}

local function must(...)
    assert.equal(0, process.run { ... })
end

-- How many queues of a kind a network device of this host, or of a guest, uses.
local COUNT = "ls /sys/class/net/%s/queues | grep -c %s-"

local function count_here(name, kind)
    return tonumber(process.capture { "sh", "-c", COUNT:format(name, kind) })
end

local function count_there(vm, kind)
    return tonumber(linux.run(vm, COUNT:format("eth0", kind)))
end

setup(function()
    must("insmod", guests.kernel("cloud-amd64").modules .. "/kernel/drivers/net/tun.ko")
end)

for _, transport in ipairs(TRANSPORTS) do
    describe("a tap with two queues, over virtio-" .. transport.name, function()
        local vm, name

        setup(function()
            local kernel = assert(guests.kernel "cloud-amd64")
            local files = {}
            linux.add_program(files, IPERF3)
            linux.add_program(files, ETHTOOL)
            vm = linux.boot {
                net = { { tap = "tap%d", queues = 2, mac = "52:54:00:12:34:56", mtu = 1400 } },
                transport = transport.name,
                vcpus = { num = 2 },
                memory = { size_mib = 256 },
                kernel = {
                    path = kernel.path,
                    initrd = assert(guests.initramfs { kernel = kernel, files = files,
                        modules = { transport.module, "virtio_net" } }),
                    cmdline = "console=ttyS0 i8042.nokbd reboot=k panic=1 quiet"
                        .. transport.cmdline,
                },
            }
            name = vm.nics[1].tap
            must("ip", "addr", "add", "192.168.9.1/24", "dev", name)
            must("ip", "link", "set", name, "up")
            linux.run(vm, "ip addr add 192.168.9.2/24 dev eth0; ip link set eth0 up")
        end)

        teardown(function()
            if vm then vm:close() end
        end)

        it("gives the guest as many queues as it has CPUs, its MAC and its MTU", function()
            assert.equal(2, count_there(vm, "rx"))
            assert.equal(2, count_there(vm, "tx"))
            assert.equal(2, count_here(name, "rx"))
            local stats = vm.nics[1]:stats()
            assert.same({ 2, 2 }, { stats.queues, stats.active })
            assert.equal("52:54:00:12:34:56", linux.run(vm, "cat /sys/class/net/eth0/address"))
            assert.equal("1400", linux.run(vm, "cat /sys/class/net/eth0/mtu"))
        end)

        it("offers the kernel's offloads to it", function()
            local features = linux.run(vm, ETHTOOL .. " -k eth0")
            for _, feature in ipairs { "tx%-checksumming", "rx%-checksumming",
                "tcp%-segmentation%-offload", "tx%-tcp6%-segmentation",
                "tx%-tcp%-ecn%-segmentation",
                "rx%-gro%-hw" } do
                assert.matches(feature .. ": on", features)
            end
        end)

        it("carries iperf3 both ways", function()
            for _, way in ipairs { "", "-R" } do
                must("iperf3", "-s", "-1", "-D", "-B", "192.168.9.1")
                local said = linux.run(vm, ("until %s -c 192.168.9.1 -n 8M -i 0 -P 2 %s; do "
                    .. "usleep 100000; done"):format(IPERF3, way))
                local bytes = tonumber(said:match "SUM%]%s+%S+%s+sec%s+([%d.]+) MBytes.-receiver")
                assert.is_true(bytes and bytes >= 7.5, said)
            end
            local stats = vm.nics[1]:stats()
            assert.is_true(stats.tx_bytes > 7 << 20, stats.tx_bytes)
            assert.is_true(stats.rx_bytes > 7 << 20, stats.rx_bytes)
            assert.equal(0, stats.tx_dropped)
        end)

        it("uses one queue when the guest says so, and two again", function()
            local function use(count)
                linux.run(vm, ("%s -L eth0 combined %d"):format(ETHTOOL, count))
                assert.equal(count, count_there(vm, "rx"))
                assert.equal(count, count_here(name, "rx"))
                assert.equal(count, vm.nics[1]:stats().active)
                assert.matches("3 packets received",
                    linux.run(vm, "ping -c 3 -i 0.1 192.168.9.1"), 1, true)
            end
            use(1)
            use(2)
        end)

        it("begins anew when the driver does", function()
            linux.run(vm, "cd /sys/bus/virtio/drivers/virtio_net; d=$(echo virtio*); "
                .. "echo $d >unbind; echo $d >bind; cd /; ip addr add 192.168.9.2/24 dev eth0; "
                .. "ip link set eth0 up")
            assert.matches("3 packets received",
                linux.run(vm, "ping -c 3 -i 0.1 192.168.9.1"), 1, true)
            assert.equal(2, vm.nics[1]:stats().active)
            assert.equal(2, count_here(name, "rx"))
        end)

        it("is gone when its VM is closed", function()
            local path = "/sys/class/net/" .. name
            assert.equal(0, process.run { "test", "-e", path })
            vm:close()
            assert.equal(1, process.run { "test", "-e", path })
        end)
    end)
end

describe("a tap that is there", function()
    it("has one queue or several: the other is refused", function()
        local single = assert(vmm.net_tap { name = "single" })
        assert.same({ nil, "tap single: it is there, and has one queue", "EINVAL" },
            { vmm.net_tap { name = "single", queues = 2 } })
        local many = assert(vmm.net_tap { name = "many", queues = 2 })
        assert.same({ nil, "tap many: it is there, and is no tap of one queue", "EINVAL" },
            { vmm.net_tap { name = "many" } })
        assert.equal(1, count_here("single", "rx"))
        assert.equal(1, count_here("many", "rx")) -- the other one waits for a guest
        assert.is_true(single ~= many)
    end)
end)
