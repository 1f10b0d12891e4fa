-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Values in words: readable, harmless to a terminal, and bounded.

local show = require "vmm.show"

describe("show.value", function()
    for name, case in pairs {
        ["nil"] = { nil, "nil" },
        ["a boolean"] = { true, "true" },
        ["a float"] = { 1.5, "1.5" },
        ["an integer"] = { 65536, "65536" },
        ["a string, as it is"] = { "a\n\t'b'", "a\n\t'b'" },
        ["a string without its control characters"] = { "a\27[2J\r\0", "a\\x1b[2J\\r\\x00" },
        ["no C1 control either"] = { "\xc2\x9b2Jé\xc2\xa0", "\\xc2\\x9b2Jé\xc2\xa0" },
        ["what is no UTF-8 by its bytes"] = { "a\x9b2J", "a\\x9b2J" },
        ["an empty table"] = { {}, "{}" },
        ["a list"] = { { 1, 2.5, "x" }, '{ 1, 2.5, "x" }' },
        ["keys in their order"] = { { b = 1, a = 2, [10] = 3, [true] = 4, ["x y"] = 5, 6 },
            '{ 6, [10] = 3, a = 2, b = 1, ["x y"] = 5, [true] = 4 }' },
        ["a string in a table, quoted"] = { { 'a"\\\n\27é\255' },
            '{ "a\\"\\\\\\n\\x1b\\xc3\\xa9\\xff" }' },
        ["no C1 control in a table"] = { { "\xc2\x85é" }, '{ "\\xc2\\x85é" }' },
        ["UTF-8 in a table"] = { { "é" }, '{ "é" }' },
        ["tables three deep"] = { { { { { 1 } } } }, "{ { { { ... } } } }" },
        ["what has a __tostring"] = {
            setmetatable({ 1 }, { __tostring = function() return "mine" end }), "mine" },
        ["a __tostring that raises"] = {
            setmetatable({}, { __tostring = function() error("no", 0) end }), "<table: no>" },
        ["the name of a class"] = { setmetatable({ a = 1 }, { __name = "thing" }),
            "thing { a = 1 }" },
    } do
        it("shows " .. name, function()
            assert.equal(case[2], show.value(case[1]))
        end)
    end

    it("shows large integers in hexadecimal, too, when asked to", function()
        assert.equal("{ 65535, 65536 (0x10000), -65536 (0xffffffffffff0000) }",
            show.value({ 65535, 65536, -65536 }, { hex = true }))
    end)

    it("breaks a table that does not fit a line", function()
        local wide = ("x"):rep(50)
        assert.equal(('{\n    a = "%s",\n    b = { "%s" },\n}'):format(wide, wide),
            show.value { a = wide, b = { wide } })
    end)

    it("shows a table in itself once", function()
        local t = { 1 }
        t.self = t
        assert.equal("{ 1, self = { itself } }", show.value(t))
    end)

    it("shows the same table twice where it is no cycle", function()
        local t = { 1 }
        assert.equal("{ { 1 }, { 1 } }", show.value { t, t })
    end)

    it("leaves out what is too much", function()
        local t = {}
        for i = 1, 5000 do
            t[i] = i
        end
        assert.matches("100,\n    %.%.%. 4900 more,\n}$", show.value(t))
    end)

    it("is bounded for a table of tables of tables", function()
        local word = ("x"):rep(1000)
        local function nest(depth)
            local t = {}
            for i = 1, 100 do
                t[i] = depth > 1 and nest(depth - 1) or word
            end
            return t
        end
        local text = show.value(nest(3))
        assert.is_true(#text < 17000, #text .. " bytes")
        assert.matches("%d+ bytes more$", text)
    end)

    it("does not call what a table's metatable says of its fields", function()
        local function raise()
            error "called"
        end
        assert.equal("{ a = 1 }", show.value(setmetatable({ a = 1 },
            { __index = raise, __pairs = raise, __len = raise })))
    end)
end)

describe("show.values", function()
    it("puts short ones on a line", function()
        assert.equal("1\tnil\tx", show.values(table.pack(1, nil, "x")))
    end)

    it("puts long ones on lines of their own", function()
        assert.equal("1\na\nb", show.values(table.pack(1, "a\nb")))
    end)
end)
