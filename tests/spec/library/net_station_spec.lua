-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Stations on a link: frames from Lua to Lua, faults on their way, and the link's capture as tshark
-- reads it.

local core = require "vmm.core"
local process = require "vmm.process"
local sched = require "vmm.sched"
local vmm = require "vmm"

local ONE, TWO = "\x02\0\0\0\0\x01", "\x02\0\0\0\0\x02"

-- A frame of an experimental protocol with a number in it.
local function numbered(number)
    return TWO .. ONE .. (">I2I4"):pack(0x88b5, number) .. ("x"):rep(50)
end

local function number_of(frame)
    return ((">I4"):unpack(frame, 15))
end

local function ignore() end

describe("stations on a link", function()
    local lan, received

    before_each(function()
        lan = assert(vmm.link { name = "stations" })
        received = {}
    end)

    after_each(function()
        lan:close()
    end)

    local function pair()
        local one = assert(lan:station(ignore))
        assert(lan:station(function(frame) received[#received + 1] = frame end))
        return one
    end

    local function await(count)
        assert(sched.wait(function() return #received >= count or nil end, 5))
    end

    it("get what the others send, whole and in order", function()
        local one = pair()
        local third = {}
        assert(lan:station(function(frame) third[#third + 1] = frame end))
        for i = 1, 200 do assert.is_true(one:send(numbered(i))) end
        await(200)
        assert(sched.wait(function() return #third >= 200 or nil end, 5))
        for i = 1, 200 do
            assert.equal(numbered(i), received[i])
            assert.equal(numbered(i), third[i])
        end
        assert.equal(3, lan:stats().ports)
        assert.equal(200, lan:stats().frames)
    end)

    it("may answer in their functions", function()
        local one, two, answer
        one = assert(lan:station(function(frame) answer = frame end))
        two = assert(lan:station(function(frame) two:send(frame .. "!") end))
        one:send(numbered(1))
        assert(sched.wait(function() return answer end, 5))
        assert.equal(numbered(1) .. "!", answer)
    end)

    it("are told of a queue that is full, and may wait for it", function()
        local one = pair()
        local sent, answer = -1
        repeat
            answer = table.pack(one:send(("x"):rep(1500)))
            sent = sent + 1
        until not answer[1]
        assert.same({ n = 3, nil, "the receiver's queue is full", "EAGAIN" }, answer)
        assert.is_true(sent > 100 and sent < 1000, sent)
        assert.is_true(one:send(("x"):rep(1500), 5))
        await(sent + 1)
    end)

    it("leave when they are closed", function()
        local one = pair()
        one:close()
        one:close()
        assert.equal(1, lan:stats().ports)
        assert.same({ nil, "the station is closed", "closed" }, { one:send(numbered(1)) })
    end)

    it("refuse what is no frame", function()
        local one = pair()
        for message, given in pairs {
            ["the frame's length must be 14 to 65553, not 5"] = { "short" },
            ["the frame's length must be 14 to 65553, not 65554"] = { ("x"):rep(65554) },
            ["frame must be a string, not 5"] = { 5 },
            ["timeout must be a number of seconds, not \"1\""] = { numbered(1), "1" },
        } do
            local ok, text = pcall(function() one:send(table.unpack(given)) end)
            assert.is_false(ok)
            assert.matches("net_station_spec.lua:%d+: " .. message, text)
        end
        assert.has_error(function() lan:station(5) end,
            "link:station: receive must be a function, not 5")
    end)

    it("meet the same fate for the same seed", function()
        local one = pair()
        local rounds = {}
        for round = 1, 2 do
            received = {}
            local fault = assert(lan:fault { drop = 0.3, seed = 42 })
            for i = 1, 100 do one:send(numbered(i)) end
            await(100 - fault:stats().dropped)
            local numbers = {}
            for i, frame in ipairs(received) do numbers[i] = number_of(frame) end
            rounds[round] = table.concat(numbers, " ")
            assert.is_true(#numbers > 50 and #numbers < 90, #numbers)
        end
        assert.equal(rounds[1], rounds[2])
    end)

    it("meet no fault any more once the link is healed", function()
        local one = pair()
        lan:heal()
        local fault = assert(lan:fault { drop = 1 })
        for i = 1, 3 do one:send(numbered(i)) end
        assert(sched.wait(function() return fault:stats().dropped == 3 or nil end, 5))
        lan:heal()
        lan:heal()
        one:send(numbered(4))
        await(1)
        assert.equal(numbered(4), received[1])
        assert.equal(3, fault:stats().frames)
    end)

    it("get a delayed frame later, by a function's answer", function()
        local one = pair()
        local fault = assert(lan:fault(function(frame, direction)
            assert.equal("tx", direction)
            local number = number_of(frame)
            if number == 2 then return "drop" end
            if number == 3 then return { delay_ms = 30, duplicate = true } end
        end))
        local before = vmm.now()
        for i = 1, 4 do one:send(numbered(i)) end
        await(4)
        assert.is_true(vmm.now() - before >= 0.03)
        local numbers = {}
        for i, frame in ipairs(received) do numbers[i] = number_of(frame) end
        assert.same({ 1, 4, 3, 3 }, numbers)
        assert.same({ frames = 4, dropped = 1, duplicated = 1, corrupted = 0, reordered = 0,
            delayed = 1, overflowed = 0 }, fault:stats())
        fault:remove()
        fault:remove()
        one:send(numbered(2))
        await(5)
    end)

    it("get a frame that a fault's function fails for, and its error is told", function()
        local one = pair()
        local fault = assert(lan:fault(function() return 5 end))
        one:send(numbered(1))
        local ok, message = pcall(await, 1)
        assert.is_false(ok)
        assert.matches("a fault's function returns nil", tostring(message), 1, true)
        await(1)
        fault:remove()
    end)

    it("get what follows when a fault's function removes the fault and fails", function()
        local one = pair()
        local fault
        fault = assert(lan:fault(function()
            fault:remove()
            error "no more"
        end))
        for i = 1, 3 do one:send(numbered(i)) end
        local ok, message = pcall(await, 3)
        assert.is_false(ok)
        assert.matches("no more", tostring(message), 1, true)
        await(3)
        assert.equal(3, fault:stats().frames)
    end)

    it("may ask for a fault's figures when both are collected", function()
        local answer
        local function forget()
            local fault
            setmetatable({}, { __gc = function() answer = { pcall(fault.stats, fault) } end })
            fault = core.net_fault { drop = 1 }
        end
        forget()
        collectgarbage()
        collectgarbage()
        assert.is_false(answer[1])
        assert.matches("the fault is collected", answer[2], 1, true)
    end)

    it("know what is wrong with a fault", function()
        assert.has_error(function() lan:fault { drop = 2 } end)
        assert.has_error(function() lan:fault { drop = "no" } end)
        assert.has_error(function() lan:fault { dorp = 0.1 } end)
        assert.has_error(function() lan:fault { delay_ms = 1e10 } end)
        assert.has_error(function() lan:fault { direction = "tx" } end)
        assert.has_error(function() lan:fault { ignore, drop = 1 } end,
            "fault: drop: not beside a function")
        assert.has_error(function() lan:fault(5) end,
            "fault: options or a function, not a number")
    end)

    it("say so at the caller's line", function()
        for message, what in pairs {
            ["fault: drop must be a probability, 0 to 1"] = { drop = 2 },
            ["fault: [1] must be a function, not 5"] = { 5 },
            ["fault: options or a function, not a number"] = 5,
            ["fault: drop: not beside a function"] = { ignore, drop = 1 },
        } do
            local ok, text = pcall(function() lan:fault(what) end)
            assert.is_false(ok)
            assert.matches("net_station_spec.lua:", text, 1, true)
            assert.matches(message, text, 1, true)
        end
    end)
end)

-- ---- the capture ---------------------------------------------------------------------------

local function checksum(bytes)
    local sum = 0
    for i = 1, #bytes, 2 do sum = sum + (">I2"):unpack(bytes, i) end
    while sum > 0xffff do sum = (sum & 0xffff) + (sum >> 16) end
    return ~sum & 0xffff
end

local function udp(payload)
    local datagram = (">I2I2I2I2"):pack(40001, 40000, 8 + #payload, 0) .. payload
    local header = (">I1I1I2I2I2I1I1I2c4c4"):pack(0x45, 0, 20 + #datagram, 7, 0, 64, 17, 0,
        "\10\0\0\1", "\10\0\0\2")
    header = header:sub(1, 10) .. (">I2"):pack(checksum(header)) .. header:sub(13)
    return TWO .. ONE .. "\x08\x00" .. header .. datagram
end

local ARP = ("\xff"):rep(6) .. ONE .. "\x08\x06"
    .. (">I2I2I1I1I2c6c4c6c4"):pack(1, 0x0800, 6, 4, 1, ONE, "\10\0\0\1", ("\0"):rep(6),
        "\10\0\0\2")

describe("a link's capture", function()
    it("is read by tshark: each frame, its fields, when it was", function()
        local path = os.tmpname()
        local lan <close> = assert(vmm.link { name = "captured", pcap = path })
        local one = assert(lan:station(ignore))
        local two = assert(lan:station(ignore))
        local large = ("0123456789"):rep(6000)
        local before = os.time()
        assert(one:send(ARP))
        assert(two:send(udp "hello"))
        assert(one:send(udp(large)))
        local output, partial, code = process.capture({ "tshark", "-r", path, "-T", "fields",
            "-o", "ip.check_checksum:TRUE", "-e", "frame.number", "-e", "frame.len",
            "-e", "frame.cap_len", "-e", "frame.time_epoch", "-e", "eth.src",
            "-e", "_ws.col.Protocol", "-e", "arp.dst.proto_ipv4", "-e", "ip.dst",
            "-e", "ip.checksum.status", "-e", "udp.dstport",
            "-e", "udp.length" }, { stderr = "discard" })
        assert.is_nil(code, partial)
        local rows = {}
        for line in output:gmatch "[^\n]+" do
            local time = tonumber(line:match "^%d+\t%d+\t%d+\t([%d.]+)\t")
            assert.is_true(time >= before and time <= os.time() + 1, line)
            rows[#rows + 1] = line:gsub("^(%d+\t%d+\t%d+\t)[%d.]+\t", "%1")
        end
        assert.same({
            "1\t42\t42\t02:00:00:00:00:01\tARP\t10.0.0.2\t\t\t\t",
            "2\t47\t47\t02:00:00:00:00:01\tUDP\t\t10.0.0.2\t1\t40000\t13",
            "3\t60042\t60042\t02:00:00:00:00:01\tUDP\t\t10.0.0.2\t1\t40000\t60008",
        }, rows)
        os.remove(path)
    end)
end)
