-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vm:backtrace: the calls that a vCPU, or a task that does not run, is in.

local argument = require "vmm.argument"
local core = require "vmm.core"
local orc = require "vmm.inspect.orc"

local methods = core.classes["vmm.vm"]

local DEPTH = 64
local DEPTH_MAX = 1024

-- struct pt_regs: what the kernel has saved of whom it interrupted, by its names.
local PT_REGS = {
    r13 = 16, bp = 32, r10 = 56, dx = 96, di = 112, ip = 128, cs = 136, sp = 152,
}
local IRET_FRAME = PT_REGS.ip -- the part that the CPU itself pushes begins here

-- ---- a stack that is gone up ------------------------------------------------------------
-- state: ip, sp, bp; exact: ip is where execution goes on, not a return address; regs: the other
-- registers, as far as they are known, by pt_regs' names; space: the page tables.

local function word(state, address)
    local bytes = state.vm:read_virtual(address, 8, state.space)
    return bytes and ("<i8"):unpack(bytes)
end

-- The stack pointer of the caller's frame ("canonical frame address").
local function caller_sp(state, entry)
    local register, base = entry.sp_register
    if register == "sp" or register == "sp_indirect" then
        base = state.sp
    elseif register == "bp" or register == "bp_indirect" then
        base = state.bp
    else
        base = state.regs[register]
    end
    if not base then return nil end
    if register == "sp_indirect" then
        base = word(state, base)
        return base and base + entry.sp_offset
    elseif register == "bp_indirect" then
        return word(state, base + entry.sp_offset)
    end
    return base + entry.sp_offset
end

local function caller_bp(state, entry, sp)
    if entry.bp_register == "previous_sp" then return word(state, sp + entry.bp_offset) end
    if entry.bp_register == "bp" then return word(state, state.bp + entry.bp_offset) end
    return state.bp
end

-- The saved registers at `at`, all or (partial) those that the CPU has pushed.
local function interrupted(state, at, partial)
    local regs = { ip = word(state, at + PT_REGS.ip), cs = word(state, at + PT_REGS.cs),
        sp = word(state, at + PT_REGS.sp) }
    if not regs.ip or not regs.cs or not regs.sp then return false end
    if not partial then
        for _, name in ipairs { "bp", "r10", "r13", "dx", "di" } do
            regs[name] = word(state, at + PT_REGS[name])
        end
    end
    state.ip, state.sp, state.bp = regs.ip, regs.sp, regs.bp or state.bp
    state.regs, state.exact = partial and {} or regs, true
    state.user = regs.cs & 3 == 3
    state.kind = state.user and "user" or "interrupt"
    return true
end

local function called(state, entry, sp)
    local ip = word(state, sp - 8)
    local bp = ip and caller_bp(state, entry, sp)
    -- A frame lies above the one that it has called: else it would go on for ever.
    if not ip or not bp or not math.ult(state.sp, sp) then return false end
    state.ip, state.sp, state.bp = ip, sp, bp
    state.regs, state.exact, state.kind = {}, false, "call"
    return true
end

-- Go to the caller's frame; false and why where there is none.
local function step(state)
    -- A return address may lie behind the function: the call is what counts.
    local entry, sure = orc.find(state.vm, state.exact and state.ip or state.ip - 1)
    state.unsure = not sure or nil
    if entry.type == "end" then return false, "end" end
    if entry.type == "undefined" then return false, "unknown" end
    local sp = caller_sp(state, entry)
    if not sp then return false, "unknown" end
    local ok
    if entry.type == "call" then
        ok = called(state, entry, sp)
    elseif entry.type == "regs" then
        ok = interrupted(state, sp, false)
    else
        local bp = caller_bp(state, entry, sp)
        ok = interrupted(state, sp - IRET_FRAME, true)
        state.bp = bp or state.bp
    end
    return ok, not ok and "unknown" or nil
end

-- ---- where it begins --------------------------------------------------------------------

local function of_vcpu(vm, index)
    local vcpu = argument.vcpu("vm:backtrace", vm, index, 4)
    local cr3, levels, code = vcpu:address_space()
    if not cr3 then return nil, levels, code end
    local regs, sregs = vcpu.regs, vcpu.sregs
    local state = {
        vm = vm, ip = regs.rip, sp = regs.rsp, bp = regs.rbp, exact = true, kind = "call",
        regs = { r10 = regs.r10, r13 = regs.r13, dx = regs.rdx, di = regs.rdi },
        user = sregs.cs.dpl == 3,
    }
    if state.user then state.kind = "user" end
    -- The kernel's own tables have its stacks; without them the vCPU's do.
    if not vm.kernel_space then state.space = { cr3 = cr3, levels = levels } end
    return state
end

-- A task that does not run was left in __switch_to_asm, with this on its stack.
local function of_task(vm, task)
    local types, message, code = vm:types()
    if not types then return nil, message, code end
    if type(task) == "number" then
        task, message, code = vm:struct("task_struct", task)
        if not task then return nil, message, code end
    end
    local sp, frame, ip, bp
    sp, message, code = vm:fetch_integer(task, "thread.sp")
    if not sp then return nil, message, code end
    frame, message, code = vm:struct("inactive_task_frame", sp)
    if not frame then return nil, message, code end
    ip, message, code = vm:fetch_integer(frame, "ret_addr")
    if not ip then return nil, message, code end
    bp, message, code = vm:fetch_integer(frame, "bp")
    if not bp then return nil, message, code end
    return {
        vm = vm, ip = ip, bp = bp, sp = sp + types:size "inactive_task_frame",
        exact = false, kind = "call", regs = {},
    }
end

-- ---- the trace --------------------------------------------------------------------------

local Trace = {}
Trace.__index = Trace

-- As the kernel prints one.
function Trace.__tostring(self)
    local lines = { "Call Trace:" }
    for _, frame in ipairs(self) do
        local name = frame.symbol or ("0x%x"):format(frame.address)
        if frame.kind == "user" then
            name = ("user 0x%x"):format(frame.address)
        elseif frame.kind == "interrupt" then
            name = "RIP: " .. name
        end
        lines[#lines + 1] = (frame.unsure and " ? " or " ") .. name
    end
    if self.ends == "unknown" then lines[#lines + 1] = " ?" end
    return table.concat(lines, "\n")
end

local function frame_of(state)
    local frame = { address = state.ip, kind = state.kind, sp = state.sp }
    if state.user then return frame end
    frame.unsure = state.unsure
    -- A call as a function's last act returns behind its end: it is the call that is named.
    local back = state.exact and 0 or 1
    local name, offset, size, module = state.vm:locate(state.ip - back)
    if not name then return frame end
    frame.symbol = offset + back == 0 and name or ("%s+0x%x"):format(name, offset + back)
    if module then frame.symbol = ("%s [%s]"):format(frame.symbol, module) end
    frame.size = size
    return frame
end

-- vm:backtrace([vcpu_index] [, { depth = 64 }]) -> trace, the innermost frame first:
-- { { address =, symbol =, size =, sp =, kind =, unsure = }, ..., ends = }; or nil, message, code:
-- "EBUSY" while the vCPU runs. vm:backtrace(task): of a task that does not run, an object of
-- vm:struct or its address.
-- unsure: it was found by the frame pointer of a function that has no ORC entry: a guess.
-- kind: "call", "interrupt" (the frame was interrupted there), "user" (the last: what lies beyond
-- is the process's own). ends: "user", "end", "unknown" (the stack cannot be followed), "depth".
-- tostring() gives what a kernel prints.
function methods.backtrace(vm, what, options)
    -- Options alone; an object of vm:struct has a metatable.
    if type(what) == "table" and not getmetatable(what) and options == nil then
        what, options = nil, what
    end
    options = argument.options("vm:backtrace", options, { "depth" })
    local depth = options.depth == nil and DEPTH or options.depth
    argument.integer("vm:backtrace: depth", depth, 1, DEPTH_MAX)
    argument.check(what == nil or math.type(what) == "integer" or type(what) == "table",
        "vm:backtrace: of", "a vCPU's index or a task", what)
    if not vm.symbols then vm:load_symbols() end -- without, addresses have to do
    local state, message, code
    if what == nil or math.type(what) == "integer" and what >= 0 then
        state, message, code = of_vcpu(vm, what or 1)
    else
        state, message, code = of_task(vm, what)
    end
    if not state then return nil, message, code end
    local trace = setmetatable({ ends = "depth" }, Trace)
    while #trace < depth do
        trace[#trace + 1] = frame_of(state)
        if state.user then
            trace.ends = "user"
            break
        end
        local ok, why = step(state)
        if not ok then
            trace.ends = why
            break
        end
    end
    return trace
end

return methods
