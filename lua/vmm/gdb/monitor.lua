-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- gdb's "monitor" commands: what a virtual machine knows beyond registers and memory.

local monitor = {}

local MP_STATE_HALTED = 3 -- KVM_MP_STATE_HALTED
local OUTPUT_BYTES = 1 << 16 -- of one command

local CONTROL = { "cr0", "cr2", "cr3", "cr4", "cr8", "efer", "apic_base" }
local SEGMENTS = { "cs", "ss", "ds", "es", "fs", "gs", "tr", "ldt" }

-- What a vCPU is doing, in words, as "info threads" shows them.
function monitor.vcpu_words(vm, index)
    local vcpu = vm.vcpus[index]
    local state = ("<I4"):unpack(vcpu:get_state "mp_state")
    return ("vCPU %d%s"):format(vcpu.id, state == MP_STATE_HALTED and ", halted" or "")
end

local commands = {}

function commands.help(session)
    return table.concat {
        "help           this\n",
        "regs           control and segment registers of the vCPU\n",
        "backtrace      calls in the kernel, by its own tables (gdb has none)\n",
        "exits          how often each kind of exit was made\n",
        "support        which kinds of breakpoints the host's KVM delivers\n",
        "symbols        write the symbols of the guest's kernel to the file for them",
        session.options.symbols and ", " .. session.options.symbols .. "\n"
            or ": none is given (vm:gdb{ symbols = FILE })\n",
        "lua EXPR       evaluate Lua, with vm and vcpu",
        session.options.lua and "\n" or ": not allowed here (vm:gdb{ lua = true })\n",
    }
end

function commands.regs(session)
    local sregs, lines = session.vm.vcpus[session.thread].sregs, {}
    for _, name in ipairs(CONTROL) do
        lines[#lines + 1] = ("%-9s 0x%x\n"):format(name, sregs[name])
    end
    for _, name in ipairs(SEGMENTS) do
        local segment = sregs[name]
        lines[#lines + 1] = ("%-9s 0x%04x base 0x%x limit 0x%x type %d dpl %d%s\n"):format(name,
            segment.selector, segment.base, segment.limit, segment.type, segment.dpl,
            segment.present == 1 and "" or " not present")
    end
    for _, name in ipairs { "gdt", "idt" } do
        lines[#lines + 1] = ("%-9s base 0x%x limit 0x%x\n"):format(name, sregs[name].base,
            sregs[name].limit)
    end
    return table.concat(lines)
end

-- "name  value" lines of a table, by name.
local function lines_of(values, format)
    local lines = {}
    for name, value in pairs(values) do
        lines[#lines + 1] = format:format(name, tostring(value))
    end
    table.sort(lines)
    return table.concat(lines)
end

function commands.exits(session)
    return lines_of(session.vm:exit_counts(), "%-16s %s\n")
end

function commands.support(session)
    local support = session.vm:debug_support()
    local shown = {}
    for name, value in pairs(support) do
        if name ~= "reasons" then
            local reason = (support.reasons or {})[name]
            shown[name] = tostring(value) .. (reason and ": " .. reason or "")
        end
    end
    return lines_of(shown, "%-22s %s\n")
end

function commands.backtrace(session)
    local trace, message = session.vm:backtrace(session.thread)
    return (trace and tostring(trace) or message) .. "\n"
end

-- It may take a second or two, which gdb waits for no other answer.
function commands.symbols(session)
    local path = session.options.symbols
    if not path then return "no file is given for them: vm:gdb{ symbols = FILE }\n" end
    local ok, message = session.vm:write_symbols(path)
    if not ok then return "the guest's symbols are not known: " .. message .. "\n" end
    return ("the guest's symbols are in %s\n"):format(path)
end

-- A debugger may write any memory of the guest; Lua is the whole of the host's user.
function commands.lua(session, source)
    if not session.options.lua then
        return "Lua is not allowed here; vm:gdb{ lua = true } allows it\n"
    end
    local environment = setmetatable({
        vm = session.vm,
        vcpu = session.vm.vcpus[session.thread],
    }, { __index = _G })
    local chunk, message = load("return " .. source, "=monitor", "t", environment)
    if not chunk then
        chunk, message = load(source, "=monitor", "t", environment)
    end
    if not chunk then return message .. "\n" end
    local results = table.pack(pcall(chunk))
    for i = 2, results.n do
        results[i] = tostring(results[i])
    end
    return table.concat(results, "\t", 2, results.n) .. (results.n > 1 and "\n" or "")
end

-- Runs a line; what is to be shown.
function monitor.run(session, line)
    local name, rest = line:match "^%s*(%S*)%s*(.-)%s*$"
    local command = commands[name == "" and "help" or name]
    if not command then
        return ("there is no monitor command %q; monitor help lists them\n"):format(
            name:sub(1, 40))
    end
    return command(session, rest):sub(1, OUTPUT_BYTES)
end

return monitor
