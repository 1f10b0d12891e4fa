-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a VM is at, in words, for errors: its state, where its vCPUs are, what they have exited for,
-- its last console lines. Nothing here raises, waits without end, or lets other tasks run.

local core = require "vmm.core"
local sched = require "vmm.sched"
local state = require "vmm.state"

local explain = {}

local PAUSE_SECONDS = 1 -- for vCPUs to come out of the guest, times VMM_TIMEOUT_SCALE
local EXITS_SHOWN = 6 -- reasons
local TRACES_SHOWN = 8 -- vCPUs
local DEPTH = 32 -- calls
local NAMES = 64 -- of addresses, in one text

-- ---- vCPUs that stand still -------------------------------------------------------------

local function some_run(vm)
    for _, vcpu in ipairs(vm.vcpus or {}) do
        if vcpu.state == "running" or vcpu.state == "stopping" then return true end
    end
    return false
end

-- Calls fn(vm) while the VM's vCPUs stand still, as far as they can be had to; what it raises is
-- nobody's problem.
local function look(vm, fn)
    if vm.closed or core.in_handler() then return nil end
    local pausing = some_run(vm)
    if pausing then pcall(vm.pause, vm, sched.scaled(PAUSE_SECONDS)) end
    local ok, result = pcall(fn, vm)
    if pausing and not vm.closed then pcall(vm.resume, vm) end
    return ok and result or nil
end

-- Are there symbols? Those of a file that belongs to the guest come first.
local function have_symbols(vm)
    local prepared = vm.scenario and vm.scenario.prepared
    local path = prepared and prepared.symbols
    if not vm.symbols and path then pcall(vm.load_symbols, vm, { path = path }) end
    if not vm.symbols then pcall(vm.load_symbols, vm) end
    return vm.symbols ~= nil
end

-- A function that names an address of the kernel's, or gives nil; what is asked of it is bounded.
function explain.namer(vm)
    local left, known = NAMES, nil
    return function(address)
        if known == nil then known = not vm.closed and have_symbols(vm) end
        if not known or left == 0 then return nil end
        left = left - 1
        local ok, name = pcall(vm.symbolize, vm, address)
        return ok and name or nil
    end
end

local function where(vcpu, name_of)
    if vcpu.state == "none" then return nil end
    if vcpu.state == "running" or vcpu.state == "stopping" then return "does not stop" end
    local ok, at, user = pcall(function()
        local cs = vcpu.sregs.cs
        return cs.base + vcpu.regs.rip, cs.dpl == 3
    end)
    if not ok then return nil end
    if user then return ("at user 0x%x"):format(at) end
    return "at " .. (name_of(at) or ("0x%x"):format(at))
end

-- { "vCPU 1 at do_idle+0x1e2", "vCPUs 2, 3 at ..." }: those at the same place are one text.
local function places(vm)
    local name_of = explain.namer(vm)
    local order, at = {}, {}
    for index, vcpu in ipairs(vm.vcpus or {}) do
        local text = where(vcpu, name_of)
        if text and not at[text] then
            at[text] = {}
            order[#order + 1] = text
        end
        if text then table.insert(at[text], index) end
    end
    for i, text in ipairs(order) do
        order[i] = ("vCPU%s %s %s"):format(#at[text] > 1 and "s" or "",
            table.concat(at[text], ", "), text)
    end
    return order
end

local function traces(vm)
    if not have_symbols(vm) then return nil end
    local texts = {}
    for index = 1, math.min(#(vm.vcpus or {}), TRACES_SHOWN) do
        local ok, trace = pcall(vm.backtrace, vm, index, { depth = DEPTH })
        if ok and trace then texts[#texts + 1] = ("vCPU %d: %s"):format(index, tostring(trace)) end
    end
    return texts[1] and table.concat(texts, "\n")
end

-- The calls that the vCPUs are in, in words; nil where they cannot be had.
function explain.backtrace(vm)
    return look(vm, traces)
end

-- The calls that a process which does not run is in, in words; nil where they cannot be had.
function explain.task_backtrace(vm, pid)
    return look(vm, function()
        for _, task in ipairs(have_symbols(vm) and vm:tasks() or {}) do
            if task.pid == pid then
                local trace = vm:backtrace(task, { depth = DEPTH })
                return trace and ("task %d: %s"):format(pid, tostring(trace))
            end
        end
    end)
end

-- Puts names beside the addresses in a line of the kernel's that has none.
-- name_of: what explain.namer gives
function explain.symbolize(line, name_of)
    if line:find("+0x", 1, true) then return line end
    return (line:gsub("0x(%x%x%x%x%x%x%x%x%x+)", function(digits)
        local address = math.tointeger(tonumber("0x" .. digits))
        local name = address and name_of(address)
        return name and ("0x%s (%s)"):format(digits, name) or nil
    end))
end

-- ---- exits ------------------------------------------------------------------------------

local function counts_of(vm)
    local ok, counts = pcall(vm.exit_counts, vm)
    return ok and counts or {}
end

-- What a later explain.state compares with.
function explain.mark(vm)
    return { counts = counts_of(vm) }
end

local function exits(vm, mark)
    local list = {}
    for reason, count in pairs(counts_of(vm)) do
        count = count - (mark.counts[reason] or 0)
        if count > 0 then list[#list + 1] = { reason = reason, count = count } end
    end
    table.sort(list, function(a, b)
        if a.count ~= b.count then return a.count > b.count end
        return a.reason < b.reason
    end)
    local texts = {}
    for i = 1, math.min(#list, EXITS_SHOWN) do
        texts[i] = ("%d %s"):format(list[i].count, list[i].reason)
    end
    return "exits meanwhile: " .. (texts[1] and table.concat(texts, ", ") or "none")
end

-- ---- all of it --------------------------------------------------------------------------

-- A VM's state, where its vCPUs are (they are paused for that), the exits since explain.mark made
-- the mark, and the console's last lines.
function explain.state(vm, mark)
    local parts = { "the VM is " .. state.words(vm) }
    if not vm.closed then
        local list = look(vm, places) or {}
        table.move(list, 1, #list, #parts + 1, parts)
        if mark then parts[#parts + 1] = exits(vm, mark) end
    end
    parts[#parts + 1] = state.last_lines(vm.console)
    return table.concat(parts, "; ")
end

return explain
