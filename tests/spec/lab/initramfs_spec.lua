-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Trees of files, and which kernel modules to load in which order.

local initramfs = require "vmm.initramfs"
local process = require "vmm.process"

local scratch

before_each(function()
    scratch = assert(process.temporary_directory("initramfs-spec"))
end)
after_each(function()
    process.remove(scratch)
end)

local function write(name, text)
    local file <close> = assert(io.open(scratch .. "/" .. name, "wb"))
    file:write(text)
end

-- Names in the tree, in the order they are written.
local function names(tree, options)
    local path = scratch .. "/image"
    assert(tree:write(path, options))
    local output = assert(process.capture { "sh", "-c",
        options and "gzip -dc <\"$1\" | cpio --quiet -t" or "cpio --quiet -t <\"$1\"", "sh", path })
    local list = {}
    for name in output:gmatch("[^\n]+") do
        list[#list + 1] = name
    end
    return list
end

describe("a tree", function()
    local ROOT = {
        "usr", "usr/bin", "bin", "usr/sbin", "sbin", "usr/lib", "lib", "usr/lib64", "lib64",
    }

    local function with_root(list)
        return table.move(list, 1, #list, #ROOT + 1, table.move(ROOT, 1, #ROOT, 1, {}))
    end

    it("puts the directories of a path before it, once", function()
        local tree = initramfs.new()
        tree:file("/a/b/c", "")
        tree:file("/a/b/d", "")
        assert.same(with_root { "a", "a/b", "a/b/c", "a/b/d" }, names(tree))
    end)

    it("stores a path through a link at the place the link leads to", function()
        local tree = initramfs.new()
        tree:file("/bin/tool", "")
        tree:file("/lib/x/../y", "")
        assert.same(with_root { "usr/bin/tool", "usr/lib/y" }, names(tree))
    end)

    it("keeps a link when its target is asked for as a directory", function()
        local tree = initramfs.new()
        tree:directory("/bin")
        assert.same(with_root {}, names(tree))
    end)

    it("lets a later file take an earlier one's place", function()
        local tree = initramfs.new()
        tree:file("/f", "first")
        tree:file("/f", "second")
        names(tree)
        assert.equal("second", process.capture { "sh", "-c",
            "cd \"$1\" && cpio --quiet -i --to-stdout f <image", "sh", scratch })
    end)

    it("refuses a file in place of a directory", function()
        local tree = initramfs.new()
        assert.has_error(function() tree:file("/usr/bin", "") end,
            "/usr/bin is a directory already")
    end)

    it("compresses with gzip when asked", function()
        local tree = initramfs.new()
        tree:file("/f", "text")
        assert.same(with_root { "f" }, names(tree, { gzip = true }))
    end)

    it("refuses a busybox that has no init, which a guest would miss as process 1", function()
        write("busybox", "#!/bin/sh\necho bin/sh\n")
        local path = scratch .. "/busybox"
        assert(process.capture { "chmod", "+x", path })
        assert.same({ nil, path .. " has no init; install Debian's busybox-static" },
            { initramfs.new():busybox(path) })
    end)

    it("gets busybox and a link for each applet it does not hold", function()
        local tree = initramfs.new()
        tree:file("/bin/ls", "mine")
        assert(tree:busybox())
        assert.is_true(tree:has("/usr/bin/busybox"))
        assert.is_true(tree:has("/bin/mount"))
        names(tree)
        assert.equal("mine", process.capture { "sh", "-c",
            "cd \"$1\" && cpio --quiet -i --to-stdout usr/bin/ls <image", "sh", scratch })
    end)

    it("says which host file is missing when it is written", function()
        local tree = initramfs.new()
        tree:copy("/f", "/nonexistent/file")
        local ok, message = tree:write(scratch .. "/image")
        assert.is_nil(ok)
        assert.equal("/nonexistent/file: No such file or directory", message)
    end)

    it("says where it cannot be written", function()
        local ok, message = initramfs.new():write("/nonexistent/image")
        assert.is_nil(ok)
        assert.equal("/nonexistent/image: No such file or directory", message)
    end)

    it("says that a full disk took it in part", function()
        local tree = initramfs.new()
        tree:file("/f", ("x"):rep(100000))
        local ok, message = tree:write("/dev/full")
        assert.is_nil(ok)
        assert.equal("/dev/full: cannot be written whole (disk full?)", message)
    end)
end)

describe("the order of modules", function()
    before_each(function()
        write("modules.dep", table.concat({
            "kernel/a/leaf.ko:",
            "kernel/a/middle-one.ko: kernel/a/leaf.ko",
            "kernel/b/top.ko.xz: kernel/a/middle-one.ko kernel/b/other.ko",
            "kernel/b/other.ko: kernel/a/leaf.ko",
            "",
        }, "\n"))
        write("modules.builtin", "kernel/fs/ext4/ext4.ko\n")
    end)

    it("has what a module needs before it, each once", function()
        assert.same({
            "kernel/a/leaf.ko", "kernel/a/middle-one.ko", "kernel/b/other.ko", "kernel/b/top.ko.xz",
        }, initramfs.module_order(scratch, { "top", "middle_one" }))
    end)

    it("takes - and _ in names for the same", function()
        assert.same({ "kernel/a/leaf.ko", "kernel/a/middle-one.ko" },
            initramfs.module_order(scratch, { "middle-one" }))
        assert.same({ "kernel/a/leaf.ko", "kernel/a/middle-one.ko" },
            initramfs.module_order(scratch, { "middle_one" }))
    end)

    it("leaves out what is built into the kernel", function()
        assert.same({}, initramfs.module_order(scratch, { "ext4" }))
    end)

    it("names a module that does not exist", function()
        local order, message = initramfs.module_order(scratch, { "leaf", "absent" })
        assert.is_nil(order)
        assert.equal("no kernel module absent in " .. scratch, message)
    end)

    it("says when there is no list of dependencies", function()
        local order, message = initramfs.module_order("/nonexistent", { "leaf" })
        assert.is_nil(order)
        assert.equal("/nonexistent/modules.dep: missing or empty; depmod makes it", message)
    end)
end)
