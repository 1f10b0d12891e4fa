-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- How a run of `vmm-reference test` shares its files out to processes, which are fake here.

local json = require "vmm.json"
local results = require "vmm.test.results"
local run = require "vmm.test.run"

-- A process whose events are there at once, and which ends when it is let.
local Fake = {}
Fake.__index = Fake

function Fake:read()
    local events = self.events
    self.events = {}
    return events
end

function Fake:ended()
    self.looks = self.looks + 1
    if self.looks <= self.lives then return false end
    self.how, self.code = self.how or "exit", self.code or 0
    return true
end

function Fake:signal(name)
    self.signals[#self.signals + 1] = name
    self.lives = 0
end

function Fake:describe()
    return ("ended with exit code %d"):format(self.code)
end

function Fake:release()
    self.released = true
end

function Fake.tail() return "" end
function Fake.output() return "" end
function Fake.close() end

-- A test's events.
local function test(file, name, status)
    return { event = "test_start", id = file .. ":" .. name, file = file, name = name, key = name },
        { event = "test_end", test = file .. ":" .. name, status = status or "pass",
            duration = 0.0 }
end

local SILENT = { tick = function() end, output = function() end, finish = function() end }

-- Runs files by fake processes; fake(job) -> events, { lives =, code = }. Returns the results, the
-- jobs in their order, how many ran at most at a time, the run, why it stopped with which code, the
-- processes.
local function play(files, options, fake, load)
    local path = os.tmpname()
    local found = results.new(path)
    local jobs, most, made = {}, 0, {}
    local given = { jobs = 1, repeats = 1, retries = 0, test_timeout = 300, grace = 10,
        scratch = "", words = {}, lines = {} }
    for key, value in pairs(options) do
        given[key] = value
    end
    local of = run.new(files, given, found, SILENT, {
        load = load or function() end,
        start = function(job)
            jobs[#jobs + 1] = json.decode(json.encode(job))
            local events, how = fake(job)
            local process = setmetatable({ events = events, looks = 0, lives = 1, signals = {} },
                Fake)
            for key, value in pairs(how or {}) do
                process[key] = value
            end
            made[#made + 1] = process
            local alive = 0
            for _, other in ipairs(made) do
                alive = alive + (other.looks <= other.lives and 1 or 0)
            end
            most = math.max(most, alive)
            return process
        end,
    })
    local why, code = of:run()
    found:close()
    os.remove(path)
    return found, jobs, most, of, why, code, made
end

local function whole(job)
    local first, last = test(job.file, "one")
    return { first, last, { event = "worker_end" } }
end

describe("A run", function()
    it("has as many processes at a time as asked, and no more", function()
        local found, jobs, most = play({ "a", "b", "c", "d", "e" }, { jobs = 3 }, whole)
        assert.equal(5, found.pass)
        assert.equal(5, #jobs)
        assert.equal(3, most)
    end)

    it("has one process where the host is busy", function()
        local found, _, most = play({ "a", "b", "c" }, { jobs = 3 }, whole, function()
            return "busy"
        end)
        assert.equal(3, found.pass)
        assert.equal(1, most)
    end)

    it("goes on behind the test that its process died of", function()
        local found, jobs = play({ "a" }, {}, function(job)
            local first, last = test("a", "one")
            local second = test("a", "two")
            if not job.skip.two then
                return { first, last, second }, { code = 9, how = "signal" }
            end
            local third, end_of_third = test("a", "three")
            return { third, end_of_third, { event = "worker_end" } }
        end)
        assert.same({ 2, 1 }, { found.pass, found.fail })
        assert.same({ {}, { one = 1, two = 1 } }, { jobs[1].skip, jobs[2].skip })
    end)

    it("gives a file up whose process dies outside of tests again and again", function()
        local found, jobs = play({ "a", "b" }, {}, function(job)
            if job.file == "b" then return whole(job) end
            local first, last = test("a", "one")
            return job.skip.one and {} or { first, last }, { code = 1 }
        end)
        assert.same({ 2, 2 }, { found.pass, found.fail })
        assert.equal(3, #jobs)
    end)

    it("takes a process for failed that ends by a code though no test has failed", function()
        local found = play({ "a" }, {}, function(job)
            return whole(job), { code = 1 }
        end)
        assert.same({ 1, 1 }, { found.pass, found.fail })
    end)

    -- Fails in its first process, which stays.
    local function stays(job)
        if job.skip.one then return { { event = "worker_end" } } end
        local first, last = test(job.file, "one", "fail")
        return { first, last, { event = "kept", test = job.file .. ":one", vms = { "box" },
            prompt = "k/7.prompt" } }, { lives = math.huge, pid = 7 }
    end

    it("lets a process be that stays with the VMs of a failed test, and goes on in another",
        function()
            local found, jobs, _, of, _, _, made = play({ "a" }, { keep = "k" }, stays)
            assert.same({ 0, 1 }, { found.pass, found.fail })
            assert.same({ true, true }, { jobs[1].hold, jobs[2].hold })
            assert.same({ one = 1 }, jobs[2].skip)
            assert.same({ true, {} }, { made[1].released, made[1].signals })
            assert.same({ { test = "a:one", vms = { "box" }, pid = 7, prompt = "k/7.prompt" } },
                (of:held()))
            assert.is_false(select(2, of:held()))
        end)

    it("lets no more than eight be, and asks no more of them to stay", function()
        local files = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j" }
        local found, jobs, _, of, _, _, made = play(files, { keep = "k", jobs = 10 }, stays)
        assert.same({ 0, 10 }, { found.pass, found.fail })
        local kept, full = of:held()
        assert.same({ 8, true }, { #kept, full })
        local released, killed = 0, 0
        for i = 1, 10 do
            released = released + (made[i].released and 1 or 0)
            killed = killed + (made[i].signals[1] == "KILL" and 1 or 0)
        end
        assert.same({ 8, 2 }, { released, killed })
        assert.equal(20, #jobs)
        assert.is_nil(jobs[20].hold)
    end)

    it("keeps no VMs where artefacts are all that is to be left", function()
        local _, jobs = play({ "a" }, { artefacts = "k" }, function()
            local first, last = test("a", "one", "fail")
            return { first, last, { event = "worker_end" } }
        end)
        assert.same({ "k" }, { jobs[1].artefacts, jobs[1].hold })
    end)

    it("keeps VMs only of what is not tried again", function()
        local _, jobs = play({ "a" }, { keep = "k", retries = 1 }, function(job)
            local first, last = test("a", "one", "fail")
            return { first, last, { event = "worker_end" } }, { code = job.attempt == 1 and 1 or 0 }
        end)
        assert.is_nil(jobs[1].hold)
        assert.is_true(jobs[2].hold)
    end)

    it("retries in a new process only what has failed, also when the process died of it", function()
        local found, jobs = play({ "a" }, { retries = 1 }, function(job)
            local first, last = test("a", "one")
            local second = test("a", "two")
            if job.attempt == 1 and not job.skip.two then
                return { first, last, second }, { code = 9, how = "signal" }
            elseif job.attempt == 1 then
                return { { event = "worker_end" } }
            end
            local _, good = test("a", "two")
            return { second, good, { event = "worker_end" } }
        end)
        assert.same({ 2, 0 }, { found.pass, found.fail })
        assert.same({ two = true }, jobs[3].only)
        assert.same({ "a:two: passed at attempt 2" }, found.retried)
    end)

    it("kills a process whose test is over its budget", function()
        local process = { lives = math.huge, signals = {} }
        local found = play({ "a" }, { test_timeout = 0.01, grace = 0.01 }, function(job)
            if job.skip.one then return { { event = "worker_end" } } end
            return { (test("a", "one")) }, process
        end)
        assert.same({ 0, 1 }, { found.pass, found.fail })
        assert.same({ "KILL" }, process.signals)
    end)

    it("asks all processes to end when its own time is over", function()
        local processes = {}
        local found, jobs, _, of, why, code = play({ "a", "b", "c" },
            { jobs = 2, timeout = 0.01 }, function(job)
                processes[#processes + 1] = { lives = math.huge, signals = {} }
                return { (test(job.file, "one")) }, processes[#processes]
            end)
        assert.same({ 0, #jobs }, { found.pass, found.fail })
        for _, process in ipairs(processes) do
            assert.same({ "TERM" }, process.signals)
        end
        assert.equal(124, code)
        assert.matches("the run's budget of %d+%.?%d* s is over", why)
        assert.equal(3, #of:left())
    end)
end)
