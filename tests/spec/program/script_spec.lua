-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The program running scripts: where they come from, and how they end.

local program = require "tests.spec.support.program"

describe("a script", function()
    it("may come from a pipe", function()
        local output, code = program.shell "echo 'print(40 + 2)' | $vmm /dev/stdin"
        assert.same({ "42\n", 0 }, { output, code })
        assert.equal("43\n", (program.shell "$vmm <(echo 'print(40 + 3)')"))
    end)

    it("from a pipe may be long, and says its name and line", function()
        local output, code = program.shell
            "{ echo '#!/bin/vmm'; seq -f '-- %.0f' 9998; echo 'error() = 1'; } | $vmm /dev/stdin"
        assert.matches("/dev/stdin:10000: syntax error near '='", output, 1, true)
        assert.equal(1, code)
    end)

    it("may be compiled", function()
        local output = program.shell
            [[$vmm <(echo '#!x'; $vmm -e 'io.write(string.dump(load "print(44)"))')]]
        assert.equal("44\n", output)
    end)

    it("may be empty", function()
        assert.same({ "", 0 }, { program.shell "$vmm /dev/null" })
    end)

    it("that is a directory gives 1 and one line", function()
        local output, code = program.shell "$vmm /tmp"
        assert.same({ "vmm-reference: cannot read /tmp: Is a directory\n", 1 }, { output, code })
    end)
end)

describe("-e", function()
    it("that is no Lua gives 1 and one line, before anything runs", function()
        for _, words in ipairs {
            "-e 'print(1)' -e 'x='",
            "-e 'print(1)' -e 'x=' --console stdio --kernel path=.build/guest/hello.elf",
        } do
            assert.same(
                { "vmm-reference: (command line):1: unexpected symbol near <eof>\n", 1 },
                { program.shell("$vmm " .. words) })
        end
    end)
end)

describe("--timeout", function()
    local MACHINE = "--kernel path=.build/guest/spin.bin,flow=flat --console capture --name=web "

    for what, case in pairs {
        ["a script"] = { "<(echo 'require [[vmm]].sleep(60)')", "/dev/fd/%d+" },
        ["a script that goes on"] = { "<(echo 'pcall(require [[vmm]].sleep, 60)')", "/dev/fd/%d+" },
        ["-e"] = { "-e 'vmm.sleep(60)'", "%-e" },
        ["a task"] = { "-e 'vmm.spawn(vmm.sleep, 60):wait()'", "%-e" },
        ["-e beside a machine"] = { MACHINE .. "-e 'vmm.sleep(60)'", "web" },
        ["a machine after -e"] = { MACHINE .. "-e 'x = 1'", "web" },
    } do
        local test = case[1]:find(MACHINE, 1, true) and not io.open "/dev/kvm" and pending or it
        test("limits " .. what .. ": 124, one line", function()
            local output, code = program.shell("$vmm --timeout 0.2 " .. case[1])
            assert.matches("^vmm%-reference: " .. case[2]
                .. ": still running after 0.2 s %(%-%-timeout%)\n$", output)
            assert.equal(124, code)
        end)
    end

    it("does not hold up what ends before", function()
        assert.same({ "1\n", 0 }, { program.run("print(1)", "--timeout 5") })
    end)
end)

describe("the error of a task that nobody waits for", function()
    it("is reported at the end: 1", function()
        local output, code = program.run [[
            local vmm = require "vmm"
            vmm.spawn(function() error "lost one" end)
            vmm.spawn(error, { "lost two" })
            vmm.sleep(0.01)
            print "end of script"
        ]]
        assert.matches("end of script\nvmm-reference: a task that nobody waited for failed: "
            .. "stdin:2: lost one\nstack traceback:", output, 1, true)
        assert.matches("\na task that nobody waited for failed: table: ", output, 1, true)
        assert.equal(1, code)
    end)

    it("comes after that of the script", function()
        local output, code = program.run [[
            local vmm = require "vmm"
            vmm.spawn(function() error "lost" end)
            vmm.sleep(0.01)
            error "found"
        ]]
        assert.matches("^vmm%-reference: stdin:4: found.*\na task that.*stdin:2: lost", output)
        assert.equal(1, code)
    end)

    it("is nothing new to who has waited for it", function()
        assert.same({ "", 0 }, { program.run [[
            local vmm = require "vmm"
            local function failing() return vmm.spawn(error, "known") end
            pcall(vmm.wait_all, { failing(), failing() })
            pcall(vmm.wait_any, { failing() })
            local task = failing()
            pcall(task.wait, task)
        ]] })
    end)

    it("is none when the task is interrupted", function()
        local _, code = program.run([[
            local vmm = require "vmm"
            vmm.spawn(vmm.sleep, 60)
            vmm.sleep(60)
        ]], "--timeout 0.1")
        assert.equal(124, code)
    end)
end)

describe("the error of a callback", function()
    -- A watch that is due at once, and fails.
    local FAILING = [[
        local vmm = require "vmm"
        local watch <close> = assert(vmm.watch(0, "r", function()
            error "failed callback"
        end))
    ]]

    it("is raised in the main task's wait, and in no other", function()
        assert.same({ "stdin:3: failed callback\ntrue\tx\t1\n", 0 }, { program.run(FAILING .. [[
            local task = vmm.spawn(function()
                return ("x"):gsub("x", function() vmm.sleep(0.2) end)
            end)
            local ok, err = pcall(vmm.sleep, 60)
            watch:close()
            print(err)
            print(pcall(task.wait, task))
        ]]) })
    end)

    it("ends a script that does not catch it: 1", function()
        local output, code = program.run(FAILING .. "vmm.sleep(60)")
        assert.matches("^vmm%-reference: stdin:3: failed callback\nstack traceback:", output)
        assert.equal(1, code)
    end)

    it("is reported when no wait follows: 1", function()
        local output, code = program.run(FAILING .. "vmm.step(1)")
        assert.equal("vmm-reference: a callback failed: stdin:3: failed callback\n", output)
        assert.equal(1, code)
    end)
end)
