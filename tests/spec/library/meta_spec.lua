-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- lua/meta, the reference of the API, has what there is.

local complete = require "vmm.prompt.complete"
local core = require "vmm.core"
local process = require "vmm.process"
require "vmm"

-- The text of all its files.
local function reference()
    local texts = {}
    for path in process.capture({ "sh", "-c", "ls lua/meta/*.lua" }):gmatch "[^\n]+" do
        local file <close> = assert(io.open(path))
        texts[#texts + 1] = file:read "a"
    end
    return "\n" .. table.concat(texts, "\n")
end

describe("The reference of the API", function()
    local text = reference()

    for _, object in ipairs { "vm", "vcpu", "memory" } do
        it("has each method of a " .. object .. " once, and none that is not there", function()
            local methods, found = core.classes["vmm." .. object], {}
            for name in text:gmatch("\nfunction " .. object .. "[:.]([%w_]+)") do
                assert.is_nil(found[name], name)
                assert.is_truthy(methods[name], name)
                found[name] = true
            end
            for name in pairs(methods) do
                local inner = object == "vm" and complete.INNER[name] or name:find "^_"
                assert.equal(not inner, found[name] == true, name)
            end
        end)
    end

    it("has all events that vm:on knows", function()
        local _, message = pcall(core.classes["vmm.vm"].on, {}, "?", print)
        local events = text:match "\n%-%-%-@alias vmm%.event(\n.-)\n%-%-%-@"
            .. text:match "\n%-%-%-@alias vmm%.reason([^\n]*)"
        local count = 0
        for event in message:match("valid: (.*)$"):gmatch "[%w_]+" do
            assert.is_truthy(events:find('"' .. event .. '"'), event)
            count = count + 1
        end
        assert.is_true(count > 10, message)
    end)
end)
