-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What VM and vCPU objects can do beyond the core's mechanisms: methods of modules that are loaded
-- when one of them is first called.

local core = require "vmm.core"
local features = require "vmm.features"

local LATER = {
    { class = "vcpu", module = "vmm.registers", "reg", "registers", "dump" },
    { class = "vm", module = "vmm.inject", "nmi", "power_button" },
    { class = "vm", module = "vmm.metrics", feature = "metrics", "metrics" },
    { class = "vm", module = "vmm.trace", feature = "metrics", "trace" },
    { class = "vm", module = "vmm.debug", feature = "debug",
        "breakpoint", "watchpoint", "wait_break", "step", "debug_support" },
    { class = "vm", module = "vmm.vsock", feature = "socket", "vsock_connect", "vsock_listen" },
    { class = "vm", module = "vmm.gdb", feature = "gdb", "gdb" },
    { class = "vm", module = "vmm.inspect.virtual", "read_virtual", "write_virtual" },
    { class = "vm", module = "vmm.inspect.symbols", feature = "symbols",
        "load_symbols", "symbol", "kernel_symbol", "symbolize", "locate" },
    { class = "vm", module = "vmm.inspect.types", feature = "symbols",
        "types", "struct", "follow", "fetch", "fetch_integer", "address_of" },
    { class = "vm", module = "vmm.inspect.tasks", feature = "symbols",
        "current", "per_cpu", "tasks", "modules" },
    { class = "vm", module = "vmm.inspect.backtrace", feature = "symbols", "backtrace" },
    { class = "vm", module = "vmm.symbol_file", feature = "symbols", "write_symbols" },
    { class = "vm", module = "vmm.scenario", feature = "scenario", "boot" },
    { class = "vm", module = "vmm.scenario.commands", feature = "scenario",
        "run", "succeed", "fail", "wait_until_succeeds", "wait_until_fails",
        "try_run", "try_succeed", "try_fail", "try_wait_until_succeeds", "try_wait_until_fails" },
    { class = "vm", module = "vmm.scenario.detect", feature = "scenario",
        "allow", "check", "wait_for_failure" },
    { class = "vm", module = "vmm.scenario.background", feature = "scenario", "background" },
    { class = "vm", module = "vmm.scenario.files", feature = "scenario",
        "put", "get", "try_put", "try_get" },
    { class = "vm", module = "vmm.scenario.waits", feature = "scenario",
        "wait_for_file", "wait_for_port", "wait_for_process", "wait_for_unit",
        "try_wait_for_file", "try_wait_for_port", "try_wait_for_process", "try_wait_for_unit" },
    { class = "vm", module = "vmm.scenario.login", feature = "scenario", "login", "try_login" },
    { class = "vm", module = "vmm.inspect.disassemble", feature = "disassemble", "disassemble" },
}

-- Is replaced by the module's own.
local function loader(methods, name, module)
    return function(...)
        require(module)
        return methods[name](...)
    end
end

-- The method of a module that is not built in, or not loaded yet.
local function stand_in(later, methods, name)
    if later.feature and not features.has(later.feature) then
        return features.absent(("%s:%s"):format(later.class, name), later.feature)
    end
    return loader(methods, name, later.module)
end

for _, later in ipairs(LATER) do
    local methods = core.classes["vmm." .. later.class]
    for _, name in ipairs(later) do
        methods[name] = methods[name] or stand_in(later, methods, name)
    end
end
