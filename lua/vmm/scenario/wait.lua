-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The one wait of all verbs of a scenario: until something is so, the VM fails or ends, or the time
-- is over; and the error that explains why it was in vain.

local core = require "vmm.core"
local explain = require "vmm.scenario.explain"
local sched = require "vmm.sched"

local WaitError = { __name = "vmm.wait_error" }

function WaitError:__tostring()
    return ("%s: %s: %s after %.1f s (limit %g s); %s"):format(
        self.vm, self.what, self.why, self.elapsed, self.timeout, self.state)
end

local function failed(vm, what, why, code, timeout, start)
    return setmetatable({
        code = code, vm = vm.name, what = what, why = why, timeout = timeout,
        elapsed = core.now() - start, state = explain.state(vm),
    }, WaitError)
end

-- Waits until poll() returns something else than nil, and returns that.
--   what     the awaited, for the error's text
--   timeout  seconds, times VMM_TIMEOUT_SCALE
-- Returns nil, error object, code when it does not come to be: the code "timeout", "ended", or that
-- of the failure of the VM that was detected meanwhile.
local function try_wait(vm, what, poll, timeout)
    timeout = sched.scaled(timeout)
    local start = core.now()
    vm:watch_end()
    local result, why, code = sched.wait(function()
        local found = poll()
        if found ~= nil then return found end
        local failure = vm.scenario and vm.scenario.failure
        if failure then return false, failure, "failed" end
        if vm.closed then return false, "the VM was closed", "ended" end
        if vm:stopped() then return false, "the guest ended", "ended" end
    end, timeout)
    if result then return result end
    if code == "failed" then return nil, why, why.code end
    why = code == "timeout" and "timed out" or why
    return nil, failed(vm, what, why, code, timeout, start), code
end

return try_wait
