-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Devices that daemons serve, up to where a guest would use them: what is refused, what is said of
-- a daemon that fails, and that none is left.

local process = require "vmm.process"
local sched = require "vmm.sched"
local vmm = require "vmm"

local FOLDER = assert(process.temporary_directory "vmm-vhost-spec")
local function path(name) return FOLDER .. "/" .. name end

teardown(function() process.remove(FOLDER) end)

-- A VM with memory that a daemon can map, for vmm.vhost_user.
local function machine()
    return assert(vmm.vm { memory = { size_mib = 1, shared = true } })
end

-- A "daemon" that is a shell script.
local function device(vm, script, on_failure)
    return vmm.vhost_user {
        vm = vm, device = "fs", name = "test", tag = "x", argv = { "sh", "-c", script },
        on_failure = on_failure or function() end,
    }
end

describe("vmm.vhost_user", function()
    it("says what a program said that ended at once", function()
        local vm <close> = machine()
        assert.same({ nil, "test: the daemon ended with exit code 6: cannot open the folder",
            "ECONNRESET" }, { device(vm, "echo cannot open the folder >&2; exit 6") })
    end)

    it("says that there is no such program", function()
        local vm <close> = machine()
        local made, message, code = vmm.vhost_user { vm = vm, device = "fs", name = "test",
            tag = "x", argv = { "/nowhere/daemon" }, on_failure = function() end }
        assert.is_nil(made)
        assert.equal("cannot run /nowhere/daemon: No such file or directory", message)
        assert.equal("ENOENT", code)
    end)

    it("refuses memory that is not shared", function()
        local vm <close> = assert(vmm.vm { memory = { size_mib = 1 } })
        local _, message, code = device(vm, "read x")
        assert.equal("test: guest memory must be shared with the daemon (memory.shared)", message)
        assert.equal("EINVAL", code)
    end)

    it("raises what is wrong with its options", function()
        local vm <close> = machine()
        for message, options in pairs {
            ["give argv, a table, or socket"] = { vm = vm, device = "fs" },
            ["argv: 1 to 64 strings"] = { vm = vm, device = "fs", argv = {} },
            ["argv: not a string"] = { vm = vm, device = "fs", argv = { true } },
            ["deadline: more than 0"] =
                { vm = vm, device = "fs", socket = "x", deadline = 0 },
            ["invalid option 'net'"] = { vm = vm, device = "net", socket = "x" },
            ["function expected, got nil"] = { vm = vm, device = "fs", socket = "x" },
        } do
            local ok, found = pcall(vmm.vhost_user, options)
            assert.is_false(ok)
            assert.is_truthy(found:find(message, 1, true), found)
        end
    end)
end)

describe("the option share", function()
    it("refuses what is no folder", function()
        local name = path "file"
        assert(io.open(name, "w")):close()
        for _, given in ipairs { name, path "nothing" } do
            assert.same({ nil, ("share data: %s is not a folder"):format(given), "ENOTDIR" },
                { vmm.vm { share = { { path = given, tag = "data" } } } })
        end
    end)

    it("starts a daemon for each folder, of which none is left when the VM is closed", function()
        local _, _, code = require("vmm.share").daemon { path = FOLDER, tag = "x" }
        if code == "ENOENT" then return pending "no virtiofsd" end
        local function daemons()
            return tonumber((process.capture { "sh", "-c",
                ("ps ax -o args | grep -c '^[^ ]*virtiofsd.*%s'"):format(FOLDER:match "[^/]+$") }
                or "0"):match "%d+")
        end
        local vm <close> = assert(vmm.vm { share = {
            { path = FOLDER, tag = "a" }, { path = FOLDER, tag = "b", readonly = true } } })
        assert.equal(2, #vm.shares)
        assert.equal("vhost-user-fs", vm.shares[1].virtio.name)
        assert.is_true(daemons() >= 2, daemons())
        vm:close()
        assert.equal(0, daemons())
    end)

    it("knows of no failure of a device of ours", function()
        local vm <close> = machine()
        local rng = assert(vmm.virtio_rng { vm = vm })
        assert.has_error(function() vmm.vhost_user_failure(rng) end,
            "bad argument #1 to 'vhost_user_failure' (no other process serves it)")
    end)

    it("tells of a daemon that is killed", function()
        local _, _, code = require("vmm.share").daemon { path = FOLDER, tag = "x" }
        if code == "ENOENT" then return pending "no virtiofsd" end
        local vm <close> = assert(vmm.vm { memory = { size_mib = 1 }, setup = function() end,
            share = { { path = FOLDER, tag = "a", sandbox = "chroot" } } })
        local told
        vm:on("device_failed", function(failure) told = failure end)
        assert(vm:start { paused = true })
        assert(process.capture { "sh", "-c",
            ("pkill -KILL -f '^[^ ]*virtiofsd.*source=%s'"):format(FOLDER) })
        assert(sched.wait(function() return told end, sched.scaled(5)))
        assert.same({ device = "share a",
            message = "share a: the daemon was ended by signal 9" }, told)
        assert.equal(told.message, (vmm.vhost_user_failure(vm.shares[1].virtio)))
    end)
end)

describe("the option block", function()
    it("says which package has the daemon that an image needs", function()
        local name = path "disk"
        assert(io.open(name, "w")):close()
        local code = ("local _, why = vmm.vm { block = { { path = %q, format = 'qcow2' } } }; "
            .. "print(why)"):format(name)
        local text = process.capture({ "env", "PATH=/nowhere", process.executable(), "-e", code },
            { stderr = "merge" })
        assert.equal(("block %s: no qemu-storage-daemon on this host (looked for "
            .. "qemu-storage-daemon): install qemu-system-common\n"):format(name), text)
    end)

    it("says that nobody listens on a socket", function()
        local message = select(2, vmm.vm { block = { { socket = path "socket" } } })
        assert.equal(("cannot connect to %s: No such file or directory"):format(path "socket"),
            message)
    end)
end)
