-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The guests of virtio_rounds.lua: the same machine of the product's and of QEMU's microvm, each
-- with a shell on its serial console that is sent commands.

local compare = require "compare"
local process = require "vmm.process"
local vmm = require "vmm"

local guests = {}

-- Within which something is wrong for sure: 1 GiB through an emulated machine takes minutes.
local BOOT_SECONDS, COMMAND_SECONDS = 600, 1800
local CMDLINE = "console=ttyS0 quiet i8042.nokbd panic=1 pci=off mitigations=off"
local MEMORY_MIB = 512

-- ---- what each is started by --------------------------------------------------------------

-- machine: kernel (a vmlinux), initrd, console (path of a unix socket), tools and disk (images),
-- direct (true: without the host's page cache), tap (an interface), cid, vsock (a path).
function guests.ours(machine)
    local function disk(path, serial, more)
        return ("path=%s,serial=%s%s"):format(path, serial, more)
    end
    local direct = machine.direct and ",direct=true" or ""
    return {
        process.executable(), "--memory", "size_mib=" .. MEMORY_MIB,
        "--kernel", ("path=%s,initrd=%s,cmdline=%s reboot=k"):format(machine.kernel,
            machine.initrd, CMDLINE),
        "--console", "unix=" .. machine.console,
        "--block", disk(machine.tools, "tools", ",readonly=true"),
        "--block", disk(machine.disk, "disk", direct),
        "--net", "tap=" .. machine.tap .. ",mac=" .. machine.mac_tap,
        "--net", "user=true,mac=" .. machine.mac_user,
        "--vsock", ("cid=%d,path=%s"):format(machine.cid, machine.vsock),
    }
end

-- What QEMU's documentation and others who measure advise: modern virtio, io_uring, a thread of
-- its own for the disk. Its vsock is the kernel's vhost; its tap is not, for ours is not either.
function guests.qemu(machine)
    local argv = compare.microvm {
        kernel = machine.kernel, initrd = machine.initrd, cmdline = CMDLINE .. " reboot=t",
        memory_mib = MEMORY_MIB, serial = "unix:" .. machine.console .. ",server=on,wait=off",
    }
    local function add(...)
        table.move({ ... }, 1, select("#", ...), #argv + 1, argv)
    end
    add("-global", "virtio-mmio.force-legacy=false", "-object", "iothread,id=thread")
    -- QEMU takes the lock of another reader for one of its own that forbids reading.
    add("-drive", "if=none,id=tools,format=raw,readonly=on,file.locking=off,file="
        .. machine.tools)
    add("-device", "virtio-blk-device,drive=tools,serial=tools")
    add("-drive", ("if=none,id=disk,format=raw,cache=%s,aio=io_uring,file=%s"):format(
        machine.direct and "none" or "writeback", machine.disk))
    add("-device", "virtio-blk-device,drive=disk,serial=disk,iothread=thread")
    add("-netdev", ("tap,id=tap,ifname=%s,script=no,downscript=no,vhost=off"):format(machine.tap))
    add("-device", "virtio-net-device,netdev=tap,mac=" .. machine.mac_tap)
    add("-netdev", "user,id=user")
    add("-device", "virtio-net-device,netdev=user,mac=" .. machine.mac_user)
    if machine.vhost_vsock then
        add("-device", "vhost-vsock-device,guest-cid=" .. machine.cid)
    end
    return argv
end

-- ---- a running one ------------------------------------------------------------------------

local Guest = {}
Guest.__index = Guest

-- Reads on until pattern is there; what it captures, or what precedes it.
function Guest:expect(pattern, seconds)
    local deadline = vmm.now() + seconds
    while true do
        local first, last, capture = self.text:find(pattern)
        if first then
            local before = self.text:sub(1, first - 1)
            self.text = self.text:sub(last + 1)
            return capture or before
        end
        local bytes, message = self.socket:read(nil, deadline - vmm.now())
        if not bytes or bytes == "" then
            error(("%s: %s while waiting for %q; there was:\n%s"):format(self.name,
                message or "it ended", pattern, self.text), 0)
        end
        self.text = self.text .. bytes
    end
end

--- Runs a shell command in the guest; its output, without the final line end.
function Guest:run(command)
    assert(self.socket:write("echo BEGIN; { " .. command .. "\n} 2>&1; echo END\n", 10))
    local output = self:expect("\nBEGIN\r\n(.-)END\r\n", COMMAND_SECONDS)
    return (output:gsub("\r", ""):gsub("\n$", ""))
end

function Guest:__close()
    if self.socket then self.socket:close() end
    process.run { "kill", "-9", self.pid }
end

local function connect(path, pid, log)
    local deadline = vmm.now() + BOOT_SECONDS
    repeat
        local socket = vmm.connect { unix = path }
        if socket then return socket end
        vmm.sleep(0.05)
    until vmm.now() > deadline or not process.is_readable("/proc/" .. pid .. "/stat")
    local file <close> = assert(io.open(log))
    error(("%s: nobody listens there; the VMM said:\n%s"):format(path, file:read "a"), 0)
end

-- In the guest: names of disks by their serial number and of interfaces by their address, for
-- VMMs number them in orders of their own; the programs.
local SET_UP = [[
disk() { for d in /sys/block/vd*; do [ "$(cat $d/serial)" = $1 ] && echo /dev/${d##*/}; done; }
nic() { for n in /sys/class/net/*; do [ "$(cat $n/address)" = $1 ] && echo ${n##*/}; done; }
mkdir /tools; mount -o ro $(disk tools) /tools
for p in fio iperf3; do
printf '#!/bin/sh\nexec /tools/ld-linux-x86-64.so.2 --library-path /tools /tools/%%s "$@"\n' $p \
>/bin/$p; chmod 755 /bin/$p; done
ln -s /tools/stream /bin/stream; ln -s $(disk disk) /disk
ip addr add %s dev $(nic %s); ip link set $(nic %s) up
ip addr add 10.0.2.15/24 dev $(nic %s); ip link set $(nic %s) up
ls -L /tools/fio /tools/iperf3 /bin/stream /disk >/dev/null && echo fine]]

--- Starts a guest. command: of one of the above; log: where its messages go.
function guests.start(name, command, machine, log)
    local pid = assert(process.line { "sh", "-c", [[
        log=$1; shift
        "$@" >"$log" 2>&1 </dev/null & echo $!]], "sh", log, table.unpack(command) })
    local self = setmetatable({
        name = name, pid = pid, command = command, machine = machine, text = "",
    }, Guest)
    self.socket = connect(machine.console, pid, log)
    self:expect("guest# ", BOOT_SECONDS)
    local answer = self:run(SET_UP:format(machine.guest_ip .. "/24", machine.mac_tap,
        machine.mac_tap, machine.mac_user, machine.mac_user))
    assert(answer == "fine", ("%s: %s"):format(name, answer))
    return self
end

return guests
