-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A run as one run file: the events of the attempts that count, test by test. It can be reported in
-- its turn.

local decode = require("vmm.report.event").decode
local json = require "vmm.json"
local lines = require "vmm.report.lines"
local peek = require("vmm.report.event").peek

local jsonl = {}

local function put_event(put, event)
    put(json.encode(event), "\n")
end

-- All that the runs had in common; a list where they differ.
local function run_start(self)
    local start = { event = "run_start", time = self.started, shards = json.array {},
        problems = #self.problems > 0 and json.array(self.problems) or nil }
    for _, file in ipairs(self.files) do
        local of = file.start or {}
        for _, key in ipairs { "version", "host", "seed", "paths" } do
            start[key] = start[key] or of[key]
        end
        table.insert(start.shards, {
            path = file.path, shard = of.shard, host = of.host, seed = of.seed,
            complete = not file.incomplete,
        })
    end
    return start
end

local changes = {}

function changes.test_end(event, test)
    if not test then return end
    event.attempts = test.tries
    event.earlier = #test.earlier > 0 and json.array(test.earlier) or nil
end

function changes.artefact(event, _, places)
    event.path = event.path and places.relative(event.path)
end

local function copy(put, attempt, places, test)
    places = places.beside(attempt.file.path)
    local handle <close> = assert(io.open(attempt.file.path, "rb"))
    local raw, ranges = attempt.raw, attempt.ranges
    for i = 1, #ranges, 2 do
        lines.each(handle, ranges[i], ranges[i + 1], function(line)
            if not line or raw and not line:find(raw, 1, true) then return end
            local kind, about = peek(line)
            if not kind or about ~= raw then return end
            local change = changes[kind]
            local event = change and decode(line)
            if event then
                change(event, test, places)
                line = json.encode(event)
            end
            put(line, "\n")
        end)
    end
end

-- Writes it by put(text, ...).  places: see vmm.report.paths.
function jsonl.write(put, self, places)
    put_event(put, run_start(self))
    for _, file in ipairs(self.files) do
        if file.outside then copy(put, file.outside, places) end
    end
    for _, test in ipairs(self.tests) do
        copy(put, test.attempt, places, test)
    end
    if self.incomplete then return end
    put_event(put, {
        event = "run_end", time = self.ended, passed = self.counts.pass,
        failed = self.counts.fail + self.counts.error, skipped = self.counts.skip,
        duration = self.ended and self.ended - self.started or self.counts.duration,
    })
end

return jsonl
