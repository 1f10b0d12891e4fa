-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a VM did, counted and timed: vm:metrics(), and its forms as text. lua/meta/metrics.lua
-- describes the table.

local argument = require "vmm.argument"
local core = require "vmm.core"
local json = require "vmm.json"
require "vmm.vm" -- whose methods here take the place of those that load this

local methods = core.classes["vmm.vm"]

local metrics = {}

-- vmm.metrics.top(now [, before]) -> one frame of the live view; in a module of its own.
metrics.top = require("vmm.top").frame

-- ---- reading ----------------------------------------------------------------------------

local PAGE_BYTES = 4096

-- What the process has in memory, guest memory that was touched included.
local function resident_bytes()
    local file <close> = io.open "/proc/self/statm"
    local pages = file and file:read("l"):match "^%d+ (%d+)"
    return pages and math.tointeger(pages) * PAGE_BYTES or 0
end

-- vm:metrics() -> a table of all that was counted so far, at any time while the VM is not closed.
-- Exits are counted always; times are there while, and since, vm:measure(true).
function methods.metrics(vm)
    local result = vm:read_metrics()
    result.vm = vm.name
    result.resident_bytes = resident_bytes()
    return result
end

-- A time that a share q (0 to 1) of a histogram's durations did not reach: the upper bound of a
-- bucket, at most a quarter too large; 0 when it is empty.
function metrics.quantile(histogram, q)
    argument.check(type(q) == "number" and q >= 0 and q <= 1, "vmm.metrics.quantile: q",
        "a number from 0 to 1", q)
    local wanted, seen = q * histogram.count, 0
    for _, bucket in ipairs(histogram.buckets) do
        seen = seen + bucket[2]
        if seen >= wanted then return math.min(bucket[1], histogram.max) end
    end
    return histogram.max
end

-- The table as JSON.
function metrics.json(table)
    return json.encode(table)
end

-- ---- Prometheus -------------------------------------------------------------------------

-- Bounds in seconds, at which buckets end: 1 us, 4 us, ... 17 s.
local BOUNDS = {}
for power = 10, 34, 2 do
    BOUNDS[#BOUNDS + 1] = (1 << power) / 1e9
end

local LABEL_ESCAPES = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

local function number(value)
    if math.type(value) == "integer" then return ("%d"):format(value) end
    return ("%.15g"):format(value)
end

-- { { name, value }, ... } -> {name="value",...}
local function label_text(labels)
    local parts = {}
    for i, label in ipairs(labels) do
        local value = tostring(label[2]):gsub('[\\"\n]', LABEL_ESCAPES)
        if not utf8.len(value) then value = value:gsub("[\x80-\xff]", "?") end
        parts[i] = ('%s="%s"'):format(label[1], value)
    end
    return #parts > 0 and "{" .. table.concat(parts, ",") .. "}" or ""
end

-- Families in the order in which they were first met, each with its samples.
local function exposition()
    return { list = {}, by_name = {} }
end

local function family(out, name, kind, help)
    local found = out.by_name[name]
    if not found then
        found = { name = name, kind = kind, help = help, lines = {} }
        out.by_name[name] = found
        out.list[#out.list + 1] = found
    end
    return found.lines
end

local function sample(lines, name, labels, value)
    lines[#lines + 1] = name .. label_text(labels) .. " " .. number(value)
end

local function with(labels, ...)
    local list = table.move(labels, 1, #labels, 1, {})
    for _, label in ipairs { ... } do
        list[#list + 1] = label
    end
    return list
end

local function histogram_lines(lines, name, labels, histogram)
    local cumulative, at, buckets = 0, 1, histogram.buckets
    for _, bound in ipairs(BOUNDS) do
        while buckets[at] and buckets[at][1] <= bound do
            cumulative = cumulative + buckets[at][2]
            at = at + 1
        end
        sample(lines, name .. "_bucket", with(labels, { "le", number(bound) }), cumulative)
    end
    sample(lines, name .. "_bucket", with(labels, { "le", "+Inf" }), histogram.count)
    sample(lines, name .. "_sum", labels, histogram.sum)
    sample(lines, name .. "_count", labels, histogram.count)
end

local function counter(out, name, help, labels, value)
    sample(family(out, name, "counter", help), name, labels, value)
end

local function gauge(out, name, help, labels, value)
    sample(family(out, name, "gauge", help), name, labels, value)
end

local function histogram(out, name, help, labels, value)
    histogram_lines(family(out, name, "histogram", help), name, labels, value)
end

local function sorted_keys(of)
    local keys = {}
    for key in pairs(of) do
        keys[#keys + 1] = key
    end
    table.sort(keys)
    return keys
end

-- KVM's own: which of them only grow is not told.
local function add_kvm(out, prefix, labels, kvm)
    for _, key in ipairs(sorted_keys(kvm or {})) do
        if math.type(kvm[key]) then
            local name = prefix .. key:gsub("[^%w_]", "_")
            sample(family(out, name, "untyped", "KVM's own statistic " .. key
                .. ", in its own unit"), name, labels, kvm[key])
        end
    end
end

local function add_access(out, vcpu, access)
    local labels = with(vcpu, { "kind", access.kind }, { "direction", access.direction },
        { "address", ("0x%x"):format(access.address) }, { "size", access.size },
        { "device", access.device or "" })
    histogram(out, "vmm_access_handling_seconds",
        "How long it took to handle an access, by port, MMIO address, MSR or hypercall",
        labels, access.handling)
    counter(out, "vmm_access_bytes_total", "Bytes moved by accesses", labels, access.bytes)
end

local function add_vcpu(out, vm, vcpu)
    local labels = with(vm, { "vcpu", vcpu.id })
    counter(out, "vmm_vcpu_cpu_seconds_total", "CPU time of the vCPU's thread", labels, vcpu.cpu)
    counter(out, "vmm_vcpu_kicks_total", "Interruptions that are no pauses", labels, vcpu.kicks)
    counter(out, "vmm_vcpu_pauses_total", "Pauses", labels, vcpu.pauses)
    for _, reason in ipairs(sorted_keys(vcpu.exits)) do
        counter(out, "vmm_vcpu_exits_total", "Exits to user space",
            with(labels, { "reason", reason }), vcpu.exits[reason])
    end
    for _, reason in ipairs(sorted_keys(vcpu.handling)) do
        histogram(out, "vmm_vcpu_exit_handling_seconds", "How long it took to handle an exit",
            with(labels, { "reason", reason }), vcpu.handling[reason])
    end
    histogram(out, "vmm_vcpu_in_guest_seconds", "How long KVM_RUN took between two exits, HLT"
        .. " included", labels, vcpu.in_guest)
    for _, access in ipairs(vcpu.accesses) do
        add_access(out, labels, access)
    end
    histogram(out, "vmm_other_access_handling_seconds",
        "The same of all accesses that the bounded table had no room for", labels,
        vcpu.other_accesses)
    add_kvm(out, "vmm_kvm_vcpu_", labels, vcpu.kvm)
end

local function add_vm(out, of)
    local labels = { { "vm", of.vm } }
    gauge(out, "vmm_uptime_seconds", "Since the start, until the end", labels, of.uptime)
    gauge(out, "vmm_measuring", "1 while times are taken", labels, of.measuring and 1 or 0)
    gauge(out, "vmm_guest_memory_bytes", "Size of guest memory", labels, of.memory_bytes)
    for _, direction in ipairs { "input", "output" } do
        counter(out, "vmm_console_bytes_total", "Bytes that went through consoles",
            with(labels, { "direction", direction }), of.console[direction .. "_bytes"])
    end
    counter(out, "vmm_lua_handler_calls_total", "Handlers that ran on vCPU threads", labels,
        of.lua_handlers.calls)
    counter(out, "vmm_lua_handler_run_seconds_total", "How long they ran", labels,
        of.lua_handlers.ran)
    counter(out, "vmm_lua_handler_wait_seconds_total", "How long they waited for the script",
        labels, of.lua_handlers.waited)
    for _, vcpu in ipairs(of.vcpus) do
        add_vcpu(out, labels, vcpu)
    end
    add_kvm(out, "vmm_kvm_", labels, of.kvm)
end

-- The table, or an array of tables of several VMs, in Prometheus' text format. Times are seconds.
function metrics.prometheus(of)
    argument.type("vmm.metrics.prometheus: metrics", of, "table")
    local out, parts = exposition(), {}
    local list = of.vcpus and { of } or of
    for _, one in ipairs(list) do
        add_vm(out, one)
    end
    if list[1] then
        gauge(out, "vmm_process_resident_bytes", "Memory of the process that runs the VMs", {},
            list[1].resident_bytes)
    end
    for _, entry in ipairs(out.list) do
        parts[#parts + 1] = ("# HELP %s %s\n# TYPE %s %s\n%s\n"):format(entry.name, entry.help,
            entry.name, entry.kind, table.concat(entry.lines, "\n"))
    end
    return table.concat(parts)
end

return metrics
