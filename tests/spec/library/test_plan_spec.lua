-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What `vmm-reference test` runs, on which shard, in which order, and when one more process starts.

local json = require "vmm.json"
local load = require "vmm.test.load"
local options = require "vmm.test.options"
local plan = require "vmm.test.plan"
local process = require "vmm.process"
local progress = require "vmm.test.progress"

-- A new directory for fn(path), gone afterwards.
local function in_directory(fn)
    local path = assert(process.temporary_directory "vmm-plan")
    local ok, message = pcall(fn, path)
    process.remove(path)
    assert(ok, message)
end

local function write(path, text)
    local file <close> = assert(io.open(path, "w"))
    assert(file:write(text))
end

local function names(count)
    local list = {}
    for i = 1, count do
        list[i] = ("tests/n%d_spec.lua"):format(i)
    end
    return list
end

-- The shard of each file; raises unless each is in exactly one.
local function split(files, count, durations)
    local of = {}
    for index = 1, count do
        for _, path in ipairs(plan.shard(files, { index = index, count = count }, durations)) do
            assert.is_nil(of[path], path)
            of[path] = index
        end
    end
    for _, path in ipairs(files) do
        assert.is_truthy(of[path], path)
    end
    return of
end

describe("The files of a run", function()
    it("are specs, and below scenarios all that is Lua, in the order of the paths", function()
        in_directory(function(top)
            assert(process.make_directory(top .. "/x/scenarios/deep"))
            for _, name in ipairs { "b_spec.lua", "a_spec.lua", "a.lua", "x/scenarios/one.lua",
                "x/scenarios/deep/two.lua", "x/scenarios/read.me", "x/other.lua" } do
                write(top .. "/" .. name, "")
            end
            local found = assert(plan.files { top .. "/x", top, top .. "/a.lua" })
            for i, path in ipairs(found) do
                found[i] = path:sub(#top + 2)
            end
            assert.same({ "x/scenarios/deep/two.lua", "x/scenarios/one.lua", "a_spec.lua",
                "b_spec.lua", "a.lua" }, found)
        end)
    end)

    it("must be there", function()
        assert.same({ nil, "test: nowhere: no such file or directory" },
            { plan.files { "nowhere" } })
        in_directory(function(top)
            assert.same({ nil, ("test: %s: no *_spec.lua in it"):format(top) },
                { plan.files { top } })
        end)
    end)
end)

describe("Shards", function()
    for count = 1, 7 do
        it(("have each of 100 files once, by name, when there are %d"):format(count), function()
            split(names(100), count)
        end)
    end

    it("by name do not change when a file comes or goes", function()
        local all, fewer = names(100), names(99)
        local of, of_fewer = split(all, 4), split(fewer, 4)
        for _, path in ipairs(fewer) do
            assert.equal(of[path], of_fewer[path])
        end
    end)

    it("by durations take about the same time each, whatever the order of the files", function()
        local files, durations = names(40), {}
        for i, path in ipairs(files) do
            if i % 8 ~= 0 then durations[path] = i % 10 * 10.0 end
        end
        local of = split(files, 3, durations)
        local loads = { 0, 0, 0 }
        for path, index in pairs(of) do
            loads[index] = loads[index] + (durations[path] or 40)
        end
        local least, most = math.min(table.unpack(loads)), math.max(table.unpack(loads))
        assert.is_true(most - least <= 20, ("%g %g"):format(least, most))
        table.sort(files, function(a, b) return a > b end)
        assert.same(of, split(files, 3, durations))
    end)

    it("have durations from an earlier report", function()
        in_directory(function(top)
            local lines = {}
            for i, seconds in ipairs { 1.5, 2.0, 4.0 } do
                local id = "a_spec.lua:" .. i
                lines[#lines + 1] = json.encode { event = "test_start", id = id,
                    file = i < 3 and "a_spec.lua" or "b_spec.lua" }
                lines[#lines + 1] = json.encode { event = "test_end", test = id,
                    duration = seconds }
            end
            write(top .. "/r.jsonl", table.concat(lines, "\n") .. "\n")
            assert.same({ ["a_spec.lua"] = 3.5, ["b_spec.lua"] = 4.0 },
                plan.of_report(top .. "/r.jsonl"))
            write(top .. "/r.jsonl", "no report\n")
            assert.is_nil(plan.of_report(top .. "/r.jsonl"))
            assert.is_nil(plan.of_report(top .. "/nothing"))
        end)
    end)
end)

describe("The order of files", function()
    it("is shuffled by a seed, always in the same way", function()
        local first, second = names(20), names(20)
        plan.order(first, { seed = 3, jobs = 1 })
        plan.order(second, { seed = 3, jobs = 4 })
        assert.same(first, second)
        assert.not_same(names(20), first)
        table.sort(first)
        local all = names(20)
        table.sort(all)
        assert.same(all, first)
    end)

    it("is that of the paths for one process", function()
        assert.same(names(5), plan.order(names(5), { jobs = 1 }))
    end)
end)

describe("Another process", function()
    local MEMORY = "MemTotal:  8000000 kB\nMemFree: 1 kB\nMemAvailable:  %d kB\n"

    it("may start on a host that has room", function()
        assert.is_nil(load.reason("3.90 9.00 9.00 1/2 3\n", MEMORY:format(4000000), 2))
    end)

    it("may not where the load is more than twice the CPUs", function()
        assert.equal("load 4.1 on 2 CPUs",
            load.reason("4.10 0.00 0.00 1/2 3\n", MEMORY:format(4000000), 2))
    end)

    it("may not where memory is short", function()
        assert.equal("500 MiB of memory left",
            load.reason("0.00 0.00 0.00 1/2 3\n", MEMORY:format(500 * 1024), 2))
    end)

    it("is asked of this host without an error", function()
        local why = load.now()
        assert.is_true(why == nil or type(why) == "string")
    end)
end)

describe("The command line of a run", function()
    -- Each: words, what is said.
    for words, message in pairs {
        [""] = "which files? vmm-reference test --help",
        ["-j none a"] = "-j none: it takes a whole number, 1 or more, or auto",
        ["--jobs=0 a"] = "--jobs 0: it takes a whole number, 1 or more, or auto",
        ["--shard 3/2 a"] = "--shard 3/2: it takes I/N, with I from 1 to N",
        ["--shard 0/2 a"] = "--shard 0/2: it takes I/N, with I from 1 to N",
        ["--filter %"] = "--filter %: it takes a Lua pattern",
        ["--timeout 0 a"] = "--timeout 0: it takes a number of seconds above 0",
        ["--report a.pdf a"] = "--report a.pdf: it takes a file named .jsonl, .xml, .tap or .html",
        ["--kernel bzImage a"] = "--kernel bzImage: it takes path=FILE",
        ["--kernel path=/nowhere a"] =
            "--kernel path=/nowhere: it takes path= and a file that can be read",
        ["--seed 1 --seed 2 a"] = "--seed is given twice",
        ["--list=1 a"] = "--list takes no value",
        ["a --retries"] = "--retries needs a value",
        ["--debug-on-fail -j2 a"] = "--debug-on-fail runs one file at a time, without -j",
        ["--durations r a"] = "--durations is for --shard; a run remembers its own",
        ["--keep k --artefacts k a"] =
            "--keep and --artefacts: one of them; --keep keeps the VMs as well",
        ["--keep k --debug-on-fail a"] =
            "--keep and --debug-on-fail: one of them; for files alone --artefacts",
        ["--keep " .. ("k"):rep(93) .. " a"] = "--keep: a directory whose path has at most 92 "
            .. "bytes, as sockets are in it; this one has 93",
        ["--fliter x a"] =
            "unknown option --fliter; did you mean --filter?; vmm-reference test --help",
    } do
        it(("refuses %q in one line"):format(words), function()
            local list = {}
            for word in words:gmatch "%S+" do
                list[#list + 1] = word
            end
            local given, said = options.parse(list)
            assert.is_nil(given)
            assert.equal("test: " .. message, said)
        end)
    end

    it("has options and paths in any order, and -- before paths like options", function()
        local given = assert(options.parse { "a", "-j4", "--filter", "x", "--filter=y", "b",
            "--shard", "2/3", "--", "-c" })
        assert.same({ "a", "b", "-c" }, given.paths)
        assert.same({ "x", "y" }, given.filter)
        assert.same({ index = 2, count = 3 }, given.shard)
        assert.same({ 4, 1, 0, 300, 10 }, { given.jobs, given.repeats, given.retries,
            given.test_timeout, given.grace })
    end)

    it("is described by --help, option by option", function()
        for _, name in ipairs(options.names()) do
            local short = name:match "^%-[^-]$"
            assert.is_true(short ~= nil or options.USAGE:find(name, 1, true) ~= nil, name)
        end
    end)
end)

describe("What a run shows", function()
    it("has no character that commands the terminal", function()
        assert.equal("a\\x1b[6nb\n\tc\\x00 \\x9bd \u{e9}",
            progress.harmless "a\27[6nb\r\n\tc\0 \u{9b}d \u{e9}")
    end)
end)

describe("The line about a run", function()
    it("tells files, counts, seconds, what runs and why nothing more does", function()
        assert.equal("[3/9] 12 passed, 1 failed, 2 skipped, 34 s | a_spec.lua: boots 3 s"
            .. " | b_spec.lua 0 s | waiting: load 9.0 on 2 CPUs", progress.line {
            done = 3, total = 9, counts = { pass = 12, fail = 1, skip = 2 }, seconds = 34.2,
            running = { { file = "x/a_spec.lua", name = "boots", seconds = 3.1 },
                { file = "b_spec.lua", seconds = 0 } },
            busy = "load 9.0 on 2 CPUs",
        })
    end)
end)
