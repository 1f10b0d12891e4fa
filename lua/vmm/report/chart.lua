-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Charts of a VM: how its guest booted (phases, initcalls, moments), and what it did all the time
-- (exits a second, memory). What they show is there as a table as well.

local clean = require "vmm.report.clean"
local svg = require "vmm.report.svg"

local xml = clean.xml

local ROWS, LISTED = 14, 50 -- initcalls drawn, and listed in the table
local MARKS = 12

-- When the VM was started, in seconds since 1970: its samples know, else its boot does, else its
-- console, whose lines may have been recorded long after they came.
local function epoch_of(vm, more)
    if vm.epoch then return vm.epoch end
    for _, step in ipairs(more.steps) do
        if step.kind == "boot" and step.vm == vm.name and step.time then return step.time end
    end
    return vm.boot.epoch
end

-- Moments of the boot, { t, words }: the ends of the step "boot" and of the steps in it; and when
-- it was ready (nil: never).
local function moments_of(vm, more)
    local epoch, list, ready = epoch_of(vm, more), {}, nil
    if vm.boot.first then list[1] = { t = vm.boot.first, words = "first output" } end
    for _, step in ipairs(more.steps) do
        if step.kind == "boot" and step.vm == vm.name and epoch and step.time and step.duration then
            for _, part in ipairs(step.children) do
                if part.time and part.duration and #list < MARKS then
                    local head = clean.head(clean.line(part.text), 40)
                    table.insert(list, { t = part.time + part.duration - epoch, words = head })
                end
            end
            local t = step.time + step.duration - epoch
            if step.ok ~= false then ready = ready or t end
            table.insert(list, { t = t, bad = step.ok == false,
                words = step.ok == false and "gave up" or "ready" })
        end
    end
    return list, ready
end

-- Exits a second between samples, and memory in MiB at each.
local function curves_of(samples, to)
    local rates, memory = {}, {}
    for i, sample in ipairs(samples) do
        local before = samples[i - 1]
        if sample.t > to then break end
        if before and sample.exits and before.exits and sample.t > before.t then
            rates[#rates + 1] = { sample.t,
                math.max(0, sample.exits - before.exits) / (sample.t - before.t) }
        end
        if sample.bytes then memory[#memory + 1] = { sample.t, sample.bytes } end
    end
    return rates, memory
end

local function most_of(points)
    local most = 0
    for _, point in ipairs(points) do
        most = math.max(most, point[2])
    end
    return most
end

-- 1234567 as "1,234,567".
local function grouped(number)
    local text = ("%.0f"):format(number)
    repeat
        local count
        text, count = text:gsub("^(%d+)(%d%d%d)", "%1,%2")
    until count == 0
    return text
end

local function add_curves(chart, vm)
    local rates, memory = curves_of(vm.samples, chart.to)
    chart:area("exits / s", rates, "exits", grouped(most_of(rates)))
    chart:area("RSS", memory, "memory", clean.bytes(most_of(memory)))
    return #rates >= 2 or #memory >= 2
end

local function phase_bars(phases)
    local bars = {}
    for i, phase in ipairs(phases) do
        bars[i] = { from = phase.from, to = phase.to, words = phase.name,
            title = ("%s: %s"):format(phase.name, clean.duration(phase.to - phase.from)) }
    end
    return bars
end

-- The slowest initcalls, in the order of their start.
local function call_bars(calls)
    local bars = {}
    for i = 1, math.min(ROWS, #calls) do
        local call = calls[i]
        local words = ("%s %s%s"):format(call.name, clean.duration(call.duration),
            call.failed and " (failed)" or "")
        bars[i] = { from = call.from, to = call.to, words = words, title = words,
            bad = call.failed }
    end
    table.sort(bars, function(a, b)
        return a.from < b.from
    end)
    return bars
end

local function put_table(put, head, rows)
    if #rows == 0 then return end
    put('<div class="scroll"><table><thead><tr>')
    for i, words in ipairs(head) do
        put('<th scope="col"', i > 1 and ' class="n">' or ">", words, "</th>")
    end
    put "</tr></thead>\n<tbody>\n"
    for _, row in ipairs(rows) do
        put "<tr>"
        for i, words in ipairs(row) do
            put(i > 1 and '<td class="n">' or "<td>", xml(words), "</td>")
        end
        put "</tr>\n"
    end
    put "</tbody></table></div>\n"
end

local function seconds(t)
    return ("%.3f s"):format(t)
end

local function put_numbers(put, phases, calls, moments)
    put "<details><summary>The boot in numbers</summary>\n"
    local rows = {}
    for i, phase in ipairs(phases) do
        rows[i] = { phase.name, seconds(phase.from), clean.duration(phase.to - phase.from) }
    end
    put_table(put, { "phase", "from", "took" }, rows)
    rows = {}
    for i, moment in ipairs(moments) do
        rows[i] = { moment.words, seconds(moment.t) }
    end
    put_table(put, { "moment", "at" }, rows)
    rows = {}
    for i = 1, math.min(LISTED, #calls) do
        local call = calls[i]
        rows[i] = { call.name .. (call.failed and " (failed)" or ""), seconds(call.from),
            clean.duration(call.duration) }
    end
    put_table(put, { ("initcall, the slowest of %d"):format(#calls), "from", "took" }, rows)
    put "</details>\n"
end

local function put_chart(put, title, picture)
    put("<h5>", title, '</h5>\n<div class="chart" tabindex="0" role="region" aria-label="',
        title, '">', picture, "</div>\n")
end

local function describe(phases, calls, ready)
    local parts = {}
    for i, phase in ipairs(phases) do
        parts[i] = ("%s %s"):format(phase.name, clean.duration(phase.to - phase.from))
    end
    if #calls > 0 then
        parts[#parts + 1] = ("%d initcalls, the slowest %s %s"):format(#calls, calls[1].name,
            clean.duration(calls[1].duration))
    end
    if ready then parts[#parts + 1] = "ready after " .. clean.duration(ready) end
    return table.concat(parts, "; ")
end

-- The last moment that is known of a boot.
local function boot_end(phases, calls, moments)
    local to = 0
    for _, phase in ipairs(phases) do
        to = math.max(to, phase.to)
    end
    for _, call in ipairs(calls) do
        to = math.max(to, call.to)
    end
    for _, moment in ipairs(moments) do
        to = math.max(to, moment.t)
    end
    return to
end

local function put_boot(put, vm, more, id)
    local moments, ready = moments_of(vm, more)
    local phases, calls = vm.boot:timed_phases(ready), vm.boot:slowest()
    local to = boot_end(phases, calls, moments)
    if #phases == 0 and #calls == 0 and not ready or to <= 0 then return 0 end
    local chart = svg.new(0, to * 1.02)
    for _, moment in ipairs(moments) do
        chart:mark(moment.t, moment.words, moment.bad)
    end
    chart:bars("phases", phase_bars(phases))
    chart:rows("initcalls", call_bars(calls))
    add_curves(chart, vm)
    put_chart(put, "Boot of " .. xml(vm.name), chart:svg("Boot of " .. vm.name,
        describe(phases, calls, ready), id .. "-boot"))
    put_numbers(put, phases, calls, moments)
    return to
end

-- All of its life, unless that was hardly more than its boot.
local function put_life(put, vm, id, booted)
    local last = vm.samples[#vm.samples]
    if not last or last.t < booted * 1.3 then return end
    local chart = svg.new(0, last.t)
    if booted > 0 then chart:mark(booted, "booted") end
    if add_curves(chart, vm) then
        put_chart(put, "Exits and memory of " .. xml(vm.name), chart:svg(
            "Exits and memory of " .. vm.name, ("over %s"):format(clean.duration(last.t)),
            id .. "-life"))
    end
end

-- Writes the charts of a VM. more: what vmm.report.gather has of the test; id: of its element.
return function(put, vm, more, id)
    put_life(put, vm, id, put_boot(put, vm, more, id))
end
