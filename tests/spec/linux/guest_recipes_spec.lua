-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Guests by recipe, booted: Debian's kernel, one out of a build tree, the host's own files as the
-- root, and a disk with Debian and systemd. Each is booted once.

local core = require "vmm.core"
local guests = require "vmm.guests"
local process = require "vmm.process"
local vmm = require "vmm"

local FOLDER = "/root/guest-recipes"

-- Of a whole system, seconds times VMM_TIMEOUT_SCALE.
local SYSTEM_SECONDS = 60

local function write(name, bytes)
    local path = FOLDER .. "/" .. name
    assert(process.make_directory(path:match "^(.*)/"))
    local file <close> = assert(io.open(path, "wb"))
    assert(file:write(bytes))
    return path
end

local function boot(options)
    local vm = vmm.scenario.vm(options)
    return assert(vm:boot({ timeout = SYSTEM_SECONDS }):wait())
end

-- What the shell on the console of a guest with our init does; the last of it ends the guest.
local function serves_a_console(get, command, reason)
    local function expect(what) get().console:expect(what, { timeout = 12 }) end

    it("runs commands on its console that Ctrl-C interrupts", function()
        get().console:send_line "tty; sh -c 'echo running; exec sleep 1000'"
        expect "\n/dev/ttyS0\r\nrunning\r\n"
        get().console:control "c"
        expect "guest# "
        get().console:send_line "echo status $?"
        expect "\nstatus 130\r\n"
    end)

    it("has another shell there when one has ended", function()
        get().console:send_line "exec echo the last"
        expect "\nthe last\r\n"
        expect "guest# "
        get().console:send_line "echo $((6 * 7))"
        expect "\n42\r\n"
    end)

    it("ends by " .. command, function()
        get().console:send_line(command)
        assert.equal(reason, assert(get():wait { timeout = 12 }).reason)
    end)
end

setup(function() assert(process.make_directory(FOLDER)) end)
teardown(function() process.remove(FOLDER) end)

describe("Debian's kernel with a busybox initramfs", function()
    local vm

    setup(function()
        vm = boot {
            guest = {
                kernel = "debian-cloud", modules = { "loop" }, run = "echo ran >/tmp/ran",
                files = { ["/etc/mine"] = "a text\n" }, programs = { core.executable },
            },
        }
    end)
    teardown(function() if vm then vm:close() end end)

    it("has loaded the recipe's modules, and the drivers of the devices that it has", function()
        local loaded = vm:succeed "lsmod"
        assert.matches("\nloop ", loaded)
        assert.matches("\nvirtio_console ", loaded)
        assert.is_nil(loaded:find "virtio_blk")
    end)

    it("has the recipe's files, and has run its script", function()
        assert.equal("a text\nran", vm:succeed "cat /etc/mine /tmp/ran")
    end)

    it("runs a program of the host's with its libraries", function()
        assert.equal(assert(process.line { core.executable, "--version" }),
            vm:succeed(core.executable .. " --version"):match "^[^\n]*")
    end)

    serves_a_console(function() return vm end, "poweroff", "poweroff")
end)

-- A folder as a kernel's build leaves it, of a kernel that Debian has built.
local function build_tree()
    local kernel = assert(guests.kernel "cloud-amd64")
    local names = { "virtio_mmio", "virtio_console", "virtio_pci" }
    local order = assert(require("vmm.modules").installed(kernel.modules)):order(names)
    for _, path in ipairs(order) do
        local file <close> = assert(io.open(kernel.modules .. "/" .. path, "rb"))
        write("linux/" .. path:gsub("^kernel/", ""), file:read "a")
    end
    write("linux/modules.order", table.concat(order, "\n") .. "\n")
    local image <close> = assert(io.open(kernel.path, "rb"))
    return write("linux/arch/x86/boot/bzImage", image:read "a"), kernel.release
end

describe("a kernel out of a build tree", function()
    it("boots with the drivers that were built with it", function()
        local image, release = build_tree()
        local vm <close> = boot { guest = image }
        assert.equal(release, vm:succeed "uname -r")
        assert.equal("virtio_console", vm:succeed("lsmod"):match "virtio_console")
    end)
end)

describe("a guest whose root is the host's", function()
    local vm

    setup(function()
        write("here", "from the host\n")
        vm = boot { guest = "host-root" }
    end)
    teardown(function() if vm then vm:close() end end)

    it("has the host's files and programs", function()
        assert.equal("from the host", vm:succeed("cat " .. FOLDER .. "/here"))
        assert.equal(assert(process.line { core.executable, "--version" }),
            vm:succeed(core.executable .. " --version"):match "^[^\n]*")
    end)

    it("may write anywhere, which the host sees nothing of", function()
        vm:succeed(("echo changed >%s/here; echo more >%s/more; rm -r /usr/sbin"):format(FOLDER,
            FOLDER))
        assert.equal("changed", vm:succeed("cat " .. FOLDER .. "/here"))
        assert.equal("from the host", process.line { "cat", FOLDER .. "/here" })
        assert.is_nil(core.file_kind(FOLDER .. "/more"))
        assert.is_truthy(core.file_kind "/usr/sbin")
    end)

    it("cannot change them where they are mounted either", function()
        vm:succeed "mkdir /lower && mount -t virtiofs vmm-root /lower"
        vm:fail(("echo changed >/lower%s/here"):format(FOLDER))
        vm:fail(("mount -o remount,rw /lower && echo changed >/lower%s/here"):format(FOLDER))
        assert.equal("from the host", process.line { "cat", FOLDER .. "/here" })
    end)

    serves_a_console(function() return vm end, "reboot", "reboot")
end)

describe("a disk with Debian", function()
    local vm

    setup(function() vm = boot { guest = "debian-disk" } end)
    teardown(function() if vm then vm:close() end end)

    it("reaches multi-user, with no unit that failed", function()
        vm:succeed("until systemctl -q is-active multi-user.target; do sleep 1; done",
            { timeout = SYSTEM_SECONDS })
        assert.equal("", vm:succeed "systemctl --failed --no-legend --plain")
        assert.equal("12", vm:succeed("cat /etc/debian_version"):match "^%d+")
    end)

    it("lets one log in on ttyS0", function()
        local login = vm.scenario.prepared.login
        vm.console:send_line(login.user)
        vm.console:expect("Password: ", { timeout = SYSTEM_SECONDS })
        vm.console:send_line(login.password)
        vm.console:expect("root@guest:~# ", { timeout = SYSTEM_SECONDS })
        vm.console:send_line "tty; systemctl is-active serial-getty@ttyS0"
        vm.console:expect("\n/dev/ttyS0\r\nactive\r\n", { timeout = SYSTEM_SECONDS })
    end)

    it("is written to in memory: the image, which others use, stays as it is", function()
        vm:succeed "echo mine >/etc/mine && sync"
        assert.equal("overlayfs", vm:succeed "stat -f -c %T /")
        assert.equal("1", vm:succeed "cat /sys/block/vda/ro")
        assert.equal("mine", vm:succeed "cat /etc/mine")
    end)
end)
