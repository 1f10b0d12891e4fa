-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The run that run files tell of together: shards of it, and shards that were run again.

local attempt = require "vmm.report.attempt"
local index = require "vmm.report.index"

local run = {}

-- Of a test: each attempt after the other, the one that counts last.
local function order(attempts)
    local last = 1
    for i = 2, #attempts do
        if attempt.counts_over(attempts[i], attempts[last]) then last = i end
    end
    table.insert(attempts, table.remove(attempts, last))
end

-- What is told of an attempt that does not count.
local function summary(one)
    return {
        status = one.status, message = one.message, duration = one.duration,
        file = one.file.path,
    }
end

local function make_test(attempts)
    order(attempts)
    local last = attempts[#attempts]
    local earlier = {}
    for _, one in ipairs(last.earlier or {}) do
        if type(one) == "table" then earlier[#earlier + 1] = one end
    end
    for i = 1, #attempts - 1 do
        earlier[#earlier + 1] = summary(attempts[i])
    end
    return {
        id = last.id, spec = last.spec, name = last.name, status = last.status,
        message = last.message, duration = last.duration, started = last.started,
        unfinished = not last.finished, attempt = last, earlier = earlier,
        tries = math.max(last.tries or 1, #earlier + 1),
    }
end

-- Tests by spec file, in the order in which they came.
local function collect_suites(files)
    local by_id, ids, suites, by_name = {}, {}, {}, {}
    for _, file in ipairs(files) do
        for _, one in ipairs(file.attempts) do
            if not by_id[one.id] then
                by_id[one.id] = {}
                ids[#ids + 1] = one.id
            end
            table.insert(by_id[one.id], one)
        end
    end
    for _, id in ipairs(ids) do
        local test = make_test(by_id[id])
        local suite = by_name[test.spec]
        if not suite then
            suite = { name = test.spec, tests = {} }
            by_name[test.spec] = suite
            suites[#suites + 1] = suite
        end
        table.insert(suite.tests, test)
    end
    table.sort(suites, function(a, b)
        return a.name < b.name
    end)
    return suites
end

local function count_tests(tests)
    local counts = { pass = 0, fail = 0, error = 0, skip = 0, duration = 0, retried = 0,
        unfinished = 0, all = #tests }
    for _, test in ipairs(tests) do
        counts[test.status] = counts[test.status] + 1
        counts.duration = counts.duration + test.duration
        counts.retried = counts.retried + (test.tries > 1 and 1 or 0)
        counts.unfinished = counts.unfinished + (test.unfinished and 1 or 0)
    end
    return counts
end

-- What was to run: files with the same are the same part of a run, run again.
local function part_of(file)
    local start = file.start or {}
    local words = { start.shard or file.path }
    for _, path in ipairs(start.paths or {}) do
        words[#words + 1] = tostring(path)
    end
    return table.concat(words, "\n")
end

-- Is there a part of the run of which no file is whole?
local function lacks_end(files)
    local whole = {}
    for _, file in ipairs(files) do
        if not file.incomplete then whole[part_of(file)] = true end
    end
    for _, file in ipairs(files) do
        if not whole[part_of(file)] then return true end
    end
    return false
end

-- The shards of which there is no whole file: "2/4", ...
local function missing_shards(files)
    local whole, total, missing = {}, 0, {}
    for _, file in ipairs(files) do
        local number, of = ((file.start or {}).shard or ""):match "^(%d+)/(%d+)$"
        number, of = math.tointeger(tonumber(number)), math.tointeger(tonumber(of))
        total = math.max(total, of or 0)
        if number and not file.incomplete then whole[number] = true end
    end
    for number = 1, total > 1 and math.min(total, 4096) or 0 do
        if not whole[number] then missing[#missing + 1] = ("%d/%d"):format(number, total) end
    end
    return missing
end

local function find_times(self)
    for _, file in ipairs(self.files) do
        local start, finish = (file.start or {}).time, (file.finish or {}).time
        self.started = math.min(self.started or math.huge, start or math.huge)
        for _, one in ipairs(file.attempts) do
            finish = math.max(finish or 0, one.ended or 0)
        end
        self.ended = math.max(self.ended or 0, finish or 0)
    end
    if self.started == math.huge or self.ended == 0 then self.started, self.ended = nil, nil end
end

-- Is any test missing that should have run?
local function judge(self)
    local missing = missing_shards(self.files)
    self.incomplete = #missing > 0 or lacks_end(self.files)
    if #missing > 0 then
        self.problems[1] = ("incomplete: shard%s %s did not end or %s not here"):format(
            #missing > 1 and "s" or "", table.concat(missing, ", "), #missing > 1 and "are" or "is")
    end
    for _, file in ipairs(self.files) do
        for _, problem in ipairs(file.problems) do
            self.problems[#self.problems + 1] = file.path .. ": " .. problem
        end
    end
end

-- Reads run files (a list of paths): the run, or nil, message, code.
--   suites      { { name =, tests = { test... }, counts = }... }, by spec file
--   counts      { pass, fail, error, skip, all, duration, retried, unfinished }
--   files       as vmm.report.index has them
--   started, ended: seconds since 1970, or nil; incomplete; problems: list of texts
-- A test has id, spec, name, status, message, duration, started, unfinished, tries, earlier (list
-- of attempts that do not count) and the attempt that counts.
function run.read(paths)
    local self = { files = {}, problems = {}, incomplete = false }
    for _, path in ipairs(paths) do
        local file, message, code = index.read(path)
        if not file then return nil, message, code end
        table.insert(self.files, file)
    end
    self.suites = collect_suites(self.files)
    local all = {}
    for _, suite in ipairs(self.suites) do
        suite.counts = count_tests(suite.tests)
        table.move(suite.tests, 1, #suite.tests, #all + 1, all)
    end
    self.tests = all
    self.counts = count_tests(all)
    find_times(self)
    judge(self)
    return self
end

-- "3 passed, 1 failed, 0 skipped", as the runner ends with.
function run.closing(self)
    local counts = self.counts
    return ("%d passed, %d failed, %d skipped"):format(counts.pass, counts.fail + counts.error,
        counts.skip)
end

function run.passed(self)
    return self.counts.fail + self.counts.error == 0 and not self.incomplete
end

return run
