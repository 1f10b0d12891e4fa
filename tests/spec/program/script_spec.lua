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
