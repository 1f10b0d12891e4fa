-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The lab's own options, and which host files a command line names.

local initramfs = require "vmm.initramfs"
local lab = require "vmm.lab"
local payload = require "vmm.lab.payload"
local process = require "vmm.process"

describe("the lab's command line", function()
    it("is the program's when there is no --", function()
        assert.same({ args = { "--memory", "size_mib=64", "--kernel", "path=k" } },
            lab.parse { "--memory", "size_mib=64", "--kernel", "path=k" })
    end)

    it("is the program's when something before -- is no option of the lab", function()
        assert.same({ args = { "--cpus", "2", "boot.lua", "--", "x" } },
            lab.parse { "--cpus", "2", "boot.lua", "--", "x" })
    end)

    it("gives what precedes -- to the lab", function()
        assert.same({
            memory_mib = 1024, cpus = 4, run_limit = 30, boot_limit = 5, program = "p",
            files = { "a", "b" }, out_directory = "o", busted = true,
            disks = { { path = "d", readonly = false }, { path = "e", readonly = true } },
            args = { "--cpus", "--" },
        }, lab.parse {
            "--memory", "size_mib=1024", "--cpus", "4", "--timeout", "30", "--boot-timeout", "5",
            "--program", "p", "--file", "a", "--file", "b", "--disk", "d",
            "--readonly-disk", "e", "--out", "o", "--busted",
            "--", "--cpus", "--",
        })
    end)

    it("takes the lab's memory in MiB without the name as well", function()
        assert.equal(512, lab.parse({ "--memory", "512", "--" }).memory_mib)
    end)

    local MISTAKES = {
        { { "--cpus", "0", "--" }, "--cpus: 0 is not a whole number from 1 to 64" },
        { { "--cpus", "two", "--" }, "--cpus: two is not a whole number from 1 to 64" },
        { { "--cpus", "1.5", "--" }, "--cpus: 1.5 is not a whole number from 1 to 64" },
        { { "--memory", "size_mib=16", "--" },
            "--memory: 16 is not a whole number from 256 to 1048576" },
        { { "--memory", "size=512", "--" },
            "--memory: size=512 is not a whole number from 256 to 1048576" },
        { { "--timeout", "", "--" }, "--timeout:  is not a whole number from 1 to 86400" },
        { { "--out", "", "--" }, "--out: needs a value" },
    }
    for _, mistake in ipairs(MISTAKES) do
        it("refuses " .. table.concat(mistake[1], " "), function()
            local options, message = lab.parse(mistake[1])
            assert.is_nil(options)
            assert.equal(mistake[2], message)
        end)
    end
end)

describe("a path in a word", function()
    local function candidates(word)
        return payload.candidates("/here", { word })
    end

    it("is the word itself, relative to the current directory", function()
        assert.same({ "/here/boot.lua" }, candidates("boot.lua"))
        assert.same({ "/abs/boot.lua" }, candidates("/abs/boot.lua"))
    end)

    it("is what follows = up to the end or any comma", function()
        assert.same({
            "/here/path=/k,initrd=i",
            "/k", "/k,initrd=i", "/here/i",
        }, candidates("path=/k,initrd=i"))
    end)

    it("loses quotes", function()
        assert.same({ '/here/path="/a b"', "/a b" }, candidates('path="/a b"'))
    end)

    it("is found once even if it is named twice", function()
        assert.same({ "/here/k" }, payload.candidates("/here", { "k", "k" }))
    end)
end)

describe("the files named", function()
    local scratch

    before_each(function()
        scratch = assert(process.temporary_directory("payload-spec"))
        assert(process.capture { "sh", "-ec", [[
            cd "$1"
            mkdir -p script/lib .hidden images/deep below/here
            echo kernel >kernel,1
            touch script/boot.lua script/near.lua script/lib/far.lua script/data
            touch images/a images/deep/b images/.c below/x
            chmod 750 images/a
            ln -s ../kernel,1 images/link]], "sh", scratch })
    end)
    after_each(function()
        process.remove(scratch)
    end)

    -- Paths below the scratch directory that are in the lab for a command line.
    local function carried(directory, ...)
        local tree = initramfs.new()
        payload.add_named(tree, directory, { ... })
        local list = {}
        for _, path in ipairs(tree.order) do
            if path:sub(1, #scratch + 1) == scratch .. "/"
                    and tree.entries[path].kind ~= "directory" then
                list[#list + 1] = path:sub(#scratch + 2)
            end
        end
        table.sort(list)
        return list, tree
    end

    it("are carried from inside options, even with a comma in the name", function()
        assert.same({ "kernel,1" }, (carried(scratch, "--kernel", "path=kernel,1,cmdline=quiet")))
    end)

    it("bring along what a script may require", function()
        assert.same({ "script/boot.lua", "script/lib/far.lua", "script/near.lua" },
            (carried(scratch, "script/boot.lua")))
    end)

    it("include whole directories, through links, hidden files left out", function()
        assert.same({ "images/a", "images/deep/b", "images/link" }, (carried(scratch, "images")))
    end)

    it("do not include a directory that holds the current one", function()
        assert.same({}, (carried(scratch .. "/below/here", "..")))
        assert.same({}, (carried(scratch .. "/below/here", scratch .. "/below")))
        assert.same({}, (carried(scratch .. "/below/here", ".")))
    end)

    it("keep their modes", function()
        local _, tree = carried(scratch, "images")
        assert.equal("750", ("%o"):format(tree.entries[scratch .. "/images/a"].mode))
    end)

    it("find their directory even when they are still to be made", function()
        local _, tree = carried(scratch, "--console", "file=images/new.log")
        assert.is_true(tree:has(scratch .. "/images"))
        assert.is_false(tree:has(scratch .. "/images/a"))
    end)

    it("bring the libraries of a program", function()
        local tree = initramfs.new()
        payload.add(tree, process.which("env"))
        assert.is_true(tree:has("/lib64/ld-linux-x86-64.so.2"))
        assert.is_true(tree:has("/lib/x86_64-linux-gnu/libc.so.6"))
    end)
end)
