-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Network devices driven by Linux's own module: user-mode networking, links between guests, taps.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local process = require "vmm.process"
local vmm = require "vmm"

local kernel

setup(function()
    kernel = assert(guests.kernel "cloud-amd64")
end)

local function boot(transport, net)
    local initrd = assert(guests.initramfs { kernel = kernel,
        modules = { "virtio_" .. transport, "virtio_net" } })
    return linux.boot {
        net = net,
        transport = transport,
        memory = { size_mib = 128 },
        kernel = { path = kernel.path, initrd = initrd },
    }
end

-- What udhcpc runs once it has a lease.
local LEASE = [[printf '#!/bin/sh\n[ "$1" = bound ] || exit 0\n]]
    .. [[ip addr add $ip/$mask dev $interface\nip route add default via $router\n]]
    .. [[echo "nameserver $dns" >/etc/resolv.conf\n' >/lease; chmod +x /lease; ]]
    .. "ip link set eth0 up; udhcpc -i eth0 -n -q -s /lease >/dev/null 2>&1; "

-- Answers one HTTP request with a body; the request's first line.
local function serve_one(listener, body)
    return vmm.spawn(function()
        local connection = assert(listener:accept(20))
        local request = ""
        repeat
            request = request .. assert(connection:read(4096, 10))
        until request:find("\r\n\r\n", 1, true)
        assert(connection:write(("HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n"):format(#body)
            .. body, 20))
        connection:close()
        return request:match "^[^\r]+"
    end)
end

for _, transport in ipairs(linux.TRANSPORTS) do
    describe("user-mode networking over virtio-" .. transport, function()
        local vm

        setup(function()
            vm = boot(transport, { { user = true, mac = "52:54:00:12:34:56",
                forward = "tcp:18080-8080,udp:18081-8081" } })
            linux.run(vm, LEASE .. "true")
        end)

        teardown(function()
            if vm then vm:close() end
        end)

        it("gives the guest an address, a route and a name server by DHCP", function()
            assert.matches("inet 10.0.2.15/24", linux.run(vm, "ip addr show dev eth0"), 1, true)
            assert.matches("default via 10.0.2.2", linux.run(vm, "ip route"), 1, true)
            assert.equal("nameserver 10.0.2.3", linux.run(vm, "cat /etc/resolv.conf"))
            assert.matches("52:54:00:12:34:56", linux.run(vm, "ip link show dev eth0"), 1, true)
        end)

        it("lets it fetch a file from a server of the host's, whole", function()
            local listener = assert(vmm.listen { tcp = 0 })
            local body = ("0123456789abcde\n"):rep(1 << 16)
            local served = serve_one(listener, body)
            assert.equal("1048576", linux.run(vm,
                ("wget -q -O /file http://10.0.2.2:%d/file; wc -c </file"):format(listener:port())))
            assert.equal("GET /file HTTP/1.1", served:wait())
            assert.equal("65536", linux.run(vm, "grep -c '^0123456789abcde$' /file"))
            listener:close()
        end)

        it("leads a port of the host's to a server of the guest's", function()
            linux.run(vm, "mkdir -p /www; echo from the guest >/www/page; httpd -p 8080 -h /www")
            local socket = assert(vmm.connect { tcp = 18080, timeout = 5 })
            assert(socket:write("GET /page HTTP/1.0\r\n\r\n", 5))
            local answer = ""
            repeat
                local bytes = assert(socket:read(4096, 10))
                answer = answer .. bytes
            until bytes == ""
            socket:close()
            assert.matches("200 OK", answer, 1, true)
            assert.matches("\r\n\r\nfrom the guest\n", answer, 1, true)
        end)

        it("pings the host's side", function()
            assert.matches("3 packets received",
                linux.run(vm, "ping -c 3 -i 0.1 10.0.2.2"), 1, true)
        end)

        it("is lost by a fault, until that is removed", function()
            local fault = assert(vm.nics[1]:fault { drop = 1, direction = "tx" })
            assert.matches(" 0 packets received",
                linux.run(vm, "ping -c 2 -i 0.1 -W 1 10.0.2.2"), 1, true)
            assert.is_true(fault:stats().dropped >= 2)
            fault:remove()
            assert.matches("2 packets received",
                linux.run(vm, "ping -c 2 -i 0.1 10.0.2.2"), 1, true)
        end)

        it("counts frames, and shows a cable that is pulled", function()
            local stats = vm.nics[1]:stats()
            assert.is_true(stats.rx_frames > 100 and stats.tx_frames > 50)
            assert.equal(0, stats.rx_dropped + stats.tx_dropped)
            vm.nics[1]:set_link(false)
            assert.equal("down", linux.run(vm, [[
                until grep -q 0 /sys/class/net/eth0/carrier; do usleep 10000; done; echo down]]))
            vm.nics[1]:set_link(true)
            assert.equal("up", linux.run(vm, [[
                until grep -q 1 /sys/class/net/eth0/carrier; do usleep 10000; done; echo up]]))
            assert.matches("1 packets received", linux.run(vm, "ping -c 1 10.0.2.2"), 1, true)
        end)
    end)
end

describe("a link", function()
    it("joins guests of both transports: they ping, and a file goes across whole", function()
        local capture = os.tmpname()
        local lan <close> = assert(vmm.link { name = "lan", pcap = capture })
        local one <close> = boot("mmio", { { link = "lan" } })
        local two <close> = boot("pci", { { link = "lan" } })
        assert.equal(2, lan:stats().ports)
        linux.run(one, "ip addr add 192.168.7.1/24 dev eth0; ip link set eth0 up")
        linux.run(two, "ip addr add 192.168.7.2/24 dev eth0; ip link set eth0 up")
        assert.matches("5 packets received",
            linux.run(one, "ping -c 5 -i 0.1 192.168.7.2"), 1, true)
        assert.matches("5 packets received",
            linux.run(two, "ping -c 5 -i 0.1 192.168.7.1"), 1, true)
        linux.run(one, "mkdir /www; dd if=/dev/urandom of=/www/file bs=1024 count=4096 "
            .. "2>/dev/null; httpd -h /www")
        linux.run(two, "wget -q http://192.168.7.1/file -O /file")
        assert.equal(linux.run(one, "md5sum </www/file"), linux.run(two, "md5sum </file"))
        assert.equal(0, lan:stats().dropped)
        local file <close> = assert(io.open(capture, "rb"))
        assert.is_true(file:seek "end" > 4 << 20)
        os.remove(capture)
    end)
end)

describe("a tap", function()
    it("carries segments larger than the MTU both ways, by the kernel's offloads", function()
        assert.equal(0, process.run { "insmod", kernel.modules .. "/kernel/drivers/net/tun.ko" })
        local vm <close> = boot("pci", { { tap = "tap%d", mtu = 1400 } })
        local name = vm.nics[1].tap
        assert.matches("^tap%d+$", name)
        assert.equal(0, process.run { "ip", "addr", "add", "192.168.8.1/24", "dev", name })
        assert.equal(0, process.run { "ip", "link", "set", name, "up" })
        linux.run(vm, "ip addr add 192.168.8.2/24 dev eth0; ip link set eth0 up")
        assert.matches("mtu 1400", linux.run(vm, "ip link show eth0"), 1, true)
        assert.matches("3 packets received",
            linux.run(vm, "ping -c 3 -i 0.1 192.168.8.1"), 1, true)
        local listener = assert(vmm.listen { tcp = 0, host = "192.168.8.1" })
        local body = ("0123456789abcde\n"):rep(1 << 17)
        local served = serve_one(listener, body)
        local before = vm.nics[1]:stats()
        assert.equal("2097152", linux.run(vm,
            ("wget -q -O /file http://192.168.8.1:%d/file; wc -c </file")
                :format(listener:port())))
        assert.equal("131072", linux.run(vm, "grep -c '^0123456789abcde$' /file"))
        assert.equal("GET /file HTTP/1.1", served:wait())
        local after = vm.nics[1]:stats()
        local frames, bytes = after.rx_frames - before.rx_frames, after.rx_bytes - before.rx_bytes
        assert.is_true(bytes / frames > 2000, bytes / frames)
        listener:close()
    end)
end)
