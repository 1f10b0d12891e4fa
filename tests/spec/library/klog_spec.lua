-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The kernel's log taken out of a console's output.

local fake_console = require "tests.spec.support.fake_console"
local klog = require "vmm.klog"

-- Splits an output that comes in pieces: the dialogue, the kernel's lines, what is held.
local function split(pieces, leveled)
    local lines, out = {}, {}
    local splitter = klog.splitter(function(line)
        lines[#lines + 1] = line
    end, leveled)
    for i, piece in ipairs(pieces) do
        out[i] = splitter:feed(piece, i)
    end
    return table.concat(out), lines, splitter
end

-- Texts of lines, with their stamps and levels.
local function brief(lines)
    local list = {}
    for i, line in ipairs(lines) do
        list[i] = ("%s %.6f %s"):format(line.level or "-", line.stamp, line.text)
    end
    return list
end

-- Each: its name, an output, what of it is dialogue, the kernel's lines.
local CASES = {
    { "a line on its own", "[    1.234567] Hello\r\n", "", { "- 1.234567 Hello" } },
    { "a line with a level", "<6>[    1.234567] Hello\n", "", { "6 1.234567 Hello" } },
    { "a line with a facility, by its level", "<12>[   98.000001] user\n", "",
        { "4 98.000001 user" } },
    { "a line with its caller",
        "<3>[    0.000000][    T1] swapper\n<4>[    0.500000][   C12] x\n", "",
        { "3 0.000000 swapper", "4 0.500000 x" } },
    { "a line after more than a day", "[123456.000001] late\n", "", { "- 123456.000001 late" } },
    { "a line without a text", "[    1.000000] \n", "", { "- 1.000000 " } },
    { "a line within one of the dialogue, which goes on",
        "guest<4>[    2.000000] cut\r\n# ls\r\n", "guest# ls\r\n", { "4 2.000000 cut" } },
    { "several lines at one place",
        "a<6>[    1.000000] b\n<6>[    1.000001] c\nd", "ad", { "6 1.000000 b", "6 1.000001 c" } },
    { "a line that has another's header in it",
        "[    1.000000] was: [    0.500000] x\ny", "y", { "- 1.000000 was: [    0.500000] x" } },
    { "brackets of other programs",
        "[  OK  ] Started\n[1]+ Done\n[root@x ~]# <html> [12] <6> [ 1.5] a[3]\n",
        "[  OK  ] Started\n[1]+ Done\n[root@x ~]# <html> [12] <6> [ 1.5] a[3]\n", {} },
    { "what only nearly is a header",
        "[   1.234567] [     1.234567] [    1.23456] [    1.2345678] [    1.234567]x [    1,2]\n",
        "[   1.234567] [     1.234567] [    1.23456] [    1.2345678] [    1.234567]x [    1,2]\n",
        {} },
    { "a level that is none",
        "<>[    1.234567] a\n<12345>[    1.234567] b\n",
        "<><12345>", { "- 1.234567 a", "- 1.234567 b" } },
    { "a header after half of one",
        "[   [    1.000000] x\n<6<6>[    2.000000] y\n", "[   <6",
        { "- 1.000000 x", "6 2.000000 y" } },
    { "lines without a level, after one that has one, are of dmesg",
        "[    1.000000] a\n<6>[    2.000000] b\n[    1.000000] a\n[    2.000000] b\n",
        "[    1.000000] a\n[    2.000000] b\n", { "- 1.000000 a", "6 2.000000 b" } },
    { "a text of any bytes", "\0\xff[    1.000000] \0\27[1m\xfe\n\0", "\0\xff\0",
        { "- 1.000000 \0\27[1m\xfe" } },
    { "a line that is too long, to its 4096th byte",
        "[    1.000000] " .. ("x"):rep(4097) .. "\n", "x\n", { "- 1.000000 " .. ("x"):rep(4096) } },
    { "a line of 4096 bytes",
        "[    1.000000] " .. ("x"):rep(4096) .. "\ny", "y", { "- 1.000000 " .. ("x"):rep(4096) } },
}

-- All bytes of a text, one by one.
local function bytes_of(text)
    local list = {}
    for byte in text:gmatch "." do
        list[#list + 1] = byte
    end
    return list
end

-- A text cut at random.
local function cut(text, longest)
    local pieces, at = {}, 1
    while at <= #text do
        local length = math.random(longest)
        pieces[#pieces + 1] = text:sub(at, at + length - 1)
        at = at + length
    end
    return pieces
end

describe("the splitter of a console's output", function()
    for _, case in ipairs(CASES) do
        local name, output, dialogue, lines = table.unpack(case)
        it("knows " .. name, function()
            for _, pieces in ipairs { { output }, bytes_of(output) } do
                local said, kernel = split(pieces)
                assert.equal(dialogue, said)
                assert.same(lines, brief(kernel))
            end
        end)
    end

    it("takes only lines with a level where it is told that all have one", function()
        local dialogue, lines = split({ "[    1.000000] dmesg\n<6>[    1.000000] x\n" }, true)
        assert.equal("[    1.000000] dmesg\n", dialogue)
        assert.same({ "6 1.000000 x" }, brief(lines))
    end)

    it("holds what may become a header, and no more than that", function()
        for _, begun in ipairs { "<", "<1", "<6>", "<6>[", "[", "[  ", "[   1", "[    1.", "[12",
            "[    1.234567", "[    1.234567]", "[    1.234567][", "[    1.234567][   C0",
            "[    1.234567][   C0]" } do
            local dialogue, lines, splitter = split { "# " .. begun }
            assert.same({ "# ", begun, 0 }, { dialogue, splitter.held, #lines })
        end
        for _, other in ipairs { "<a", "<12345", "<6>x", "<6><", "[r", "[1]", "[     ", "[    1.x",
            "[    12", "[1.", "[    1.2345678", "[    1.234567]x", "[    1.234567][x",
            "[    1.234567][" .. (" "):rep(48) } do
            local dialogue, lines, splitter = split { "# " .. other }
            local rest = other:match "<$" or ""
            assert.same({ "# " .. other:sub(1, #other - #rest), rest, 0 },
                { dialogue, splitter.held, #lines })
        end
    end)

    it("goes on with what is held when its beginning was taken for dialogue", function()
        local _, lines, splitter = split { "<6>[    1" }
        assert.equal("", splitter:release(3))
        assert.equal("", splitter:feed(".000000] x\n", 0))
        assert.same({ "- 1.000000 x" }, brief(lines))
        splitter:feed("<6>[    1", 0)
        assert.equal(" 1.000000] x\n", splitter:release(7) .. splitter:feed(".000000] x\n", 0))
    end)

    it("gives all at the end, held or not at its end", function()
        local dialogue, lines, splitter = split { "a[    1.000000] half\r" }
        assert.equal("", splitter:finish())
        assert.same({ "- 1.000000 half" }, brief(lines))
        assert.equal("a", dialogue)
        assert.equal("", splitter:feed("[    2.00", 0))
        assert.equal("[    2.00", splitter:finish())
    end)

    it("gives the same, however the output is cut into pieces", function()
        -- Of these nearly everything is a header or half of one.
        local PARTS = { "[    1.234567] ", "<6>[    2.000000] ", "[", "<", "]", ">", " ", "  ",
            "1", "12345", ".", "000000", "\n", "\r\n", "[   T1]", "C", "<6>", "# ", "text", "\0",
            "\27[0m" }
        for seed = 1, 100 do
            math.randomseed(seed)
            local parts = {}
            for i = 1, 120 do
                parts[i] = PARTS[math.random(#PARTS)]
            end
            local whole = table.concat(parts)
            local leveled = seed % 2 == 0
            local dialogue, lines, splitter = split({ whole }, leveled)
            for longest = 1, 40, 3 do
                local other, others, last = split(cut(whole, longest), leveled)
                local where = ("seed %d, pieces of up to %d"):format(seed, longest)
                assert.equal(dialogue, other, where)
                assert.same(brief(lines), brief(others), where)
                assert.equal(splitter.held, last.held, where)
            end
        end
    end)

    it("gives back a dialogue that kernel lines cut at any byte", function()
        local said = "\r\nguest# echo [x] <y> 12\r\n[x] <y> 12\r\n[root@x ~]# [1]+ Done\r\n"
        for seed = 1, 100 do
            math.randomseed(seed)
            local parts, expected = {}, {}
            for byte in said:gmatch "." do
                parts[#parts + 1] = byte
                if math.random(8) == 1 then
                    local text = ("seed %d, line %d <5> [ 1.0]"):format(seed, #expected)
                    expected[#expected + 1] = "5 1234.567890 " .. text
                    parts[#parts + 1] = ("<5>[ 1234.567890] %s\r\n"):format(text)
                end
            end
            local dialogue, lines = split(cut(table.concat(parts), 1 + seed % 30))
            assert.equal(said, dialogue)
            assert.same(expected, brief(lines))
        end
    end)

    it("is not slow where every byte may begin a header", function()
        local before = os.clock()
        local text = ("[<6>[    "):rep(1 << 13)
        assert.equal(#text, #split(cut(text, 4096)) + 8)
        assert.is_true(os.clock() - before < 10)
    end)
end)

describe("console.log", function()
    local function started()
        local console, print = fake_console.new()
        console:split_log(true)
        return console, print
    end

    it("has the kernel's lines, and the dialogue does not", function()
        local console, print = started()
        print "login<4>[    2.500000] eth0: link down\r\n: "
        assert.equal("", console:expect("login: ").before)
        local line = console.log:lines()[1]
        assert.same({ 4, 2.5, "eth0: link down", "number" },
            { line.level, line.stamp, line.text, type(line.time) })
        assert.matches("login<4>[    2.500000] eth0: link down\n", console:tail(), 1, true)
        assert.matches("] <4>[    2.500000] eth0: link down", console.log:tail(), 1, true)
    end)

    it("is empty as long as nobody asks for it, and the dialogue is whole", function()
        local console, print = fake_console.new()
        print "<4>[    2.500000] x\n"
        assert.equal("<4>[    2.500000] x\n", console:output())
        assert.same({}, console.log:lines())
        console:split_log(true)
        print "<4>[    2.500000] y\n"
        assert.equal("<4>[    2.500000] x\n", console:output())
        console:split_log(false)
        print "<4>[    2.500000] z\n"
        assert.equal("<4>[    2.500000] x\n<4>[    2.500000] z\n", console:output())
        assert.same({ "4 2.500000 y" }, brief(console.log:lines()))
    end)

    it("tells who has subscribed, in order, until the subscription is removed", function()
        local console, print = started()
        local told, other = {}, {}
        local subscription = console.log:on_line(function(line)
            told[#told + 1] = line.text
            console:pull() -- which has more to tell
        end)
        local second = console.log:on_line(function(line)
            other[#other + 1] = line.text
            if line.text == "c" then subscription:remove() end
        end)
        print "[    1.000000] a\n"
        console:pull()
        print(("x"):rep(70000) .. "[    1.000000] b\n" .. ("x"):rep(70000) .. "[    1.000000] c\n")
        console:pull()
        assert.same({ "a", "b", "c" }, told)
        print "[    1.000000] d\n"
        console:pull()
        second:remove()
        second:remove()
        print "[    1.000000] e\n"
        console:pull()
        assert.same({ "a", "b", "c" }, told)
        assert.same({ "a", "b", "c", "d" }, other)
        assert.equal(0, console.wanted)
    end)

    it("keeps 5000 lines at least, 10000 at the most, and tells of each", function()
        local console, print = started()
        local told = 0
        console.log:on_line(function(line)
            told = told + 1
            assert.equal(tostring(told), line.text)
        end)
        for i = 1, 30000, 6000 do
            local piece = {}
            for k = i, i + 5999 do
                piece[#piece + 1] = ("[    1.000000] %d\n"):format(k)
            end
            print(table.concat(piece))
            console:pull()
        end
        local lines = console.log:lines()
        assert.is_true(#lines >= 5000 and #lines <= 10000, #lines)
        assert.equal("30000", lines[#lines].text)
        assert.equal(30000, told)
    end)

    it("keeps 2 MiB at the most", function()
        local console, print = started()
        for _ = 1, 8 do
            print(("[    1.000000] " .. ("x"):rep(4000) .. "\n"):rep(200))
            console:pull()
        end
        assert.is_true(console.log.bytes <= 2 << 20, console.log.bytes)
        assert.is_true(#console.log:lines() >= 250)
    end)
end)
