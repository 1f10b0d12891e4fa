-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vm:pause and vm:resume, with the guest's time going on or standing still meanwhile.

local argument = require "vmm.argument"
local core = require "vmm.core"
local text = require "vmm.text"

local methods = core.classes["vmm.vm"]

-- The core's, also for those who load this module anew.
methods.pause_vcpus = methods.pause_vcpus or methods.pause
methods.resume_vcpus = methods.resume_vcpus or methods.resume

local TIMES = { "runs", "stops" }

-- vm:pause([timeout]) or vm:pause{ timeout = seconds } -> true, or nil, message, code ("ETIMEDOUT":
-- the request stands). In a handler of this VM: after it has returned.
function methods.pause(vm, options)
    if type(options) == "table" then
        options = argument.options("vm:pause", options, { "timeout" }).timeout
    end
    if options ~= nil then
        options = math.max(0, argument.seconds("vm:pause: timeout", options))
    end
    return vm:pause_vcpus(options)
end

-- vm:resume{ time = "runs" | "stops" } -> true, seconds that time stood still; or nil, message,
-- code, and the VM is still paused.
--   runs   (default) for the guest, the time of the pause has gone by, as if its CPUs had been busy
--          elsewhere
--   stops  the guest's clocks go on from where they stood when the last vCPU was paused
function methods.resume(vm, options)
    options = argument.options("vm:resume", options, { "time" })
    local time, stood = options.time or "runs", 0
    if time == "stops" then
        local message, code
        stood, message, code = vm:stand_still()
        if not stood then return nil, message, code end
    elseif time ~= "runs" then
        error(("vm:resume: time = %s%s valid: %s"):format(text.show(time),
            text.suggest(time, TIMES), table.concat(TIMES, ", ")), 2)
    end
    if vm.breakpoints then vm:forget_breaks() end
    vm:resume_vcpus()
    return true, stood
end

local STEP_PAUSE_SECONDS = 10

-- vm:step_clock(seconds) -> true, or nil, message, code: the guest's clocks leap ahead, and what it
-- has waited for until then is due. A VM that is paused stays so.
function methods.step_clock(vm, seconds)
    argument.seconds("vm:step_clock: seconds", seconds)
    argument.check(seconds >= 0, "vm:step_clock: seconds", "at least 0", seconds)
    local was_paused = vm.vcpus[1].state == "paused"
    local ok, message, code = vm:pause(STEP_PAUSE_SECONDS)
    if not ok then return nil, message, code end
    ok, message, code = vm:step_time(seconds)
    if not was_paused then vm:resume() end
    return ok, message, code
end

return methods
