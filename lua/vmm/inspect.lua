-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a VM object can tell of the guest inside: its methods, each loaded at its first use.

local core = require "vmm.core"

local methods = core.classes["vmm.vm"]

local MODULES = {
    ["vmm.inspect.virtual"] = { "read_virtual", "write_virtual" },
    ["vmm.inspect.symbols"] = { "load_symbols", "symbol", "kernel_symbol", "symbolize", "locate" },
    ["vmm.inspect.types"] = { "types", "struct", "follow", "fetch", "address_of" },
    ["vmm.inspect.tasks"] = { "current", "per_cpu", "tasks", "modules" },
    ["vmm.inspect.backtrace"] = { "backtrace" },
    ["vmm.inspect.disassemble"] = { "disassemble" },
}

for module, names in pairs(MODULES) do
    for _, name in ipairs(names) do
        methods[name] = function(...)
            require(module)
            return methods[name](...)
        end
    end
end

return methods
