-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The one wait of all verbs of a scenario: until something is so, the VM fails or ends, or the time
-- is over; and the error that explains why it was in vain.

local core = require "vmm.core"
local explain = require "vmm.scenario.explain"
local sched = require "vmm.sched"
local state = require "vmm.state"

local WaitError = { __name = "vmm.wait_error" }

function WaitError:__tostring()
    return ("%s: %s: %s after %.1f s (limit %g s); %s"):format(
        self.vm, self.what, self.why, self.elapsed, self.timeout, self.state)
end

local function failed(vm, what, why, code, timeout, start, mark)
    return setmetatable({
        code = code, vm = vm.name, what = what, why = why, timeout = timeout,
        elapsed = core.now() - start, state = explain.state(vm, mark),
    }, WaitError)
end

local FAILED = {} -- in place of a code: the VM has failed, and its failure has a code

-- Polls; and tells of what ends the wait otherwise.
local function look(vm, poll)
    local found, why, code = poll()
    if found ~= nil then return found, why, code end
    local over = vm.closed and "the VM was closed" or vm:stopped() and "the guest ended"
    local failure = state.failure(vm, over)
    if over then -- what has come with the end may be what is awaited
        found, why, code = poll()
        if found ~= nil then return found, why, code end
    end
    if failure then return false, failure, FAILED end
    if over then return false, over, "ended" end
end

-- Waits until poll() returns something else than nil, and returns that. poll may also say that it
-- is in vain: false, why, code.
--   what     the awaited, for the error's text
--   timeout  seconds, times VMM_TIMEOUT_SCALE
-- Returns nil, error object, code when it does not come to be: the code "timeout", "ended", that
-- of the failure of the VM that was detected meanwhile, or poll's.
local function try_wait(vm, what, poll, timeout)
    timeout = sched.scaled(timeout)
    local start, mark = core.now(), explain.mark(vm)
    if not vm.closed then vm:watch_end() end
    local result, why, code = sched.wait(function()
        return look(vm, poll)
    end, timeout)
    if result then return result end
    local timed_out = why == "timeout"
    local failure = code == FAILED and why or timed_out and state.failure(vm, true)
    if failure then return nil, failure, failure.code end
    why = timed_out and "timed out" or why
    return nil, failed(vm, what, why, code, timeout, start, mark), code
end

return try_wait
