-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A network made of Lua functions: the guest pings an address behind which there is nothing but
-- this script, at first on a good cable, then on one that loses frames.
--
--   vmm-reference examples/09-network.lua KERNEL INITRD
--
-- The initramfs loads virtio_mmio and virtio_net:
--   vmm-reference -e 'local guests = require "vmm.guests"; print(guests.initramfs {
--       kernel = guests.kernel "cloud-amd64", modules = { "virtio_mmio", "virtio_net" } })'

local vmm = require "vmm"

if not arg[2] then
    io.stderr:write "usage: vmm-reference examples/09-network.lua KERNEL INITRD\n"
    os.exit(2)
end

local MAC, ADDRESS = "\x02\0\0\0\0\x01", "\10\0\0\1"

-- ARP (RFC 826): who has ADDRESS?
local function answer_arp(frame)
    local operation, sender_mac, sender, _, target = (">I2c6c4c6c4"):unpack(frame, 21)
    if operation ~= 1 or target ~= ADDRESS then return nil end
    return sender_mac .. MAC .. frame:sub(13, 20)
        .. (">I2c6c4c6c4"):pack(2, MAC, ADDRESS, sender_mac, sender)
end

-- An ICMP echo request (RFC 792) in IPv4 without options: the same, backwards, as a reply.
local function answer_ping(frame)
    local protocol, _, sender, target, kind, code, sum = (">I1I2c4c4I1I1I2"):unpack(frame, 24)
    if protocol ~= 1 or kind ~= 8 or target ~= ADDRESS then return nil end
    sum = sum + 0x0800 -- for the type is 0 now
    sum = (sum & 0xffff) + (sum >> 16)
    return frame:sub(7, 12) .. MAC .. frame:sub(13, 26) .. target .. sender
        .. (">I1I1I2"):pack(0, code, sum) .. frame:sub(39)
end

local answers = { [0x0806] = answer_arp, [0x0800] = answer_ping }

local nic
local vm <close> = assert(vmm.vm {
    name = "network",
    memory = { size_mib = 512 },
    kernel = {
        path = arg[1],
        initrd = arg[2],
        cmdline = "console=ttyS0 i8042.nokbd reboot=k panic=1 pci=off quiet",
    },
    net = { {
        backend = {
            -- A frame of the guest's; this runs on the script's thread and holds no vCPU up.
            send = function(frame)
                local answer = answers[(">I2"):unpack(frame, 13)]
                local reply = answer and #frame >= 42 and answer(frame)
                if reply then nic:receive(reply) end
            end,
        },
    } },
})
nic = vm.nics[1]
assert(vm:start())

local function ping(count)
    vm.console:expect("guest# ", { timeout = 30 })
    vm.console:send_line(("ping -c %d -i 0.1 -W 1 10.0.0.1"):format(count))
    return vm.console:expect("(%d+) packets received", { timeout = 30 })[1]
end

vm.console:expect("guest# ", { timeout = 30 })
vm.console:send_line "ip addr add 10.0.0.2/24 dev eth0; ip link set eth0 up"
print("answered of 5: " .. ping(5))

-- A rule for each frame: every second answer of ours is lost.
local replies = 0
local fault = assert(nic:fault { direction = "rx", function(frame)
    if (">I2"):unpack(frame, 13) ~= 0x0800 then return nil end
    replies = replies + 1
    return replies % 2 == 0 and "drop" or nil
end })
print("answered of 6, a half of which is lost: " .. ping(6))
fault:remove()
print(("dropped: %d"):format(fault:stats().dropped))
print("answered of 5 again: " .. ping(5))

vm.console:expect("guest# ", { timeout = 30 })
vm.console:send_line "poweroff -f"
print("ended: " .. assert(vm:wait { timeout = 30 }).reason)
