-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vmm-reference test, as a user has it; no test here has a VM.

local json = require "vmm.json"
local plan = require "vmm.test.plan"
local pty = require "tests.spec.support.pty"
local test_run = require "tests.spec.support.test_run"
local vmm = require "vmm"

-- A file whose tests go wrong in every way.
local BAD = [[
local vmm = require "vmm"
describe("bad", function()
    it("passes first", function() print "said aloud" end)
    it("waits for ever", function() vmm.sleep(100000) end)
    it("catches what ends it", function()
        pcall(vmm.sleep, 100000)
        vmm.sleep(100000)
    end)
    it("is busy", function() while true do end end)
    it("crashes", function() os.execute "kill -SEGV $PPID" end)
    it("exits", function() os.exit(7) end)
    it("twice", function() end)
    it("twice", function() end)
    it("loses a task", function() vmm.spawn(function() error "nobody hears" end) end)
    it("fails", function() assert.equal(1, 2) end)
    it("is an error", function() local n; n() end)
    it("is for later", function() pending "not yet" end)
    it("passes last", function() end)
end)
describe("without a set-up", function()
    setup(function() error "no ground" end)
    it("is never run", function() end)
end)
]]

describe("A run of tests that go wrong", function()
    local run, output, code

    setup(function()
        run = test_run.new { ["bad_spec.lua"] = BAD, ["broken_spec.lua"] = "local local" }
        output, code = run:run "--test-timeout 0.5 --grace 6 --report r.jsonl ."
    end)

    teardown(function()
        run:close()
    end)

    local function ended(name)
        local event = run:ended("r.jsonl", "bad_spec.lua:" .. name)
        return event.status, event.message
    end

    it("ends with the counts, and exit code 1", function()
        assert.equal("4 passed, 10 failed, 1 skipped", output:match "([^\n]*)\n$", output)
        assert.equal(1, code)
    end)

    for _, name in ipairs { "passes first", "twice", "twice (2)", "passes last" } do
        it("passes what passes: " .. name, function()
            assert.equal("pass", (ended("bad " .. name)))
        end)
    end

    it("ends a test that waits for ever, and tells limit and time", function()
        local status, message = ended "bad waits for ever"
        assert.equal("error", status)
        assert.matches("^the test budget is over: bad waits for ever has taken %d+%.%d s,"
            .. " 0%.5 s are allowed %(%-%-test%-timeout%)", message)
    end)

    it("ends it again when it has caught that", function()
        local status, message = ended "bad catches what ends it"
        assert.equal("error", status)
        assert.matches("^the test budget is over: bad catches what ends it has", message)
    end)

    it("kills a test that never waits, and goes on in another process", function()
        local status, message = ended "bad is busy"
        assert.equal("error", status)
        assert.matches("^the test budget is over: bad is busy has taken %d+%.%d s, 0%.5 s are"
            .. " allowed %(%-%-test%-timeout%); it never waited, or caught the error, so its"
            .. " process was killed$", message)
    end)

    it("names the signal that a process dies of", function()
        local status, message = ended "bad crashes"
        assert.equal("error", status)
        assert.equal("the test process was ended by signal 11 (SIGSEGV)", message)
    end)

    it("takes an early exit for a failure of the test that ran", function()
        local status, message = ended "bad exits"
        assert.equal("error", status)
        assert.equal("the test process ended with exit code 7", message)
    end)

    it("blames a test for its task whose error nobody takes", function()
        local status, message = ended "bad loses a task"
        assert.equal("error", status)
        assert.matches("^a task that nobody waited for failed: bad_spec.lua:%d+: nobody hears",
            message)
    end)

    it("tells a failure from an error", function()
        assert.equal("fail", (ended "bad fails"))
        local status, message = ended "bad is an error"
        assert.equal("error", status)
        assert.matches("attempt to call a nil value %(local 'n'%)", message)
        assert.matches("stack traceback", run:ended("r.jsonl", ":bad is an error").traceback)
    end)

    it("counts what is pending as skipped, and lists it with the reason", function()
        local status, message = ended "bad is for later"
        assert.equal("skip", status)
        assert.equal("not yet", message)
        assert.truthy(output:find("  SKIPPED bad_spec.lua:bad is for later: not yet\n", 1, true))
    end)

    it("names a set-up that fails, and a file that cannot be read", function()
        local status, message = ended "without a set-up setup"
        assert.equal("error", status)
        assert.matches("no ground", message)
        local event = run:ended("r.jsonl", "broken_spec.lua:(the file)")
        assert.equal("error", event.status)
        assert.matches("expected near 'local'", event.message)
    end)

    it("shows failures with the file, and what was printed", function()
        assert.truthy(output:find("  FAIL    bad crashes\n          bad_spec.lua\n"
            .. "          the test process was", 1, true))
        assert.truthy(output:find("  OUTPUT  bad_spec.lua\n          said aloud\n", 1, true))
        assert.matches("\n  FAIL    bad_spec.lua: 4 passed, 9 failed, 1 skipped %(%d+%.%d s%)\n",
            output)
    end)

    it("records the run: its start, each test once, its end", function()
        local events = run:events "r.jsonl"
        assert.equal("run_start", events[1].event)
        assert.equal("1/1", events[1].shard)
        local last = events[#events]
        assert.same({ "run_end", 4, 10, 1 },
            { last.event, last.passed, last.failed, last.skipped })
        local open = {}
        for _, event in ipairs(events) do
            if event.event == "test_start" then
                assert.is_nil(open[event.id], event.id)
                assert.equal(event.file .. ":" .. event.name, event.id)
                open[event.id] = "open"
            elseif event.event == "test_end" then
                assert.equal("open", open[event.test], event.test)
                open[event.test] = "ended"
            end
        end
        for id, state in pairs(open) do
            assert.equal("ended", state, id)
        end
    end)
end)

-- Three files of one test each, and more.
local GOOD = {
    ["a_spec.lua"] = [[ it("one", function() end) it("two", function() end) ]],
    ["b_spec.lua"] = [[ it("three", function() print "out loud" end) ]],
    ["c_spec.lua"] = [[ describe("deep", function() it("four", function() end) end) ]],
    ["helper.lua"] = [[ error "no spec" ]],
}

describe("vmm-reference test", function()
    local good

    setup(function()
        good = test_run.new(GOOD)
    end)

    teardown(function()
        good:close()
    end)

    it("runs the specs of a directory, several at a time, and ends with 0", function()
        local output, code = good:run "-j 3 --report r.jsonl ."
        assert.equal(0, code, output)
        assert.equal("4 passed, 0 failed, 0 skipped", output:match "([^\n]*)\n$")
        assert.is_nil(output:find "out loud")
        for _, test in ipairs { "a_spec.lua:one", "a_spec.lua:two", "b_spec.lua:three",
            "c_spec.lua:deep four" } do
            assert.equal("pass", good:ended("r.jsonl", test).status)
        end
    end)

    it("lists tests with their places, and runs none", function()
        local output, code = good:run "--list a_spec.lua c_spec.lua"
        assert.equal("a_spec.lua:1: one\na_spec.lua:1: two\nc_spec.lua:1: deep four\n3 tests\n",
            output)
        assert.equal(0, code)
    end)

    it("takes tests by name, with all that is around them", function()
        local output = good:run "--list --filter deep --filter '^t' --filter-out ee ."
        assert.equal("a_spec.lua:1: two\n1 tests\n", (output:gsub("c_spec[^\n]*\n", "")))
        assert.is_nil(output:find "one")
    end)

    it("takes the test at a line", function()
        local run <close> = test_run.new { ["a_spec.lua"] = [[
            it("one", function()
            end)
            it("two", function()
                assert(true)
            end)
        ]] }
        local output = run:run "--list a_spec.lua:4"
        assert.equal("a_spec.lua:3: two\n1 tests\n", output)
        output = run:run "--list a_spec.lua:1"
        assert.equal("a_spec.lua:1: one\n1 tests\n", output)
    end)

    it("fails when no test is left to be run", function()
        local output, code = good:run "--filter nobody a_spec.lua"
        assert.matches("vmm%-reference: test: no test has been run\n", output)
        assert.equal(1, code)
    end)

    it("has each file in exactly one shard", function()
        local lines = {}
        for index = 1, 2 do
            local output = good:run(("--shard %d/2 --list ."):format(index))
            for line in output:gmatch "(%w+_spec.lua:[^\n]*)\n" do
                lines[#lines + 1] = line
            end
        end
        table.sort(lines)
        assert.same({ "a_spec.lua:1: one", "a_spec.lua:1: two", "b_spec.lua:1: three",
            "c_spec.lua:1: deep four" }, lines)
    end)

    it("repeats, with ids that tell the rounds apart", function()
        local output = good:run "--repeat 3 --report r.jsonl b_spec.lua"
        assert.equal("3 passed, 0 failed, 0 skipped", output:match "([^\n]*)\n$")
        for round = 1, 3 do
            assert.equal("pass", good:ended("r.jsonl", "three#" .. round).status)
        end
    end)

    it("says which package busted is in, where there is none", function()
        local output, code = good:run("b_spec.lua", "LUA_PATH=/nowhere/?.lua")
        assert.equal("vmm-reference: test: this host has no busted for Lua 5.4; Debian's package is"
            .. " lua-busted\n", output)
        assert.equal(1, code)
    end)

    it("has a line on a terminal that tells what is going on", function()
        local terminal <close> = pty.open(("cd %s; VMM_CACHE=$PWD/cache %s test a_spec.lua\n")
            :format(good.directory, vmm.executable))
        terminal:expect "\r\27%[K%[0/1%] 0 passed, %d+ s | a_spec%.lua %d+ s"
        terminal:expect "\r\27%[K  ok      a_spec%.lua: 2 passed"
        assert.matches("^[^\n]*\n2 passed, 0 failed, 0 skipped\n$", terminal:finish())
    end)
end)

describe("vmm-reference test --seed", function()
    it("shuffles tests in the same way each time, and tells scripts the number", function()
        local run <close> = test_run.new { ["a_spec.lua"] = [[
            for i = 1, 9 do
                it("test " .. i, function() assert.equal("7", os.getenv "VMM_SEED") end)
            end
        ]] }
        local orders = {}
        for i = 1, 2 do
            local output, code = run:run "--seed 7 --report r.jsonl a_spec.lua"
            assert.equal(0, code, output)
            assert.matches("^seed 7\n", output)
            assert.equal(7, run:events("r.jsonl", "run_start")[1].seed)
            local names = {}
            for k, event in ipairs(run:events("r.jsonl", "test_start")) do
                names[k] = event.name:match "%d"
            end
            orders[i] = table.concat(names)
        end
        assert.equal(orders[1], orders[2])
        assert.equal(9, #orders[1])
        assert.not_equal("123456789", orders[1])
    end)
end)

describe("vmm-reference test --retries", function()
    it("runs only what failed again, and tells the attempts", function()
        local run <close> = test_run.new { ["a_spec.lua"] = [[
            local function go(name)
                local file = assert(io.open(name, "a"))
                file:write "x"
                file:close()
                file = assert(io.open(name))
                local count = #file:read "a"
                file:close()
                return count
            end
            it("passes", function() assert.equal(1, go "passes") end)
            it("comes at the second go", function() assert.equal(2, go "second") end)
            it("never does", function() error("go " .. go "never") end)
        ]] }
        local output, code = run:run "--retries 2 --report r.jsonl a_spec.lua"
        assert.equal(1, code)
        assert.equal("2 passed, 1 failed, 0 skipped", output:match "([^\n]*)\n$")
        assert.truthy(output:find(
            "  RETRIED a_spec.lua:comes at the second go: passed at attempt 2\n", 1, true), output)
        assert.truthy(output:find("(3 attempts)", 1, true), output)
        assert.equal("x", run:read "passes")
        assert.equal("xxx", run:read "never")
        local found = {}
        for _, event in ipairs(run:events "r.jsonl") do
            if event.event == "test_retry" or event.event == "test_end" then
                found[#found + 1] = ("%s %s %d %s"):format(event.event,
                    event.test:match ":(.*)", event.attempts, event.status)
            end
        end
        assert.same({
            "test_end passes 1 pass",
            "test_retry comes at the second go 1 fail", "test_retry never does 1 error",
            "test_end comes at the second go 2 pass", "test_retry never does 2 error",
            "test_end never does 3 error",
        }, found)
    end)
end)

describe("A run that is cut short", function()
    it("by Ctrl-C ends its processes, reports what ran, and gives 130", function()
        -- The test's parent is the run.
        local run <close> = test_run.new { ["a_spec.lua"] = [[
            it("ends before", function() end)
            it("is under way", function()
                local stat = assert(io.open "/proc/self/stat"):read "a"
                os.execute("kill -INT " .. stat:match "^.*%) %a (%d+)")
                require("vmm").sleep(100000)
            end)
            it("would come", function() end)
        ]], ["b_spec.lua"] = [[ it("would come as well", function() end) ]] }
        local output, code = run:run "--report r.jsonl a_spec.lua b_spec.lua"
        assert.equal(130, code, output)
        assert.truthy(output:find("the run was interrupted; 2 of 2 files have not been run to"
            .. " their end\n1 passed, 1 failed, 0 skipped\n", 1, true), output)
        assert.equal("pass", run:ended("r.jsonl", ":ends before").status)
        assert.equal("the run was interrupted", run:ended("r.jsonl", ":is under way").message)
        assert.equal(1, #run:events("r.jsonl", "run_end"))
    end)

    it("by --timeout says so, and gives 124", function()
        local run <close> = test_run.new { ["a_spec.lua"] = [[
            it("takes long", function() require("vmm").sleep(100000) end)
        ]] }
        local output, code = run:run "--timeout 1 a_spec.lua"
        assert.equal(124, code, output)
        assert.matches("the run's budget of 1 s is over %(%-%-timeout%); 1 of 1 files have not been"
            .. " run to their end\n0 passed, [01] failed, 0 skipped\n$", output)
    end)

    it("by either names what it left in its report, which is incomplete", function()
        local run <close> = test_run.new { ["a_spec.lua"] = [[
            it("takes long", function() require("vmm").sleep(100000) end)
        ]], ["b_spec.lua"] = [[ it("would come", function() end) ]] }
        run:run "--timeout 1 --report r.jsonl --report r.tap a_spec.lua b_spec.lua"
        local last = run:events("r.jsonl", "run_end")[1]
        assert.equal("the run's budget of 1 s is over (--timeout)", last.reason)
        assert.same({ "a_spec.lua", "b_spec.lua" }, last.left)
        assert.matches("%(%-%-timeout%): not run to the end: a_spec.lua, b_spec.lua\n",
            run:read "r.tap")
    end)

    it("by SIGKILL has what it knew in its report", function()
        -- The second file begins once the first one's end has been taken.
        local run <close> = test_run.new { ["a_spec.lua"] = [[ it("ends", function() end) ]],
            ["b_spec.lua"] = [[
            it("is the end", function()
                local stat = assert(io.open "/proc/self/stat"):read "a"
                os.execute("kill -KILL " .. stat:match "^.*%) %a (%d+)")
                require("vmm").sleep(100000)
            end)
        ]] }
        local output, code = run:run("--report r.jsonl a_spec.lua b_spec.lua", "TMPDIR=$PWD")
        assert.equal(137, code, output)
        assert.equal("pass", run:ended("r.jsonl", "a_spec.lua:ends").status)
        assert.same({}, run:events("r.jsonl", "run_end"))
    end)
end)

describe("vmm-reference test --debug-on-fail", function()
    it("opens a prompt where a test fails, with what its function sees", function()
        local run <close> = test_run.new { ["a_spec.lua"] = [[
            local outer = 40
            it("fails", function()
                local inner = outer + 2
                assert.equal(0, inner)
            end)
            it("goes on", function() end)
        ]] }
        local output, code = run:run("--debug-on-fail a_spec.lua",
            "printf 'print(inner, outer, vmm.version)\\nexit\\n' |")
        assert.equal(1, code, output)
        assert.matches("\nfails has failed: a_spec.lua:4: Expected objects to be equal", output)
        assert.matches("\nVMs: none; exit goes on with the tests\n42\t40\t%d", output)
        assert.equal("1 passed, 1 failed, 0 skipped", output:match "([^\n]*)\n$")
    end)
end)

describe("vmm-reference test", function()
    it("--artefacts leaves files, consoles and output, by test; scripts know --kernel", function()
        local run <close> = test_run.new { ["a_spec.lua"] = [[
            local record = require "vmm.scenario.record"
            it("has a folder", function()
                print(os.getenv "VMM_TEST_KERNEL")
                local file <close> = assert(io.open(record.directory() .. "/mine", "w"))
                file:write "my own"
                record.emit { event = "console", vm = "box", t = 1.5, stream = "console",
                    text = "hello" }
                record.emit { event = "vm_end", vm = "box", reason = "reboot", metrics = { a = 1 } }
            end)
        ]] }
        local output, code = run:run "--artefacts kept --kernel path=a_spec.lua a_spec.lua"
        assert.equal(0, code, output)
        local folder = "kept/" .. plan.folder "a_spec.lua:has a folder"
        assert.equal("my own", run:read(folder .. "/mine"))
        assert.equal("[    1.500] hello\n", run:read(folder .. "/box.console.log"))
        assert.same({ reason = "reboot", metrics = { a = 1 } },
            json.decode(run:read(folder .. "/box.end.json")))
        assert.equal(run.directory .. "/a_spec.lua\n",
            run:read("kept/" .. plan.folder "a_spec.lua" .. ".output"))
        assert.equal("pass", run:ended("kept/run.jsonl", ":has a folder").status)
    end)

    describe("--keep, of a test that fails with a VM,", function()
        -- The VM is none: the process stays for what has been made and is open.
        local SPEC = [[
            local outer = 40
            it("fails with a VM", function()
                local box = { name = "box" }
                require("vmm.alive").add(box)
                local inner <close> = setmetatable({}, { __close = function()
                    assert(io.open("closed", "w")):close()
                end })
                assert.equal(0, outer)
            end)
            it("fails without", function() error "none" end)
            it("goes on", function() end)
        ]]
        local run, output, code, kept

        setup(function()
            run = test_run.new { ["a_spec.lua"] = SPEC }
            output, code = run:run "--keep kept --report r.jsonl a_spec.lua"
            kept = test_run.kept(output)
        end)

        teardown(function()
            run:close()
        end)

        it("runs the tests that are left, and counts all", function()
            assert.equal(1, code, output)
            assert.equal("1 passed, 2 failed, 0 skipped", output:match "([^\n]*)\n$", output)
            assert.equal("fail", run:ended("r.jsonl", ":fails with a VM").status)
            assert.equal("error", run:ended("r.jsonl", ":fails without").status)
            assert.equal("pass", run:ended("r.jsonl", ":goes on").status)
        end)

        it("tells of its process, whose prompt has what the test's function sees, until it is"
            .. " killed, and closes then what the test had open", function()
            assert.equal(1, #kept, output)
            assert.same({ "a_spec.lua:fails with a VM", "box" }, { kept[1].test, kept[1].vms })
            local attach = "--attach " .. kept[1].prompt
            local answer = run:run(attach, "printf 'box.name, vm == box, outer\\nexit\\n' |")
            assert.matches("^fails with a VM has failed: a_spec.lua:8: Expected objects", answer)
            assert.matches("\n> box\ttrue\t40\n> $", answer)
            answer = run:run(attach, "printf 'print(#vms)\nhelp()' |")
            assert.matches("\n> 1\n> Type Lua: .-\n> $", answer)
            assert.is_nil(run:read "closed")
            test_run.kill(kept[1].pid)
            assert.equal("", run:read "closed")
            answer, code = run:run(attach)
            assert.equal(1, code)
            assert.matches("test: %-%-attach kept/%d+%.prompt: ", answer)
        end)
    end)
end)
