-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- One run of one test as a run file has it: how it ended, and where in the file its events are.

local clean = require "vmm.report.clean"

local attempt = {}

-- Two events that are this near belong to one stretch of the file: what lies between is read over.
local GAP = 1 << 16

local MESSAGE_BYTES = 4096 -- kept of each test's; the whole is read when it is reported

local STATUSES = { pass = "pass", fail = "fail", error = "error", skip = "skip" }

-- file: of the index; id: of the test, nil for what lies outside of tests; raw: as it is written.
function attempt.new(file, id, raw)
    return { file = file, id = id, raw = raw, status = "error", ranges = {} }
end

-- An event of it lies from offset to stop.
function attempt.extend(self, offset, stop)
    local ranges = self.ranges
    local last = #ranges
    if last > 0 and offset - ranges[last] <= GAP then
        ranges[last] = stop
    else
        ranges[last + 1], ranges[last + 2] = offset, stop
    end
end

function attempt.start(self, event)
    self.started = event.time
    self.spec = event.file
    self.name = event.name
end

-- former: the attempt before it, or nil; line: of its first event, as the file has it.
function attempt.start_again(self, former, line)
    if not former then return end
    self.spec, self.name = former.spec, former.name
    self.started = tonumber(line:match '"time":%s*([%d.]+)') or former.ended
end

function attempt.finish(self, event)
    self.finished = true
    self.ended = event.time
    self.status = STATUSES[event.status] or "error"
    self.duration = event.duration
    self.message = event.message and clean.bounded(event.message, MESSAGE_BYTES)
    self.tries = event.attempts
    self.earlier = event.earlier
end

local UNFINISHED = "The test did not end: its run stopped first."

-- Fills in what the file did not say. A test's id is its file and its name.
function attempt.complete(self)
    local spec, name = self.id:match "^(.-):(.*)$"
    self.spec = self.spec or spec or "unknown file"
    self.name = self.name or name or self.id
    local again = self.id:match "#(%d+)$"
    if again and self.name:sub(-#again - 1) ~= "#" .. again then
        self.name = ("%s #%s"):format(self.name, again)
    end
    if not self.finished then self.message = UNFINISHED end
    self.duration = self.duration or 0
end

-- Does one count, and not another that was read before it?  The one that has ended, then the later;
-- in one file that is the latter, for not all clocks are the same.
function attempt.counts_over(self, other)
    if (self.finished or false) ~= (other.finished or false) then return self.finished end
    if self.file == other.file then return true end
    return (self.started or 0) >= (other.started or 0)
end

return attempt
