-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The breakpoints and watchpoints that a debugger has set, by gdb's kinds.

local points = {}

local Points = {}
Points.__index = Points

-- Kinds of the packets Z and z. x86 cannot watch reads alone (Z3): gdb then asks for Z4.
local KINDS = {
    ["0"] = { detail = "swbreak:", feature = "swbreak" },
    ["1"] = { detail = "hwbreak:", feature = "hwbreak", hardware = true },
    ["2"] = { detail = "watch:%x", access = "w" },
    ["4"] = { detail = "awatch:%x", access = "rw" },
}
local LENGTHS = { [1] = true, [2] = true, [4] = true, [8] = true }

local MAX = 4096 -- that one debugger may set

function points.new(vm)
    return setmetatable({ vm = vm, set = {}, count = 0 }, Points)
end

function points.known(kind)
    return KINDS[kind] ~= nil
end

local function key_of(kind, address, len)
    return ("%s:%x:%x"):format(kind, address, KINDS[kind].access and len or 0)
end

-- Where the host's KVM delivers no breakpoints by INT3, a debug register serves.
local function make_breakpoint(vm, kind, options)
    options.hardware = kind.hardware
    local made, message, code = vm:breakpoint(options)
    if not made and code == "ENOTSUP" and not kind.hardware then
        options.hardware = true
        return vm:breakpoint(options)
    end
    return made, message, code
end

local function make_watchpoint(vm, kind, options, len)
    if not LENGTHS[len] or options.at % len ~= 0 then
        return nil, "x86 watches 1, 2, 4 or 8 aligned bytes", "EINVAL"
    end
    options.len, options.access = len, kind.access
    return vm:watchpoint(options)
end

-- Sets a point where a vCPU's page tables say that the address is; true, or nil, message, code. One
-- that is there already is no mistake.
function Points:add(kind, address, len, vcpu)
    local key = key_of(kind, address, len)
    if self.set[key] then return true end
    if self.count >= MAX then return nil, "too many breakpoints", "ENOSPC" end
    local how = KINDS[kind]
    local make = how.access and make_watchpoint or make_breakpoint
    local made, message, code = make(self.vm, how, { at = address, vcpu = vcpu }, len)
    if not made then return nil, message, code end
    self.set[key] = { made = made, how = how, address = address }
    self.count = self.count + 1
    return true
end

-- Takes a point away; one that is not there is no mistake.
function Points:remove(kind, address, len)
    local key = key_of(kind, address, len)
    local point = self.set[key]
    if not point then return end
    point.made:remove()
    self.set[key] = nil
    self.count = self.count - 1
end

function Points:clear()
    for _, point in pairs(self.set) do
        point.made:remove()
    end
    self.set, self.count = {}, 0
end

-- Is there one at the address?
function Points:has(address)
    for _, point in pairs(self.set) do
        if point.address == address then return true end
    end
    return false
end

-- What a stop reply says of a hit, if it is at one of ours and the debugger knows the word.
function Points:detail(hit, features)
    for _, point in pairs(self.set) do
        if point.made == hit.breakpoint then
            local how = point.how
            if how.feature and not features[how.feature] then return nil end
            return how.detail:format(point.address)
        end
    end
    return nil
end

return points
