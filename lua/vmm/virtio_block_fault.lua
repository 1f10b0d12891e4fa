-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- disk:fault: requests of a guest that are refused or answered late, by a rule or by a function.

local argument = require "vmm.argument"
local core = require "vmm.core"
local sched = require "vmm.sched"
local text = require "vmm.text"

local faults = {}

faults.PENDING = 2 -- of core.virtio_block's on_pending

local NAMES = { "op", "sector", "nth", "times", "status", "delay_ms" }
local VERDICT = { "status", "delay_ms" }
local OPS = { "read", "write", "flush", "discard", "write_zeroes" }
local STATUSES = { "ioerr", "unsupp" }

-- A guest may ask faster than functions answer: the script's other events have their turn.
local ANSWERS_AT_ONCE = 256

-- ---- what is given ---------------------------------------------------------------------------

local function one_of(what, value, list, level)
    for _, name in ipairs(list) do
        if value == name then return value end
    end
    error(("%s: %s%s valid: %s"):format(what, text.show(value), text.suggest(value, list),
        table.concat(list, ", ")), level)
end

local function check_delay(what, delay_ms, level)
    if delay_ms == nil then return 0 end
    argument.check(type(delay_ms) == "number" and delay_ms >= 0 and delay_ms <= 1e9,
        what .. ": delay_ms", "0 to 1e9 milliseconds", delay_ms, level + 1)
    return math.floor(delay_ms * 1000000)
end

local function check_status(what, status, level)
    return status and one_of(what .. ": status", status, STATUSES, level + 1)
end

local function check_ops(op)
    if op == nil then return nil end
    local list = type(op) == "table" and op or { op }
    for _, name in ipairs(list) do
        one_of("disk:fault: op", name, OPS, 5)
    end
    argument.check(#list > 0, "disk:fault: op", "a name or a list of names", op, 5)
    return list
end

local function check_sectors(sector)
    if sector == nil then return nil end
    local first, last = sector, sector
    if type(sector) == "table" then
        first, last = sector[1], sector[2]
    end
    argument.check(math.type(first) == "integer" and math.type(last) == "integer" and first >= 0
        and first <= last, "disk:fault: sector", "{ first, last }", sector, 5)
    return first, last
end

-- How many requests from the nth on; without both, all.
local function check_times(options)
    local nth, times = options.nth, options.times
    if nth then argument.integer("disk:fault: nth", nth, 1, math.maxinteger, 5) end
    if times then argument.integer("disk:fault: times", times, 1, math.maxinteger, 5) end
    return nth, times or nth and 1
end

-- ---- faults ----------------------------------------------------------------------------------

local Fault = { __name = "vmm.fault" }

-- What C has counted for a rule; for a function, it is counted here.
local function count(fault)
    if fault.id and not fault.removed and not fault.disk.vm.closed then
        fault.matched, fault.hit = fault.disk:block_fault_counts(fault.id)
    end
end

--- Ends it; idempotent.  What it delays goes on.
function Fault:remove()
    if self.removed then return end
    count(self)
    self.removed = true
    local disk = self.disk
    if disk.vm.closed then return end
    if self.id then
        disk:block_fault_remove(self.id)
        return
    end
    local rest = {}
    for _, fault in ipairs(disk.predicates) do
        if fault ~= self then rest[#rest + 1] = fault end
    end
    disk.predicates = rest
    disk:block_ask(#rest > 0)
end

Fault.__close = Fault.remove

function Fault:__index(key)
    if key == "matches" or key == "hits" then
        count(self)
        return rawget(self, key == "hits" and "hit" or "matched")
    end
    return Fault[key]
end

function Fault:__tostring()
    return ("vmm.fault: %d hits%s"):format(self.hits, self.removed and ", removed" or "")
end

local function add_rule(disk, options)
    argument.options("disk:fault", options, NAMES, 4)
    local ops, first, last = check_ops(options.op), check_sectors(options.sector)
    local nth, times = check_times(options)
    local status = check_status("disk:fault", options.status, 4)
    local delay_ns = check_delay("disk:fault", options.delay_ms, 4)
    return disk:block_fault(ops, first, last, nth, times, status, delay_ns)
end

--- disk:fault{ op =, sector =, nth =, times =, status =, delay_ms = } or disk:fault(function(op,
-- sector, sectors)) -> fault with :remove(), .matches and .hits; or nil, message, code.
core.classes["vmm.virtio"].fault = function(disk, what)
    if disk.vm and disk.vm.closed then error("disk:fault: the VM is closed", 2) end
    local fault = setmetatable({ disk = disk, matched = 0, hit = 0, removed = false }, Fault)
    if type(what) == "table" and not (getmetatable(what) or {}).__call then
        local message, code
        fault.id, message, code = add_rule(disk, what)
        if not fault.id then return nil, message, code end
        return fault
    end
    fault.fn = argument.callable("disk:fault: fault", what)
    disk.predicates = table.move(disk.predicates or {}, 1, #(disk.predicates or {}), 1, {})
    table.insert(disk.predicates, fault)
    disk:block_ask(true)
    return fault
end

-- ---- questions -------------------------------------------------------------------------------

-- What a function says of a request: status or nil, delay in ns.
local function judge(fault, ...)
    fault.matched = fault.matched + 1
    local verdict = fault.fn(...)
    if not verdict then return nil end
    local what = "disk:fault: the function's result"
    argument.options(what, argument.type(what, verdict, "table"), VERDICT)
    local answer = {
        status = check_status(what, verdict.status, 1),
        delay_ns = check_delay(what, verdict.delay_ms, 1),
    }
    if answer.status or answer.delay_ns > 0 then fault.hit = fault.hit + 1 end
    return answer
end

-- The oldest status and the longest delay of all functions; their errors, which let it pass.
local function ask_all(disk, ...)
    local status, delay_ns, errors = nil, 0, {}
    for _, fault in ipairs(disk.predicates or {}) do
        local ok, answer = pcall(sched.call, judge, fault, ...)
        if ok and answer then
            status = status or answer.status
            delay_ns = math.max(delay_ns, answer.delay_ns)
        elseif not ok then
            errors[#errors + 1] = answer
        end
    end
    return status, delay_ns, errors
end

--- Has the functions decide about requests that wait for it; on the script's thread.
function faults.answer(disk)
    local errors = {}
    for _ = 1, ANSWERS_AT_ONCE do
        if disk.vm.closed or errors[1] then break end
        local id, op, sector, sectors = disk:block_question()
        if not id then return end
        local status, delay_ns
        status, delay_ns, errors = ask_all(disk, op, sector, sectors)
        if not disk.vm.closed then disk:block_decide(id, status, delay_ns) end
    end
    if not disk.vm.closed then
        disk:block_ask(#disk.predicates > 0) -- tells of those that are left
    end
    if errors[1] then error(errors[1], 0) end
end

return faults
