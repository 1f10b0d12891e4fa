-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- --help and the manual page: complete, well formed, no wider than a terminal.

local help = require "vmm.cli.help"
local man = require "vmm.cli.man"
local options = require "vmm.options"
local process = require "vmm.process"

--- Every spelling, parameter and form that a user may write.
local function all_words()
    local words = {}
    for _, option in ipairs(options.list) do
        table.move(help.spelling(option), 1, 4, #words + 1, words)
        for _, part in ipairs(option.params or option.forms or {}) do
            words[#words + 1] = help.assignment(part)
        end
    end
    return words
end

local function succeeds(command)
    local pipe <close> = assert(io.popen(command .. " 2>&1"))
    local output = pipe:read "a"
    return pipe:close() or false, output
end

describe("--help", function()
    it("names every option, parameter and form", function()
        local text = help.text()
        for _, word in ipairs(all_words()) do
            assert.truthy(text:find(word, 1, true), word)
        end
    end)

    it("tells ranges, defaults and other names", function()
        local text = help.text():gsub("%s+", " ")
        for _, fact in ipairs {
            "(1 to 67108864; default: 256)",
            "(1 to 254; default: 1)",
            "(also kernel_load_addr; 0x0 to 0xfffffffffffff;"
                .. " default: 0x100000)",
            "(default: console=ttyS0 i8042.nokbd reboot=k panic=1 pci=off)",
            "--vcpus, --vcpu virtual CPUs",
            "124 the time given by --timeout",
            "before the script, before the machine starts",
            "a script (or -e, -i) at its next wait",
        } do
            assert.truthy(text:find(fact, 1, true), fact)
        end
    end)

    it("fits in 79 columns and has no trailing space", function()
        for line in help.text():gmatch "[^\n]*" do
            assert.truthy(#line <= 79, line)
            assert.is_nil(line:match "%s$", line)
        end
    end)
end)

describe("the manual page", function()
    local path

    setup(function()
        path = os.tmpname()
        local file <close> = assert(io.open(path, "w"))
        file:write(man.page "1.2.3")
    end)

    teardown(function()
        os.remove(path)
    end)

    it("formats without a warning of groff", function()
        if not process.which "groff" then
            pending "groff is not installed"
            return
        end
        assert.same({ true, "" }, { succeeds("LC_ALL=C groff -man -Tascii -ww"
            .. " -rLL=78n -z " .. path) })
    end)

    it("is read by man without a warning", function()
        if not process.which "man" or not process.which "groff" then
            pending "man is not installed"
            return
        end
        assert.same({ true, "" }, { succeeds(
            "LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -E UTF-8 -l "
                .. path .. " >/dev/null") })
    end)

    it("names every option, parameter and form when read", function()
        if not process.which "groff" then
            pending "groff is not installed"
            return
        end
        local _, text = succeeds("groff -man -Tascii -P-cbou " .. path)
        for _, word in ipairs(all_words()) do
            assert.truthy(text:find(word, 1, true), word)
        end
        assert.truthy(text:find("vmm-reference 1.2.3", 1, true))
    end)

    it("has no line that roff takes for a command by accident", function()
        for line in man.page("1"):gmatch "[^\n]+" do
            if line:match "^[.']" then
                assert.truthy(line:match "^%.%u%u?%f[ \0]"
                    or line:match "^%.br$" or line:match '^%.\\"', line)
            end
        end
    end)
end)
