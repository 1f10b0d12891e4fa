-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- JSON: what is written, what is read, and what is refused.

local json = require "vmm.json"

describe("json.encode", function()
    it("writes keys in order and arrays in theirs", function()
        assert.equal('{"a":[1,2.5,true],"b":{"c":"d"}}',
            json.encode { b = { c = "d" }, a = { 1, 2.5, true } })
    end)

    it("tells an empty array from an empty object", function()
        assert.equal('{"list":[],"object":{}}',
            json.encode { list = json.array {}, object = {} })
    end)

    it("escapes what a string may not hold", function()
        assert.equal([["\"\\\n\t\u0001\u007f/"]], json.encode '"\\\n\t\1\127/')
    end)

    it("keeps UTF-8 and writes other bytes as characters of their number", function()
        assert.equal('"\u{e9}"', json.encode "\u{e9}")
        assert.equal([["\u00ffx"]], json.encode "\xffx")
    end)

    it("writes numbers that are read as the same", function()
        for _, n in ipairs { 0, -1, math.maxinteger, math.mininteger, 0.1, 1e300, 5e-324, 3.0,
            1 / 3, 123456789.123456789 } do
            local again = assert(json.decode(json.encode(n)))
            assert.equal(n, again)
            assert.equal(math.type(n), math.type(again))
        end
    end)

    it("raises for what JSON does not have", function()
        local loop = {}
        loop[1] = loop
        for _, wrong in ipairs { 1 / 0, -1 / 0, 0 / 0, print, { [true] = 1 }, { x = { [2] = 1 } },
            loop } do
            assert.has_error(function()
                json.encode(wrong)
            end)
        end
    end)
end)

describe("json.decode", function()
    it("reads all kinds of values", function()
        local value = assert(json.decode
            ' { "a" : [ 1 , -2.5e1, true, false, null, {}, [] ],\n"b":"" } ')
        assert.same({ 1, -25.0, true, false, json.null, {}, {} }, value.a)
        assert.equal("", value.b)
        assert.equal("integer", math.type(value.a[1]))
    end)

    it("reads escapes and surrogate pairs", function()
        assert.equal('"\\/\b\f\n\r\tA\u{20ac}\u{1f600}',
            json.decode [["\"\\\/\b\f\n\r\t\u0041\u20AC\ud83d\ude00"]])
    end)

    for _, wrong in ipairs {
        "", " ", "{", "[1", "[1,]", "[,1]", '{"a"}', '{"a":}', '{"a":1,}', "{a:1}", '"abc',
        '"a\nb"', [["\x"]], [["\u12"]], [["\ud800"]], [["\udc00"]], "01", "1.", ".5", "+1", "1e",
        "nul", "True", "1 2", "[1] x", "NaN", "'a'", ("["):rep(200),
    } do
        it("refuses " .. wrong:sub(1, 20), function()
            local value, message, code = json.decode(wrong)
            assert.is_nil(value)
            assert.truthy(message:find("JSON at byte %d+: "), message)
            assert.equal("EINVAL", code)
        end)
    end
end)
