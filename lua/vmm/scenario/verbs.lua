-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Makes methods of a VM from what a scenario can do: each in two kinds, that raise and that return.

local core = require "vmm.core"

local methods = core.classes["vmm.vm"]

-- How check names its caller's caller to vmm.argument: the script.
local LEVEL = 4

-- verbs: NAME = { check, act }.
--   check(what, level, ...)  raises for a mistake in what was given, at that level; returns what
--                            act takes beside the VM
--   act(vm, ...)             returns a result; or nil, error object, code
-- vm:NAME raises that error, vm:try_NAME returns it.
return function(verbs)
    for name, verb in pairs(verbs) do
        local check, act = verb[1], verb[2]
        methods["try_" .. name] = function(vm, ...)
            return act(vm, check("vm:try_" .. name, LEVEL, ...))
        end
        methods[name] = function(vm, ...)
            local result, err = act(vm, check("vm:" .. name, LEVEL, ...))
            if result == nil then error(err, 2) end
            return result
        end
    end
end
