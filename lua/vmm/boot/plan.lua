-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a boot flow makes: the first vCPU's state and the record of what lies where in memory.
--
-- A plan is a plain table:
--   flow     "linux64" | "pvh" | "flat"
--   sregs, regs   of the first vCPU: `vcpu.sregs = plan.sregs`, then `vcpu.regs = plan.regs`
--   entry    the address of the first instruction
--   placed   array of {what=, base=, size=}, ascending by base, nothing overlapping
-- and what the flow adds. Its methods are for the flows.

local failure = require "vmm.boot.failure"
local options = require "vmm.boot.options"

local plan = {}
plan.__index = plan

-- given: the flow's options, checked here
function plan.new(flow, given)
    options.check(flow, given)
    return setmetatable({ flow = flow, placed = {} }, {
        __index = plan,
        __name = "vmm.boot.plan",
        mem = given.mem,
    })
end

-- Records that what occupies [base, base + size); fails when it lies over something else.
function plan:note(what, base, size)
    local at = #self.placed + 1
    for i, other in ipairs(self.placed) do
        if base < other.base + other.size and other.base < base + size then
            failure.raise(
                "EEXIST",
                "%s at 0x%x-0x%x lies over %s at 0x%x-0x%x",
                what,
                base,
                base + size - 1,
                other.what,
                other.base,
                other.base + other.size - 1
            )
        end
        if at > i and base < other.base then at = i end
    end
    table.insert(self.placed, at, { what = what, base = base, size = size })
end

-- Records and writes bytes to guest memory.
function plan:write(what, base, bytes)
    self:note(what, base, #bytes)
    local _, message, code = getmetatable(self).mem:write(base, bytes)
    if message then
        failure.raise(code, "%s at 0x%x: %s", what, base, message)
    end
end

return plan
