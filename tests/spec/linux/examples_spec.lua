-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The examples that boot Linux, run as a user runs them, and the program's own command line.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local process = require "vmm.process"
local vmm = require "vmm"

local function run(...)
    local output, partial, code = process.capture({ vmm.executable, ... }, { stderr = "merge" })
    return output or partial, code or 0
end

describe("an example", function()
    it("02-boot boots two vCPUs from building blocks", function()
        local output, code = run("examples/02-boot.lua", linux.bzimage(), linux.initramfs())
        assert.equal(0, code, output)
        assert.matches("\n2\r?\n", output)
        assert.matches("the guest ended: poweroff\n$", output)
    end)

    it("03-dialogue learns the kernel's release", function()
        local output, code = run("examples/03-dialogue.lua", linux.bzimage(), linux.initramfs())
        assert.equal(0, code, output)
        assert.matches("%-%- Linux 6%.[%w.-]*cloud%-amd64 ended: poweroff\n$", output)
    end)

    it("04-two-vms boots two machines in one process", function()
        local output, code = run("examples/04-two-vms.lua", linux.bzimage(), linux.initramfs())
        assert.equal(0, code, output)
        assert.equal("anna: poweroff, bert: poweroff\n", output)
    end)

    it("07-look-inside tells who has come to a function, and by which way", function()
        local output, code = run("examples/07-look-inside.lua", linux.bzimage(), linux.initramfs())
        assert.equal(0, code, output)
        assert.matches("^vCPU [12] is at __x64_sys_sethostname, in the name of %w+ %(pid %d+%):\n"
            .. "Call Trace:\n", output)
        assert.matches("\n do_syscall_64%+0x%x+\n", output)
        assert.matches("\nended: poweroff\n$", output)
    end)

    it("08-overlay keeps what the guest writes, and the image as it is", function()
        local initrd = linux.initramfs {
            kernel = assert(guests.kernel "cloud-amd64"), modules = { "virtio_mmio", "virtio_blk" },
        }
        local image = os.tmpname()
        local file <close> = assert(io.open(image, "w+b"))
        local bytes = ("image "):rep(512 * 4096 // 6 + 1):sub(1, 512 * 4096)
        assert(file:write(bytes))
        assert(file:flush())
        local output, code = run("examples/08-overlay.lua", linux.bzimage(), initrd, image)
        file:seek "set"
        assert.is_true(file:read "a" == bytes)
        os.remove(image)
        assert.equal(0, code, output)
        assert.matches("\non the overlay\r?\n", output)
        assert.matches("\n%-%- ended: poweroff, %d%d+ sectors of the overlay are in use\n$", output)
    end)

    it("09-network answers pings from Lua, and loses some by rule", function()
        local kernel = assert(guests.kernel "cloud-amd64")
        local initrd = linux.initramfs { kernel = kernel,
            modules = { "virtio_mmio", "virtio_net" } }
        local output, code = run("examples/09-network.lua", kernel.path, initrd)
        assert.equal(0, code, output)
        assert.equal("answered of 5: 5\nanswered of 6, a half of which is lost: 3\n"
            .. "dropped: 3\nanswered of 5 again: 5\nended: poweroff\n", output)
    end)

    it("frontend.c boots Linux by one call", function()
        local initrd = linux.initramfs { run = "echo started by C; poweroff -f" }
        local output, partial, code = process.capture(
            { ".build/examples/frontend", linux.bzimage(), initrd }, { stderr = "merge" })
        assert.is_nil(code, partial)
        assert.matches("started by C", output, 1, true)
    end)
end)

describe("the command line", function()
    local function boot(last_words, ...)
        local initrd = linux.initramfs { run = last_words }
        return run(..., "--kernel", ("path=%s,initrd=%s"):format(linux.bzimage(), initrd),
            "--timeout", "180")
    end

    it("boots with defaults, shows the console, exits 0 at a poweroff", function()
        local output, code = boot("echo all is well; poweroff -f", "--name=cli")
        assert.equal(0, code, output)
        assert.matches("all is well", output, 1, true)
        assert.matches("Command line: console=ttyS0 i8042.nokbd reboot=k panic=1 pci=off",
            output, 1, true)
    end)

    it("exits 0 at a reboot", function()
        local output, code = boot("reboot -f", "--name=cli")
        assert.equal(0, code, output)
    end)

    it("exits 3 with the kernel's line at a panic", function()
        local output, code = boot("echo c >/proc/sysrq-trigger", "--name=cli")
        assert.equal(3, code, output)
        assert.matches("cli: the guest's kernel panicked: .*sysrq triggered crash", output)
    end)
end)
