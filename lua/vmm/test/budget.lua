-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The time that a test, a set-up or a teardown may take: when it is over, its wait raises.

local core = require "vmm.core"
local sched = require "vmm.sched"

local Budget = {}
Budget.__index = Budget

local budget = {}

local AGAIN_SECONDS = 1 -- after which a test that has caught the error gets it again

local Expiry = { __name = "vmm.test_budget" }

function Expiry:__tostring()
    return ("the test budget is over: %s has taken %.1f s, %g s are allowed (--test-timeout)%s")
        :format(self.what, self.elapsed, self.limit, self.states)
end

-- What the VMs that are open are at, in words.
local function states()
    local explain = require "vmm.scenario.explain"
    local texts = {}
    for _, vm in ipairs(require("vmm.alive").list()) do
        local ok, text = pcall(explain.state, vm)
        texts[#texts + 1] = ("\n%s: %s"):format(vm.name, ok and text or "unknown")
    end
    return table.concat(texts)
end

-- Waits beside the test.
local function guard(self, turn, what)
    local start, limit = core.now(), self.limit
    local patience = limit
    repeat
        local over = sched.wait(function()
            return self.turn ~= turn or nil
        end, patience)
        if not over and self.turn == turn then
            self.expired = true
            sched.raise(self.task, setmetatable({
                code = "timeout", what = what, elapsed = core.now() - start, limit = limit,
                states = states(),
            }, Expiry))
        end
        patience = AGAIN_SECONDS
    until over or self.turn ~= turn
end

-- budget.new(seconds) -> one for the calling task, whose limit is scaled.
function budget.new(seconds)
    return setmetatable({
        task = assert(sched.current()), limit = sched.scaled(seconds), turn = 0,
    }, Budget)
end

-- What ran before has ended; from now on it is `what` whose time counts, nil: nothing.
function Budget:start(what)
    self.turn = self.turn + 1
    if self.expired then sched.raise(self.task, nil) end
    self.expired = false
    if what then sched.spawn(guard, self, self.turn, what) end
end

return budget
