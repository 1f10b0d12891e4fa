-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Names of VMs that were given none; and README's first scenario, which gives none.

local alive = require "vmm.alive"
local names = require "vmm.scenario.names"

local function hold(name)
    return alive.add { name = name or names.free(), closed = false }
end

local function read(path)
    local file <close> = assert(io.open(path))
    return file:read "a"
end

describe("A VM without a name", function()
    it("is told from others that there are", function()
        local first, second, third = hold(), hold(), hold()
        assert.same({ "vm", "vm2", "vm3" }, { first.name, second.name, third.name })
        second.closed = true
        assert.equal("vm2", names.free())
        first.closed, third.closed = true, true
        assert.equal("vm", names.free())
    end)

    it("is told from one that was given that name", function()
        local given = hold "vm"
        assert.equal("vm2", names.free())
        given.closed = true
    end)
end)

describe("README's scenario", function()
    it("is the one of the gallery, word for word", function()
        local shown = read("README.md"):match "## Scenarios.-```lua\nlocal vmm.-\n\n(.-)```"
        local function words(text) return (text:gsub("%s+", " ")) end
        assert.is_truthy(words(read "examples/scenarios/network.lua"):find(words(shown), 1, true),
            shown)
    end)
end)
