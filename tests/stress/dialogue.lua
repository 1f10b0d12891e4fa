-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Runs the specs of the console dialogue many times in a row, with busy processes beside them if
-- asked: tiny guests, in one lab where this host has no KVM.
--
-- usage: tests/stress/dialogue.lua [ROUNDS] [BUSY]
--   ROUNDS  how many times (200)
--   BUSY    how many processes spin meanwhile (0)

package.path = "./lua/?.lua;./lua/?/init.lua;" .. package.path
local lab = require "vmm.lab"
local process = require "vmm.process"

local SPEC = "tests/spec/kvm/dialogue_spec.lua"
local FILES = { ".busted", "lua", "tests", ".build/guest" }
local LIMIT = 6 * 3600

local function count(value, default, what)
    local number = math.tointeger(tonumber(value or default))
    if not number or number < 0 then
        io.stderr:write(("tests/stress/dialogue.lua: %s must be a number, not %s\n")
            :format(what, value))
        os.exit(2)
    end
    return number
end

-- Processes that do nothing but compute, until the end of this one.
local function start_busy(number)
    local pids = {}
    for i = 1, number do
        pids[i] = process.line { "sh", "-c",
            "(while :; do :; done) </dev/null >/dev/null 2>&1 & echo $!" }
    end
    return setmetatable(pids, {
        __close = function()
            for _, pid in ipairs(pids) do
                process.capture { "kill", pid }
            end
        end,
    })
end

local function run_here(rounds, busy)
    local _ <close> = start_busy(busy)
    return process.run { "env", "VMM_DIALOGUE_ROUNDS=" .. rounds, process.executable(),
        "/usr/bin/busted", "--output=tests/support/results.lua", "--pattern=_spec", SPEC }
end

local function run_in_lab(rounds, busy)
    local files = {}
    for _, path in ipairs(FILES) do
        files[#files + 1] = process.stat1(path) and path
    end
    local code, message = lab.run {
        args = { "tests/stress/dialogue.lua", tostring(rounds), tostring(busy) },
        busted = true, files = files, input = false, run_limit = LIMIT,
    }
    if not code then io.stderr:write(message, "\n") end
    return code or 1
end

local rounds, busy = count(arg[1], 200, "ROUNDS"), count(arg[2], 0, "BUSY")
local kvm = io.open("/dev/kvm", "r+b")
if kvm then kvm:close() end
os.exit((kvm and run_here or run_in_lab)(rounds, busy))
