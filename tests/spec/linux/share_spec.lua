-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Folders of the host, mounted by Linux guests: virtio-fs by virtiofsd.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local process = require "vmm.process"
local sched = require "vmm.sched"

local FOLDER = "/dev/shm/vmm-share-spec"
local function path(name) return FOLDER .. "/" .. name end

local function write(name, bytes)
    local file <close> = assert(io.open(path(name), "wb"))
    assert(file:write(bytes))
end

local function read(name)
    local file <close> = assert(io.open(path(name), "rb"))
    return file:read "a"
end

local function boot(shares, transport)
    local kernel = assert(guests.kernel "cloud-amd64")
    local initrd = assert(guests.initramfs {
        kernel = kernel, modules = { "virtio_mmio", "virtio_pci", "virtiofs" } })
    return linux.boot {
        share = shares, transport = transport, vcpus = { num = 2 },
        kernel = { initrd = initrd, cmdline = "console=ttyS0 panic=1 quiet" },
    }
end

local function mount(vm, tag)
    assert.equal("0", linux.run(vm, ("mkdir -p /%s; mount -t virtiofs %s /%s; echo $?"):format(
        tag, tag, tag)))
end

-- The daemons of this process: whose socket is their file 3.
local function daemons()
    return tonumber((process.capture { "sh", "-c",
        "ps | grep -c '[v]irtiofsd.*--fd'" } or "0"):match "%d+")
end

-- Kills that of folder a.
local KILL_A = [[for p in $(ps | awk '/[v]irtiofsd.*\/a/ { print $1 }'); do kill -9 $p; done]]

setup(function()
    assert(os.execute("rm -rf " .. FOLDER .. "; mkdir -p " .. FOLDER .. "/a " .. FOLDER .. "/b"))
end)
teardown(function() os.execute("rm -rf " .. FOLDER) end)

for _, transport in ipairs { "mmio", "pci" } do
    describe("a Linux guest with two folders of the host, by " .. transport .. ",", function()
        local vm

        setup(function()
            write("a/greeting", "from the host\n")
            write("b/fixed", "not to be changed\n")
            vm = boot({
                { path = path "a", tag = "data" },
                { path = path "b", tag = "fixed", readonly = true },
            }, transport)
            mount(vm, "data")
            mount(vm, "fixed")
        end)

        teardown(function()
            if vm then vm:close() end
        end)

        it("reads what the host has written, also later", function()
            assert.equal("from the host", linux.run(vm, "cat /data/greeting"))
            write("a/later", "a second file\n")
            assert.equal("a second file", linux.run(vm, "cat /data/later"))
        end)

        it("writes what the host reads", function()
            linux.run(vm, "mkdir -p /data/deep/er; echo from the guest >/data/deep/er/answer; "
                .. "mv /data/later /data/moved; sync")
            assert.equal("from the guest\n", read "a/deep/er/answer")
            assert.equal("a second file\n", read "a/moved")
        end)

        it("moves 16 MiB both ways unchanged", function()
            linux.run(vm, "dd if=/dev/urandom of=/data/big bs=1M count=16 2>/dev/null; sync")
            local sum = linux.run(vm, "md5sum </data/big")
            assert.equal(sum, process.line { "sh", "-c", "md5sum <" .. path "a/big" })
            assert(os.execute(("cp %s %s"):format(path "a/big", path "a/copy")))
            assert.equal(sum, linux.run(vm, "md5sum </data/copy"))
            os.remove(path "a/big")
            assert.equal("gone", linux.run(vm, "test -e /data/big || echo gone"))
        end)

        it("cannot write to a folder that is read-only", function()
            assert.equal("not to be changed", linux.run(vm, "cat /fixed/fixed"))
            assert.matches("Read%-only file system",
                linux.run(vm, "echo changed 2>&1 >/fixed/fixed; rm /fixed/fixed 2>&1"))
            assert.equal("not to be changed\n", read "b/fixed")
        end)

        it("mounts it again after it was unmounted, and after its driver has let go", function()
            local bus = "/sys/bus/virtio/drivers/virtiofs"
            linux.run(vm, "umount /data")
            mount(vm, "data")
            assert.equal("from the host", linux.run(vm, "cat /data/greeting; umount /data"))
            assert.equal("from the host", linux.run(vm, ("cd %s; echo virtio0 >unbind; "
                .. "echo virtio0 >bind; cd /; mount -t virtiofs data /data && "
                .. "cat /data/greeting"):format(bus)))
        end)

        it("is told of the death of a daemon by an event, and goes on", function()
            local told
            vm:on("device_failed", function(failure) told = failure end)
            assert(daemons() > 0)
            assert(os.execute(KILL_A))
            assert(sched.wait(function() return told end, sched.scaled(5)))
            assert.equal("share data", told.device)
            assert.equal("share data: the daemon was ended by signal 9", told.message)
            assert.equal("alive", linux.run(vm, "echo alive"))
            assert.equal("not to be changed", linux.run(vm, "cat /fixed/fixed"))
        end)

        it("leaves no daemon when it is closed", function()
            vm:close()
            assert.equal(0, daemons())
        end)
    end)
end

describe("a folder of a daemon that runs already", function()
    it("is mounted like any other", function()
        local program = "/usr/lib/qemu/virtiofsd"
        if not process.is_readable(program) then return pending "another virtiofsd" end
        write("a/greeting", "from the host\n")
        assert(os.execute(("%s --socket-path=%s -f -o source=%s -o sandbox=chroot 2>/dev/null & "
            .. "timeout 20 sh -c 'while ! test -S %s; do :; done'"):format(program,
            path "socket", path "a", path "socket")))
        local vm <close> = boot({ { socket = path "socket", tag = "other" } }, "mmio")
        mount(vm, "other")
        assert.equal("from the host", linux.run(vm, "cat /other/greeting"))
    end)
end)

-- What a user without rights runs: a guest that reads and writes a folder.
local SCRIPT = [[
local vmm = require "vmm"
local kernel, initrd, folder = ...
local vm <close> = assert(vmm.vm {
    console = "capture", memory = { size_mib = 256 },
    kernel = { path = kernel, initrd = initrd, cmdline = "console=ttyS0 panic=1 quiet" },
    share = { { path = folder, tag = "mine" }, { path = folder, tag = "ro", readonly = true } },
})
assert(vm:start())
vm.console:expect("guest# ", { timeout = 20 })
vm.console:send_line("mkdir /m /r; mount -t virtiofs mine /m; mount -t virtiofs ro /r; "
    .. "cat /m/greeting; echo by nobody >/m/answer; echo x >/r/no; sync; echo do''ne")
vm.console:expect("from the host.-done", { timeout = 12 })
]]

-- Runs a program where /dev/kvm is everybody's.
local FOR_ALL = [[mount -t tmpfs -o mode=755 none "$0" && mknod "$0/kvm" c 10 232 &&
    chmod 666 "$0/kvm" && mount --bind "$0/kvm" /dev/kvm && exec "$@"]]

describe("a user without rights", function()
    it("shares a folder as well", function()
        local setpriv = process.which "setpriv"
        if not setpriv then return pending "no setpriv" end
        if process.line { "id", "-u" } ~= "0" then return pending "only root gives rights up" end
        local kernel = assert(guests.kernel "cloud-amd64")
        local initrd = assert(guests.initramfs {
            kernel = kernel, modules = { "virtio_mmio", "virtiofs" } })
        write("greeting", "from the host\n")
        write("script.lua", SCRIPT)
        assert(os.execute(("cd %s; cp %s kernel; cp %s initrd; mkdir c n; mv greeting c; "
            .. "chmod 644 kernel initrd script.lua; chown -R 65534 c"):format(FOLDER, kernel.path,
            initrd)))
        local output, errors = process.capture({ "unshare", "--mount", "sh", "-c", FOR_ALL,
            path "n", setpriv, "--reuid=65534", "--regid=65534", "--clear-groups",
            "env", "TMPDIR=" .. path "c", process.executable(), path "script.lua", path "kernel",
            path "initrd", path "c" }, { stderr = "merge" })
        assert.equal("", output or errors)
        assert.equal("by nobody\n", read "c/answer")
        assert.is_nil(io.open(path "c/no"))
    end)
end)
