-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a script gets that gives a VM's methods what they do not take: one line, at the script's.

local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

local CASES = {
    { "vm:breakpoint {}", "vm:breakpoint: at must be an address or a symbol's name, not nil" },
    { "vm:breakpoint { at = 1, vcpu = 9 }", "vm:breakpoint: there is no vCPU 9, but 1 to 1" },
    { "vm:breakpoint { at = 1, hardware = 1 }",
        "vm:breakpoint: hardware must be a boolean, not 1" },
    { "vm:breakpoint { at = 1, hw = true }",
        'vm:breakpoint: unknown option "hw"; valid: at, hardware, vcpu' },
    { "vm:breakpoint { at = 1, 5 }", "vm:breakpoint: fn must be a function, not 5" },
    { "vm:watchpoint { at = 8, single_step = 1 }",
        "vm:watchpoint: single_step must be a boolean, not 1" },
    { "vm:wait_break(true)",
        "vm:wait_break: where must be an address or a symbol's name, not true" },
    { "vm:step { vcpu = '1' }", 'vm:step: there is no vCPU "1", but 1 to 1' },
    { "vm:read_virtual('x', 1)", 'vm:read_virtual: gva must be an integer, not "x"' },
    { "vm:read_virtual(0, -1)", "vm:read_virtual: len must be 0 to 268435456, not -1" },
    { "vm:read_virtual(0, 1, { vcpu = 2 })", "vm:read_virtual: there is no vCPU 2, but 1 to 1" },
    { "vm:read_virtual(0, 1, { cr3 = 0, levels = 1 })",
        "vm:read_virtual: levels must be 0 (no paging) or 2 to 5, not 1" },
    { "vm:write_virtual(0, 5)", "vm:write_virtual: bytes must be a string, not 5" },
    { "vm:backtrace('init')", 'vm:backtrace: of must be a vCPU\'s index or a task, not "init"' },
    { "vm:backtrace { depth = 0 }", "vm:backtrace: depth must be 1 to 1024, not 0" },
    { "vm:backtrace(1, { depth = 'x' })", 'vm:backtrace: depth must be an integer, not "x"' },
    { "vm:disassemble(0, 1, { bits = 17 })", "vm:disassemble: bits must be 64, 32 or 16, not 17" },
    { "vm:kernel_symbol(5)", "vm:kernel_symbol: name must be a string, not 5" },
    { "vm:locate 'x'", 'vm:locate: address must be an integer, not "x"' },
    { "vm:load_symbols { slide = 'x' }", 'vm:load_symbols: slide must be an integer, not "x"' },
    { "vm:current(7)", "vm:current: there is no vCPU 7, but 1 to 1" },
    { "vm:nmi(9)", "vm:nmi: there is no vCPU 9, but 1 to 1" },
    { "vm:pause 'x'", 'vm:pause: timeout must be a number of seconds, not "x"' },
    { "vm:gdb {}", "vm:gdb: give one of: unix, tcp" },
    { "vm:gdb { tcp = 65536 }", "vm:gdb: tcp must be 0 to 65535, not 65536" },
    { "vmm.listen()", "vmm.listen: give one of: unix, tcp" },
    { "vmm.listen { unix = 5 }", "vmm.listen: unix must be a string, not 5" },
    { "vmm.connect { tcp = 1, timeout = false }",
        "vmm.connect: timeout must be a number of seconds, not false" },
    { "vmm.metrics.top(5)", "vmm.metrics.top: now must be a table, not 5" },
    { "vm.vcpus[1]:reg('rip', 'x')", 'vcpu:reg: rip takes an integer, not "x"' },
}

describe("A mistake", function()
    local vm

    setup(function()
        vm = assert(vmm.vm {
            memory = { size_mib = 16 }, kernel = { path = tiny.path "hello" }, console = "capture",
        })
    end)
    teardown(function() vm:close() end)

    for _, case in ipairs(CASES) do
        it("is told at its line: " .. case[1], function()
            local source = "local vm, vmm = ...\n" .. case[1] .. "\nreturn 1"
            local chunk = assert(load(source, "=script"))
            assert.same({ false, "script:2: " .. case[2] }, { pcall(chunk, vm, vmm) })
        end)
    end

    it("is told of a trace's vCPU", function()
        local trace <close> = assert(vm:trace {})
        assert.error_matches(function() trace:events(9) end,
            "trace:events: vcpu must be 1 to 1, not 9", 1, true)
    end)

    it("is to serve a VM that is closed to gdb", function()
        local closed = assert(vmm.vm {
            memory = { size_mib = 16 }, kernel = { path = tiny.path "hello" }, console = "capture",
        })
        closed:close()
        assert.error_matches(function() closed:gdb { tcp = 0 } end, "vm:gdb: the VM is closed")
    end)
end)
