-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Sockets for scripts: unix and TCP, what they say when something is in the way, who is woken.

local holdings = require "tests.spec.support.holdings"
local process = require "vmm.process"
local vmm = require "vmm"

local SECONDS = 10

describe("a socket", function()
    local directory

    before_each(function()
        directory = assert(process.temporary_directory "vmm-socket")
    end)

    after_each(function()
        process.remove(directory)
    end)

    local function close_all(sockets)
        for _, socket in pairs(sockets) do
            socket:close()
        end
    end

    -- A listening socket, and both ends of a connection to it.
    local function pair(where)
        local listener = assert(vmm.listen(where))
        local to = where.unix and where or { tcp = listener:port() }
        local client = assert(vmm.connect(to))
        local server = assert(listener:accept(SECONDS))
        return setmetatable({ listener = listener, client = client, server = server },
            { __close = close_all })
    end

    -- What can be read till there are count bytes.
    local function read_all(from, count)
        local parts, got = {}, 0
        while got < count do
            local bytes = assert(from:read(nil, SECONDS))
            if bytes == "" then break end
            parts[#parts + 1] = bytes
            got = got + #bytes
        end
        return table.concat(parts)
    end

    for name, where in pairs {
        ["a unix socket"] = function() return { unix = directory .. "/s" } end,
        ["TCP"] = function() return { tcp = 0 } end,
        ["TCP over IPv6"] = function() return { tcp = 0, host = "::1" } end,
    } do
        it("carries bytes both ways over " .. name, function()
            local place = where()
            local listener <close>, message = vmm.listen(place)
            if not listener and place.host == "::1" then
                pending("this host has no IPv6: " .. message)
                return
            end
            assert(listener, message)
            local client <close> = assert(vmm.connect {
                unix = place.unix, tcp = listener:port(), host = place.host,
            })
            local server <close> = assert(listener:accept(SECONDS))
            assert.is_true(client:write "to you\0")
            assert.equal("to you\0", server:read(nil, SECONDS))
            assert.is_true(server:write "back")
            assert.equal("ba", client:read(2, SECONDS))
            assert.equal("ck", client:read(2, SECONDS))
        end)
    end

    it("reads the empty string at the end, when the peer has closed", function()
        local all <close> = pair { unix = directory .. "/s" }
        all.server:write "last"
        all.server:close()
        assert.equal("last", all.client:read(nil, SECONDS))
        assert.equal("", all.client:read(nil, SECONDS))
        assert.is_nil(all.listener.closed)
    end)

    it("goes on reading after it has finished writing", function()
        local all <close> = pair { unix = directory .. "/s" }
        all.client:write "question"
        assert.is_true(all.client:finish())
        assert.equal("question", all.server:read(nil, SECONDS))
        assert.equal("", all.server:read(nil, SECONDS))
        all.server:write "answer"
        assert.equal("answer", all.client:read(nil, SECONDS))
        local ok, _, code = all.client:write("more", SECONDS)
        assert.is_nil(ok)
        assert.equal("EPIPE", code)
    end)

    it("writes all of it to a peer that reads late, while others go on", function()
        local all <close> = pair { unix = directory .. "/s" }
        local bytes = ("0123456789abcdef"):rep(1 << 17)
        local task = vmm.spawn(function()
            return all.server:write(bytes, SECONDS)
        end)
        vmm.sleep(0)
        assert.is_nil(task.done)
        assert.equal(#bytes, #read_all(all.client, #bytes))
        assert.is_true(task:wait(SECONDS))
    end)

    it("can be read and written by two tasks at a time", function()
        local all <close> = pair { tcp = 0 }
        local bytes = ("x"):rep(8 << 20)
        local reader = vmm.spawn(function()
            return all.server:read(nil, SECONDS)
        end)
        local writer = vmm.spawn(function()
            return all.server:write(bytes, SECONDS)
        end)
        assert.equal(#bytes, #read_all(all.client, #bytes))
        assert.is_true(writer:wait(SECONDS))
        all.client:write "word"
        assert.equal("word", reader:wait(SECONDS))
    end)

    it("times out", function()
        local all <close> = pair { tcp = 0 }
        assert.same({ nil, "timeout", "timeout" }, { all.listener:accept(0.01) })
        assert.same({ nil, "timeout", "timeout" }, { all.client:read(nil, 0.01) })
        assert.same({ nil, "timeout", "timeout" }, { all.server:write(("x"):rep(64 << 20), 0.01) })
    end)

    it("tells whoever waits for it that it was closed", function()
        local all <close> = pair { unix = directory .. "/s" }
        local waits = {
            vmm.spawn(function() return all.listener:accept() end),
            vmm.spawn(function() return all.client:read() end),
            vmm.spawn(function() return all.server:write(("x"):rep(64 << 20)) end),
        }
        vmm.sleep(0)
        for _, socket in ipairs { all.listener, all.client, all.server } do
            socket:close()
            socket:close()
        end
        for _, task in ipairs(waits) do
            assert.same({ nil, "the socket is closed", "closed" }, { task:wait(SECONDS) })
        end
    end)

    it("reports a peer that is gone when it writes", function()
        local all <close> = pair { unix = directory .. "/s" }
        all.server:close()
        local ok, _, code = all.client:write "x"
        assert.same({ nil, "EPIPE" }, { ok, code })
    end)

    it("that listens is for this user only, and its file goes with it", function()
        local path = directory .. "/s"
        local listener <close> = assert(vmm.listen { unix = path })
        assert.equal(0x180, assert(process.stat1(path)).mode) -- rw-------
        listener:close()
        assert.is_nil(process.stat1(path))
    end)

    it("takes the place of a socket that nobody listens on, not of a live one", function()
        local path = directory .. "/s"
        local listener <close> = assert(vmm.listen { unix = path })
        local second, message, code = vmm.listen { unix = path }
        assert.same({ nil, "cannot listen on " .. path
            .. ": it exists already; remove it or choose another path", "EADDRINUSE" },
            { second, message, code })
        assert(os.rename(path, path .. ".stale"))
        listener:close()
        local again <close> = assert(vmm.listen { unix = path .. ".stale" })
        local client <close> = assert(vmm.connect { unix = path .. ".stale" })
        assert.is_table(client)
        assert.is_table(again:accept(SECONDS))
    end)

    it("does not remove what is not a socket", function()
        local path = directory .. "/file"
        assert(io.open(path, "w")):close()
        local _, _, code = vmm.listen { unix = path }
        assert.equal("EADDRINUSE", code)
        assert.equal("file", process.stat1(path).kind)
    end)

    it("that listens leaves alone what has taken its place", function()
        local path = directory .. "/s"
        local listener <close> = assert(vmm.listen { unix = path })
        assert(os.remove(path))
        assert(io.open(path, "w")):close()
        listener:close()
        assert.equal("file", process.stat1(path).kind)
    end)

    it("listens on the loopback address unless told otherwise", function()
        local listener <close> = assert(vmm.listen { tcp = 0 })
        local address = ("0100007F:%04X"):format(listener:port())
        local file <close> = assert(io.open "/proc/net/tcp")
        assert.matches(address, file:read "a", 1, true)
    end)

    it("says why it cannot connect", function()
        local made, message, code = vmm.connect { unix = directory .. "/none" }
        assert.same({ nil, "cannot connect to " .. directory
            .. "/none: No such file or directory", "ENOENT" }, { made, message, code })
        local listener <close> = assert(vmm.listen { tcp = 0 })
        local port = listener:port()
        listener:close()
        made, message, code = vmm.connect { tcp = port, timeout = SECONDS }
        assert.same({ nil, ("cannot connect to 127.0.0.1 port %d: Connection refused"):format(port),
            "ECONNREFUSED" }, { made, message, code })
        made, message, code = vmm.connect { tcp = 1, host = "example.org" }
        assert.same({ nil, "example.org is not an IP address", "EINVAL" }, { made, message, code })
    end)

    it("waits till a listener whose queue is full has room", function()
        local listener <close> = assert(vmm.listen { unix = directory .. "/s" })
        local clients = {}
        local function connect()
            return vmm.connect { unix = directory .. "/s", timeout = SECONDS }
        end
        local tasks = {}
        for i = 1, 20 do
            tasks[i] = vmm.spawn(connect)
        end
        for i = 1, 20 do
            clients[i] = assert(listener:accept(SECONDS))
        end
        for i = 1, 20 do
            assert(tasks[i]:wait(SECONDS)):close()
            assert.equal("", clients[i]:read(nil, SECONDS))
            clients[i]:close()
        end
    end)

    it("refuses options that make no sense", function()
        for given, words in pairs {
            [{}] = "give one of: unix, tcp",
            [{ unix = "/a", tcp = 1 }] = "give one of: unix, tcp",
            [{ tcp = 65536 }] = "65536",
            [{ path = "/a" }] = "unix",
        } do
            local ok, message = pcall(vmm.listen, given)
            assert.is_false(ok)
            assert.matches(words, message, 1, true)
        end
    end)

    it("leaves no fd behind when it is closed or collected", function()
        collectgarbage()
        local before = holdings().fds
        for _ = 1, 5 do
            pair { unix = directory .. "/s" }
            collectgarbage()
            collectgarbage()
        end
        assert.equal(before, holdings().fds)
    end)
end)
