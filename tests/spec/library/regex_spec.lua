-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- core.regex: POSIX extended regular expressions over any bytes.

local core = require "vmm.core"

-- Each: an expression, a subject, what find returns.
local CASES = {
    { "b+", "abbbc", { 2, 4 } },
    { "(a|ab)(c|bcd)", "xabcd", { 2, 5, "a", "bcd" } },
    { "(a)|(b)", "b", { 1, 1, nil, "b" } },
    { "x*", "aaa", { 1, 0 } },
    { "()b", "ab", { 2, 2, "" } },
    { "b$", "ab\ncb", { 2, 2 } },
    { "^c", "ab\ncb", { 4, 4 } },
    { "a.*b", "a\nab", { 3, 4 } },
    { "a[^b]c", "a\nc a-c", { 5, 7 } },
    { "[[:alpha:]]+", "\xe4\xfcab\xdf", { 3, 4 } },
    { "^([^x])(.)$", "\0\xff", { 1, 2, "\0", "\xff" } },
    { ".", "\n\0a", { 3, 3 } },
    { "a{2,3}", "\0a\0aaaa", { 4, 6 } },
    { "[0-9]+\\.[0-9]+", "v6.1.0", { 2, 4 } },
}

describe("a regex", function()
    for _, case in ipairs(CASES) do
        local source, subject, expected = table.unpack(case)
        it(("%q is found in %q"):format(source, subject), function()
            assert.same(expected, { assert(core.regex(source)):find(subject) })
        end)
    end

    it("is found from a byte on, which is not the beginning", function()
        local regex = assert(core.regex "a")
        assert.same({ 3, 3 }, { regex:find("aba", 2) })
        assert.is_nil(core.regex "^b":find("ab", 2))
        assert.same({ 3, 3 }, { core.regex "^b":find("a\nb", 2) })
        assert.same({ 3, 2 }, { core.regex "":find("ab", 3) })
        assert.is_nil(core.regex "":find("ab", 4))
    end)

    it("that is none is refused, with the reason", function()
        for source, reason in pairs {
            ["a(b"] = "Unmatched ( or \\(", ["a[b"] = "Unmatched [", ["a\0"] = "NUL",
            [("(a)"):rep(33)] = "more than 32 groups",
        } do
            local regex, message, code = core.regex(source)
            assert.is_nil(regex)
            assert.matches(reason, message, 1, true)
            assert.equal("EINVAL", code)
        end
        assert.equal(34, #{ core.regex(("(a)"):rep(32)):find(("a"):rep(32)) })
    end)

    it("knows the same letters in every locale", function()
        local before = os.setlocale()
        local known = os.setlocale "C.UTF-8" or os.setlocale "C.utf8"
        local regex = assert(core.regex "^[[:alpha:]]+$")
        local found, dot = regex:find "\xc3\xa4", core.regex "^.$":find "\xc3\xa4"
        os.setlocale(before)
        assert.is_truthy(known)
        assert.is_nil(found)
        assert.is_nil(dot)
    end)

    it("needs its arguments", function()
        local regex = assert(core.regex "a")
        assert.error_matches(function() regex:find() end, "string expected")
        assert.error_matches(function() regex:find("a", 0) end, "at least 1")
        assert.error_matches(function() core.regex() end, "string expected")
        assert.error_matches(function() regex.find({}, "a") end, "vmm.regex expected")
    end)
end)
