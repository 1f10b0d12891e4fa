-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A run as TAP 14: a line for each test, YAML for what is to be said of those that did not pass.

local clean = require "vmm.report.clean"
local gather = require "vmm.report.gather"
local json = require "vmm.json"
local run = require "vmm.report.run"

local tap = {}

local CONSOLE_BYTES = 1 << 14

-- A description or reason: one line in which nothing is a directive.
local function words(text)
    return (clean.line(text):gsub("[\\#]", "\\%0"))
end

-- A value in YAML. Lines are a block of their own; one that begins with a blank could be taken for
-- an indentation, and is written with escapes instead.
local function yaml(key, value)
    if type(value) ~= "string" then return ("  %s: %s\n"):format(key, tostring(value)) end
    value = clean.text(value):gsub("[ \t]*\n", "\n"):gsub("^\n+", ""):gsub("%s+$", "")
    if not value:find "\n" or value:find "^[ \t]" then
        return ("  %s: %s\n"):format(key, json.encode(value))
    end
    return ("  %s: |\n    %s\n"):format(key, (value:gsub("\n", "\n    ")))
end

-- How each VM ended. Keys are words, for some readers know no others.
local function put_ends(put, vms)
    local parts = {}
    for _, vm in ipairs(vms) do
        if vm.reason then
            parts[#parts + 1] = "  " .. yaml(vm.name:gsub("[^%w_]", "_"), vm.reason)
        end
    end
    if parts[1] then put("  vms:\n", table.concat(parts)) end
end

local function diagnose(put, test)
    local more = gather(test.attempt, { console_bytes = CONSOLE_BYTES })
    put "  ---\n"
    put(yaml("message", more.message or test.message or "no message"))
    if more.traceback then put(yaml("traceback", more.traceback)) end
    put(yaml("severity", test.status))
    put(yaml("file", test.spec))
    put(yaml("duration_ms", tonumber(("%.3f"):format(test.duration * 1e3))))
    if test.tries > 1 then put(yaml("attempts", test.tries)) end
    put_ends(put, more.vms)
    put "  ...\n"
end

local function put_test(put, number, test)
    local failed = test.status == "fail" or test.status == "error"
    put(failed and "not ok " or "ok ", tostring(number), " - ", words(test.spec), ": ",
        words(test.name))
    if test.status == "skip" then put(" # SKIP ", words(test.message or "")) end
    put "\n"
    if failed then
        diagnose(put, test)
    elseif test.tries > 1 then
        put("# passed at attempt ", tostring(test.tries), "\n")
    end
end

-- Writes it by put(text, ...).
function tap.write(put, self)
    put("TAP version 14\n", "1..", tostring(#self.tests), "\n")
    for number, test in ipairs(self.tests) do
        put_test(put, number, test)
    end
    for _, problem in ipairs(self.problems) do
        put("# ", words(problem), "\n")
    end
    put("# ", run.closing(self), "\n")
    if self.incomplete then put "Bail out! The run is incomplete.\n" end
end

return tap
