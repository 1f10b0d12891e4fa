-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The live view of a VM: one frame of text from two tables of metrics.

local argument = require "vmm.argument"

local top = {}

local ROWS = 12 -- of reasons, and of accesses, at the most
local VCPUS = 16
local WIDTH = 100 -- bytes a line, at the most

local UNITS = { "", "k", "M", "G", "T" }

-- 1234567 -> "1.23M"
local function short(value)
    local unit = 1
    while math.abs(value) >= 1000 and UNITS[unit + 1] do
        value, unit = value / 1000, unit + 1
    end
    if unit == 1 and value == math.floor(value) then return ("%d"):format(value) end
    return ("%.3g%s"):format(value, UNITS[unit])
end

local function bytes(value)
    return ("%.1f MiB"):format(value / (1 << 20))
end

local function microseconds(seconds)
    return ("%.1f"):format(seconds * 1e6)
end

local function percent(share)
    return ("%.1f"):format(100 * math.max(0, share))
end

local NOTHING = { count = 0, sum = 0.0, max = 0.0, buckets = {} }

-- What a histogram has more than it had before.
local function difference(now, before)
    before = before or NOTHING
    local had, buckets = {}, {}
    for _, bucket in ipairs(before.buckets) do
        had[bucket[1]] = bucket[2]
    end
    for _, bucket in ipairs(now.buckets) do
        local more = bucket[2] - (had[bucket[1]] or 0)
        if more > 0 then buckets[#buckets + 1] = { bucket[1], more } end
    end
    return { count = now.count - before.count, sum = now.sum - before.sum, max = now.max,
        buckets = buckets }
end

local function p99(histogram)
    local seen = 0
    for _, bucket in ipairs(histogram.buckets) do
        seen = seen + bucket[2]
        if seen >= 0.99 * histogram.count then return math.min(bucket[1], histogram.max) end
    end
    return 0
end

-- Adds b to a.
local function add(a, b)
    local counts = {}
    for _, list in ipairs { a.buckets, b.buckets } do
        for _, bucket in ipairs(list) do
            counts[bucket[1]] = (counts[bucket[1]] or 0) + bucket[2]
        end
    end
    local buckets = {}
    for bound, count in pairs(counts) do
        buckets[#buckets + 1] = { bound, count }
    end
    table.sort(buckets, function(x, y)
        return x[1] < y[1]
    end)
    return { count = a.count + b.count, sum = a.sum + b.sum, max = math.max(a.max, b.max),
        buckets = buckets }
end

-- ---- tables -----------------------------------------------------------------------------

-- rows: arrays of texts, the first the heading; the first column is on the left, all others to
-- the right.
local function layout(rows, lines)
    local widths = {}
    for _, row in ipairs(rows) do
        for i, cell in ipairs(row) do
            widths[i] = math.max(widths[i] or 0, #cell)
        end
    end
    for _, row in ipairs(rows) do
        local parts = {}
        for i, cell in ipairs(row) do
            local gap = (" "):rep(widths[i] - #cell)
            parts[i] = i == 1 and cell .. gap or gap .. cell
        end
        lines[#lines + 1] = table.concat(parts, "  "):sub(1, WIDTH)
    end
    lines[#lines + 1] = ""
end

-- Entries by name with the largest value of field first; the first ROWS of them.
local function ranked(entries, field)
    local list = {}
    for _, entry in pairs(entries) do
        if entry[field] > 0 then list[#list + 1] = entry end
    end
    table.sort(list, function(a, b)
        if a[field] ~= b[field] then return a[field] > b[field] end
        return a.name < b.name
    end)
    return table.move(list, 1, ROWS, 1, {}), math.max(0, #list - ROWS)
end

local function sum(of)
    local total = 0
    for _, value in pairs(of) do
        total = total + value
    end
    return total
end

local function handling_of(vcpu)
    local total = 0
    for _, histogram in pairs(vcpu and vcpu.handling or {}) do
        total = total + histogram.sum
    end
    return total
end

local EMPTY_VCPU = {
    cpu = 0, kicks = 0, pauses = 0, exits = {}, handling = {}, accesses = {},
    in_guest = NOTHING, other_accesses = NOTHING,
}

local function vcpu_before(before, i)
    return before and before.vcpus[i] or EMPTY_VCPU
end

-- CPU time goes to the guest (and KVM) or to the handling of exits.
local function vcpu_rows(now, before, seconds)
    local rows = { { "vcpu", "exits/s", "cpu %", "guest %", "host %", "kicks/s", "pauses" } }
    for i, vcpu in ipairs(now.vcpus) do
        if i > VCPUS then
            rows[#rows + 1] = { ("and %d more"):format(#now.vcpus - VCPUS) }
            break
        end
        local was = vcpu_before(before, i)
        local cpu = (vcpu.cpu - was.cpu) / seconds
        local host = (handling_of(vcpu) - handling_of(was)) / seconds
        rows[#rows + 1] = { tostring(vcpu.id),
            short((sum(vcpu.exits) - sum(was.exits)) / seconds), percent(cpu),
            percent(cpu - host), percent(host), short((vcpu.kicks - was.kicks) / seconds),
            tostring(vcpu.pauses) }
    end
    return rows
end

local function collect(into, name, count, histogram, moved)
    local entry = into[name] or { name = name, count = 0, histogram = NOTHING, moved = 0 }
    into[name] = entry
    entry.count = entry.count + count
    entry.moved = entry.moved + (moved or 0)
    entry.histogram = add(entry.histogram, histogram)
end

local function times(entry, seconds)
    local histogram = entry.histogram
    if histogram.count == 0 then return "-", "-", "-", "-" end
    return percent(histogram.sum / seconds), microseconds(histogram.sum / histogram.count),
        microseconds(p99(histogram)), microseconds(histogram.max)
end

local function reason_rows(now, before, seconds)
    local reasons = {}
    for i, vcpu in ipairs(now.vcpus) do
        local was = vcpu_before(before, i)
        for name, count in pairs(vcpu.exits) do
            collect(reasons, name, count - (was.exits[name] or 0),
                difference(vcpu.handling[name] or NOTHING, was.handling[name]))
        end
    end
    local rows = { { "exit", "exits/s", "host %", "mean us", "p99 us", "max us" } }
    for _, entry in ipairs((ranked(reasons, "count"))) do
        rows[#rows + 1] = { entry.name, short(entry.count / seconds), times(entry, seconds) }
    end
    return rows
end

local function access_name(access)
    return ("%s %s 0x%x/%d%s"):format(access.kind, access.direction, access.address, access.size,
        access.device and " " .. access.device:gsub("[%c\127-\255]", "?") or "")
end

local function accesses_of(now, before)
    local accesses = {}
    for i, vcpu in ipairs(now.vcpus) do
        local was, had = vcpu_before(before, i), {}
        for n, access in ipairs(was.accesses) do
            had[n] = access -- their order does not change
        end
        for n, access in ipairs(vcpu.accesses) do
            local old = had[n]
            local more = difference(access.handling, old and old.handling)
            collect(accesses, access_name(access), more.count, more,
                access.bytes - (old and old.bytes or 0))
        end
        local others = difference(vcpu.other_accesses, was.other_accesses)
        collect(accesses, "(others)", others.count, others)
    end
    return accesses
end

local function access_rows(now, before, seconds)
    local rows = { { "access", "exits/s", "host %", "mean us", "p99 us", "max us", "bytes/s" } }
    local list, more = ranked(accesses_of(now, before), "count")
    for _, entry in ipairs(list) do
        local share, mean, high, max = times(entry, seconds)
        rows[#rows + 1] = { entry.name:sub(1, 48), short(entry.count / seconds), share, mean,
            high, max, short(entry.moved / seconds) }
    end
    if more > 0 then rows[#rows + 1] = { ("and %d more"):format(more) } end
    return rows
end

-- ---- the frame --------------------------------------------------------------------------

local function head(now, before, seconds)
    local function rate(of, name)
        return short((now[of][name] - (before and before[of][name] or 0)) / seconds)
    end
    local ran = now.lua_handlers.ran - (before and before.lua_handlers.ran or 0)
    return {
        ("%s: up %.1f s, %d vCPU%s, guest memory %s, resident %s%s"):format(now.vm, now.uptime,
            #now.vcpus, #now.vcpus == 1 and "" or "s", bytes(now.memory_bytes),
            bytes(now.resident_bytes),
            now.stopped and ", ended: " .. now.stopped.reason or ""),
        ("console out %s B/s, in %s B/s; Lua handlers %s/s, %s %%%s"):format(
            rate("console", "output_bytes"), rate("console", "input_bytes"),
            rate("lua_handlers", "calls"), percent(ran / seconds),
            now.measuring and "" or "; times are not measured"),
        "",
    }
end

-- top.frame(now [, before]) -> text: what happened between two tables of vm:metrics() of one VM, by
-- the second; without the earlier one, since the start.
function top.frame(now, before)
    argument.type("vmm.metrics.top: now", now, "table")
    local seconds = before and now.time - before.time or now.uptime
    seconds = seconds > 0 and seconds or 1
    local lines = head(now, before, seconds)
    layout(vcpu_rows(now, before, seconds), lines)
    layout(reason_rows(now, before, seconds), lines)
    local accesses = access_rows(now, before, seconds)
    if accesses[2] then layout(accesses, lines) end
    lines[#lines] = nil
    return table.concat(lines, "\n") .. "\n"
end

return top
