-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- One VM of a test in the HTML report: what it was, how it booted, its console, what it did.

local clean = require "vmm.report.clean"
local console = require "vmm.report.console"
local json = require "vmm.json"
local put_charts = require "vmm.report.chart"

local xml = clean.xml

local FIGURES_BYTES = 1 << 16

local function is_word(value)
    return type(value) == "string" or type(value) == "number" or type(value) == "boolean"
end

local function put_config(put, vm)
    local parts = {}
    local function add(key, format)
        local value = vm.config[key]
        if is_word(value) then
            parts[#parts + 1] = format:format(xml(clean.bounded(tostring(value), 300)))
        end
    end
    add("kernel", "kernel <code>%s</code>")
    add("vcpus", vm.config.vcpus == 1 and "%s vCPU" or "%s vCPUs")
    add("memory_mib", "%s MiB")
    add("transport", "virtio over %s")
    if vm.reason then
        parts[#parts + 1] = ("ended: <strong>%s</strong>%s"):format(xml(vm.reason),
            vm.text ~= "" and " (" .. xml(vm.text) .. ")" or "")
    end
    if parts[1] then put('<p class="meta">', table.concat(parts, " \u{B7} "), "</p>\n") end
end

local function put_line(put, line)
    local class = line.level and (' k%d"'):format(line.level) or '"'
    put('<span class="line', class, line.kernel and " data-k" or "", "><i>",
        line.t and ("%9.3f  "):format(line.t) or (" "):rep(11), "</i>")
    if line.kernel and line.stamp then put(("[%12.6f] "):format(line.stamp)) end
    put(xml(line.text), "\n</span>")
end

local TOOLS = [[
<div class="tools" hidden>
<input type="search" aria-label="Search the console of %s" placeholder="Lines with ...">
<select aria-label="Which lines of %s"><option value="all">all lines</option>
<option value="dialogue">without the kernel's</option><option value="kernel">the kernel's</option>
<option value="warnings">warnings and worse</option></select>
<output aria-live="polite"></output></div>
]]

local function put_console(put, vm)
    local ring, name = vm.console, xml(vm.name)
    if ring.lines == 0 then
        put '<p class="dim">Its console was silent.</p>\n'
        return
    end
    put('<section class="console" aria-label="Console of ', name, '">',
        ('<h5>Console, %d line%s'):format(ring.lines, ring.lines == 1 and "" or "s"),
        " <span class=\"dim\">(seconds since the VM's start)</span></h5>\n",
        (TOOLS:gsub("%%s", (name:gsub("%%", "%%%%")))), '<pre tabindex="0">')
    ring:each(function(written)
        local line = console.line(written)
        if line then put_line(put, line) end
    end, function(lines)
        put('<span class="gap">', tostring(lines),
            lines == 1 and " line is" or " lines are",
            " left out here; the run file has all of them</span>")
    end)
    put "</pre></section>\n"
end

local function number(value)
    return type(value) == "number" and value or nil
end

-- All vCPUs' exits by reason, the most frequent first.
local function exits_of(metrics)
    local sums, list = {}, {}
    for _, vcpu in ipairs(type(metrics.vcpus) == "table" and metrics.vcpus or {}) do
        local exits = type(vcpu) == "table" and type(vcpu.exits) == "table" and vcpu.exits or {}
        for reason, count in pairs(exits) do
            if number(count) then sums[reason] = (sums[reason] or 0) + count end
        end
    end
    for reason, count in pairs(sums) do
        list[#list + 1] = { reason, count }
    end
    table.sort(list, function(a, b)
        if a[2] ~= b[2] then return a[2] > b[2] end
        return tostring(a[1]) < tostring(b[1])
    end)
    return list
end

local function put_figures(put, metrics)
    local ok, text = pcall(json.encode, metrics)
    if not ok then return end
    put("<details><summary>All figures</summary><pre>", xml(clean.bounded(text, FIGURES_BYTES)),
        "</pre></details>\n")
end

local function put_metrics(put, vm)
    local metrics = vm.metrics
    if not metrics then return end
    put '<details><summary>Metrics</summary>\n<div class="scroll"><table>\n'
    local function row(words, value)
        if not value then return end
        put('<tr><th scope="row">', words, '</th><td class="n">', value, "</td></tr>\n")
    end
    local uptime, resident = number(metrics.uptime), number(metrics.resident_bytes)
    local io = type(metrics.console) == "table" and metrics.console or {}
    row("ran for", uptime and clean.duration(uptime))
    row("resident memory", resident and clean.bytes(resident))
    row("console output", number(io.output_bytes) and clean.bytes(io.output_bytes))
    row("console input", number(io.input_bytes) and clean.bytes(io.input_bytes))
    for _, vcpu in ipairs(type(metrics.vcpus) == "table" and metrics.vcpus or {}) do
        if type(vcpu) == "table" and number(vcpu.cpu) then
            row("CPU time of vCPU " .. xml(tostring(vcpu.id)), clean.duration(vcpu.cpu))
        end
    end
    for _, pair in ipairs(exits_of(metrics)) do
        row("exits: " .. xml(tostring(pair[1])), ("%d"):format(pair[2] // 1))
    end
    put "</table></div>\n"
    put_figures(put, metrics)
    put "</details>\n"
end

-- vm: of vmm.report.gather's result more; id: of its element.
return function(put, vm, more, id)
    put('<section class="vm" aria-labelledby="', id, '"><h4 id="', id, '">VM ', xml(vm.name),
        "</h4>\n")
    put_config(put, vm)
    put_charts(put, vm, more, id)
    put_console(put, vm)
    put_metrics(put, vm)
    put "</section>\n"
end
