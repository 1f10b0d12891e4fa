-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- All that a run file has of one test, in bounded memory: its steps, VMs and artefacts.

local boot = require "vmm.report.boot"
local clean = require "vmm.report.clean"
local decode = require("vmm.report.event").decode
local lines = require "vmm.report.lines"
local peek = require("vmm.report.event").peek
local ring = require "vmm.report.ring"

-- More of one test than this is counted and left out.
local STEPS, VMS, ARTEFACTS, SAMPLES = 2000, 64, 500, 2000
local DEPTH = 20 -- of steps in steps
local MESSAGE_BYTES = 1 << 16
local NAME_BYTES = 200

local function new_vm(self, name)
    local vm = {
        name = clean.bounded(name, NAME_BYTES), config = {},
        samples = {}, every = 1, seen = 0,
        console = ring.new(self.console_bytes, self.console_head), boot = boot.new(),
    }
    self.by_name[name] = vm
    self.vms[#self.vms + 1] = vm
    return vm
end

-- The VM of an event; nil when it has none, or there are too many.
local function vm_of(self, event)
    local name = event.vm
    if not name then return nil end
    local vm = self.by_name[name]
    if vm or #self.vms < VMS then return vm or new_vm(self, name) end
    self.left_out.vms = self.left_out.vms + 1
    return nil
end

local handlers = {}

function handlers.step(self, event)
    if not event.step then return end
    local known = self.by_step[event.step]
    if not known and #self.steps >= STEPS then
        self.left_out.steps = self.left_out.steps + 1
        return
    end
    local step = {
        number = event.step, parent = event.parent, time = event.time, ok = event.ok,
        duration = event.duration, kind = clean.line(event.kind or "step"), children = {},
        text = clean.bounded(event.text or "", MESSAGE_BYTES),
        vm = event.vm and clean.bounded(event.vm, NAME_BYTES),
        detail = type(event.detail) == "string" and clean.bounded(event.detail, MESSAGE_BYTES)
            or nil,
    }
    for key, value in pairs(step) do
        if known then known[key] = value end
    end
    if known then return end
    self.by_step[event.step] = step
    self.steps[#self.steps + 1] = step
end

function handlers.vm(self, event)
    local vm = vm_of(self, event)
    if vm then vm.config = event.config or {} end
end

function handlers.vm_end(self, event)
    local vm = vm_of(self, event)
    if not vm then return end
    vm.reason = clean.line(event.reason or "unknown")
    vm.text = clean.bounded(event.text or "", MESSAGE_BYTES)
    vm.metrics = event.metrics
end

-- Of very many, each second one is kept.
function handlers.sample(self, event)
    local vm = vm_of(self, event)
    if not vm or not event.t then return end
    if event.time then
        vm.epoch = math.min(vm.epoch or math.huge, event.time - event.t)
    end
    vm.seen = vm.seen + 1
    if vm.seen % vm.every ~= 0 then return end
    local samples = vm.samples
    samples[#samples + 1] = { t = event.t, exits = event.exits, bytes = event.resident_bytes }
    if #samples < SAMPLES then return end
    vm.samples, vm.every = {}, vm.every * 2
    for i = 2, #samples, 2 do
        vm.samples[i // 2] = samples[i]
    end
end

function handlers.artefact(self, event)
    if not event.path then return end
    if #self.artefacts >= ARTEFACTS then
        self.left_out.artefacts = self.left_out.artefacts + 1
        return
    end
    table.insert(self.artefacts, {
        path = event.path, name = clean.bounded(event.name or event.path, NAME_BYTES),
        vm = event.vm and clean.bounded(event.vm, NAME_BYTES),
    })
end

function handlers.test_end(self, event)
    self.message = event.message and clean.bounded(event.message, MESSAGE_BYTES)
    self.traceback = event.traceback and clean.bounded(event.traceback, MESSAGE_BYTES)
end

handlers.test_retry = handlers.test_end

-- Consoles are most of a file: their lines are kept as they are written.
local function console(self, line)
    local name = line:match '"vm":%s*("[^"\\]*")'
    local vm = name and self.by_written[name]
    if not vm then
        local event = decode(line)
        vm = event and vm_of(self, event)
        if not vm then return end
        if name then self.by_written[name] = vm end
    end
    vm.console:add(line)
    vm.boot:take(line)
end

local function by_time(a, b)
    if (a.time or 0) ~= (b.time or 0) then return (a.time or 0) < (b.time or 0) end
    return a.number < b.number
end

-- Steps in the steps that they belong to, by the time of their start.
local function make_tree(self)
    local roots = {}
    table.sort(self.steps, by_time)
    for _, step in ipairs(self.steps) do
        -- A step begins after its parent, so that no step is in itself.
        local parent = step.parent and step.parent < step.number and self.by_step[step.parent]
        step.within = parent or nil
    end
    for _, step in ipairs(self.steps) do
        local parent, depth, at = step.within, 0, step.within
        while at do
            depth, at = depth + 1, at.within
            if depth > DEPTH then parent = parent.within end
        end
        table.insert(parent and parent.children or roots, step)
    end
    self.roots = roots
end

-- Reads the events of an attempt. options: console_bytes, what is kept of each VM's console, as
-- written, and console_head, how much of that of its beginning (a quarter). Returns
--   message, traceback, artefacts, roots (steps, with children), left_out = { steps, vms, ... }
--   vms     { name, config, reason, text, metrics, console (a ring of lines), boot, samples }
return function(attempt, options)
    local self = {
        steps = {}, by_step = {}, vms = {}, by_name = {}, by_written = {}, artefacts = {},
        console_bytes = options.console_bytes, console_head = options.console_head,
        left_out = { steps = 0, vms = 0, artefacts = 0 },
        message = attempt.message,
    }
    local handle <close> = assert(io.open(attempt.file.path, "rb"))
    local raw, ranges = attempt.raw, attempt.ranges
    local function take(line)
        if not line or raw and not line:find(raw, 1, true) then return end
        local kind, test = peek(line)
        if test ~= raw then return end
        if kind == "console" then return console(self, line) end
        local handler = handlers[kind]
        local event = handler and decode(line)
        if event then handler(self, event) end
    end
    for i = 1, #ranges, 2 do
        lines.each(handle, ranges[i], ranges[i + 1], take)
    end
    make_tree(self)
    return self
end
