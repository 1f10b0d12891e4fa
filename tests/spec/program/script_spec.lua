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
