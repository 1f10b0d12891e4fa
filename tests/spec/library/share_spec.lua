-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The options share and block, as far as daemons serve them: as tables, and the commands that they
-- become.

local config = require "vmm.config"
local json = require "vmm.json"
local parse = require "vmm.cli.parse"
local process = require "vmm.process"

local FOLDER = assert(process.temporary_directory "vmm-share-options")

teardown(function() process.remove(FOLDER) end)

-- A program that does nothing but tell its help.
local function fake(name, help)
    local path = FOLDER .. "/" .. name
    local file <close> = assert(io.open(path, "w"))
    file:write("#!/bin/sh\ncat <<end\n", help, "\nend\n")
    file:close()
    assert(os.execute("chmod 755 " .. path))
    return path
end

-- What a module's daemon() returns where the folder's programs are first in PATH: its words from
-- the program's own on, or nil and the message.
local function command(module, options, program)
    local code = ("local argv, why = require('vmm.%s').daemon(%s); "
        .. "for _, word in ipairs(argv or { 'refused', why }) do print(word) end")
        :format(module, options)
    local output = assert(process.capture({ "env", "PATH=" .. FOLDER .. ":/usr/bin:/bin",
        process.executable(), "-e", code }, { stderr = "merge" }))
    local words
    for line in output:gmatch "[^\n]+" do
        if line == "refused" or line:match "[^/]+$" == program then words = {} end
        if words then words[#words + 1] = line end
    end
    if words[1] == "refused" then return nil, words[2] end
    return table.concat(words, " ", 2), output
end

describe("the option share", function()
    it("is a list, and complete", function()
        local list = config.check { share = { { path = "/a,b", tag = "x" },
            { socket = "s", tag = "y" } } }.share
        assert.same({ { path = "/a,b", tag = "x", readonly = false },
            { socket = "s", tag = "y", readonly = false } }, list)
        assert.same(list, config.check { share = list }.share)
        assert.is_nil(config.check {}.share)
    end)

    it("says which one is wrong", function()
        for message, given in pairs {
            ["share[2]: tag=NAME is missing"] = { { path = "a", tag = "x" }, { path = "b" } },
            ["share[1]: give one of: path=FOLDER, socket=PATH"] = { { tag = "x" } },
            ["share[1]: sandbox: only with path=FOLDER"] =
                { { tag = "x", socket = "s", sandbox = "none" } },
        } do
            assert.same({ nil, message }, { config.check { share = given } })
        end
    end)

    it("is given once for each folder on the command line", function()
        local given = assert(parse { "--kernel", "path=k", "--share", "path=/a,b,tag=x",
            "--share=tag=y,path=/c,readonly=true,sandbox=chroot" })
        assert.same({ { path = "/a,b", tag = "x", readonly = false },
            { path = "/c", tag = "y", readonly = true, sandbox = "chroot" } }, given.config.share)
    end)

    it("starts the virtiofsd in C with a path that its options cannot misread", function()
        fake("virtiofsd", "usage: -o source=PATH")
        assert.equal([[--fd=3 -f -o source=/a\,b\\c -o sandbox=chroot -o log_level=err]],
            (command("share", [=[{ path = [[/a,b\c]], sandbox = "chroot" }]=], "virtiofsd")))
        assert.same({ nil, "sandbox=none: this host's virtiofsd has namespace and chroot" },
            { command("share", "{ path = '/a', sandbox = 'none' }", "virtiofsd") })
    end)

    it("starts the virtiofsd in Rust, which has other options", function()
        fake("virtiofsd", "Options: --shared-dir <SHARED_DIR>")
        assert.equal("--fd=3 --shared-dir /a,b --sandbox none --log-level error",
            (command("share", "{ path = '/a,b', sandbox = 'none' }", "virtiofsd")))
    end)

    it("gives it a folder's whole path, for its sandbox has another current directory", function()
        fake("virtiofsd", "Options: --shared-dir <SHARED_DIR>")
        assert.equal(("--fd=3 --shared-dir %s/a --sandbox namespace --log-level error"):format(
            process.current_directory()),
            (command("share", "{ path = 'a', sandbox = 'namespace' }", "virtiofsd")))
    end)

    it("mounts a read-only folder so, before there is a daemon", function()
        fake("virtiofsd", "Options: --shared-dir <SHARED_DIR>")
        local _, output = command("share",
            "{ path = '/a', sandbox = 'none', readonly = true }", "virtiofsd")
        assert.matches("^unshare\n%-%-mount\n.*sh\n%-c\nmount %-%-bind .*remount,bind,ro.*\n/a\n",
            output)
    end)
end)

describe("the option block with a format", function()
    it("opens the image as what was said, and its file as bytes", function()
        fake("qemu-storage-daemon", "")
        local words = command("storage", [[{ path = '/a,"b', format = "qcow2", readonly = true,
            direct = false, queues = 3 }]], "qemu-storage-daemon")
        local image, export = words:match "^%-%-blockdev (%b{}) %-%-export (.*)$"
        local decoded = json.decode(image)
        assert.equal("qcow2", decoded.driver)
        assert.is_true(decoded["read-only"])
        assert.same({ "file", '/a,"b', true }, { decoded.file.driver, decoded.file.filename,
            decoded.file["read-only"] })
        assert.equal("type=vhost-user-blk,id=export,node-name=disk,addr.type=fd,addr.str=3,"
            .. "writable=off,num-queues=3", export)
    end)
end)
