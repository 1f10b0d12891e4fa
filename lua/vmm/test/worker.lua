-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A test process: runs one spec file by busted in the main task, and records what happens.
--
-- Its job is a JSON file:
--   file          the spec file
--   suffix        of the ids of its tests, "#2" when the run is repeated
--   events        the file to append events to
--   artefacts     directory for the tests' own, or absent
--   skip          { name = how many of that name have been run already }
--   only          { name = true }: no others; absent: all
--   line          a line of the only test that is wanted; absent: all
--   list          true: only name the tests
--   test_timeout  seconds that a test, a set-up or a teardown may take
--   debug         true: a prompt when a test fails
--   hold          true: when a test fails that has VMs, the process stays with them
--   words         options for busted

local json = require "vmm.json"
local record = require "vmm.scenario.record"
local terminal = require "vmm.terminal"

local worker = {}

local OUTPUT = "vmm.test.output_handler" -- the name by which busted finds it

local function read_job(path)
    local file <close> = assert(io.open(path))
    return assert(json.decode(file:read "a"))
end

-- busted's own objects, which its runner keeps to itself, are handed to our output handler.
local function hook_into_busted(job)
    local new = require "busted.core"
    local busted
    package.loaded["busted.core"] = function()
        busted = new()
        return busted
    end
    package.preload[OUTPUT] = function()
        return function()
            return require("vmm.test.output").new(job, busted)
        end
    end
end

local function run_busted(job)
    hook_into_busted(job)
    local words = { [0] = "busted", "--output=" .. OUTPUT }
    table.move(job.words, 1, #job.words, 2, words)
    words[#words + 1] = job.file
    _G.arg = words
    require "busted.runner" { standalone = false }
end

-- Runs the job in a file; returns an exit code and maybe a message.
function worker.main(path)
    local job = read_job(path)
    io.stdout:setvbuf "line"
    assert(record.open(job.events))
    local ok, err, traceback = terminal.run(run_busted, job)
    record.close()
    if ok then return 0 end
    return 1, ("%s\n%s"):format(tostring(err), traceback or "")
end

return worker
