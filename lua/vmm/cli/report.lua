-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vmm-reference report: what test runs recorded, as HTML, JUnit XML, TAP or one run file.

local clean = require "vmm.report.clean"
local report = require "vmm.report"
local terminal = require "vmm.terminal"

local command = {}

local USAGE = [[
usage: vmm-reference report [--html FILE] [--junit FILE] [--tap FILE] [--jsonl FILE] RUN.jsonl...

Writes reports of a test run from what it recorded (vmm-reference test --report).
Several run files are one run: shards of it, or parts that were run again; of a
test that ran again the last attempt counts.  FILE may be - for standard output.

  --html FILE   one page with steps, consoles, boot charts; needs no other file
  --junit FILE  JUnit XML, for CI services
  --tap FILE    Test Anything Protocol, version 14
  --jsonl FILE  one run file out of all

Says what has failed, and counts.  Exit codes: 0 all passed; 1 not all passed, the
run is incomplete, or a file cannot be read or written; 2 usage.
]]

-- { outputs = { { format, path }... }, files = { path... } } or nil, message
local function parse(args)
    local options, at = { outputs = {}, files = {} }, 1
    while args[at] do
        local word = args[at]
        local name, value = word:match "^%-%-(%l+)=(.+)$"
        name = name or word:match "^%-%-(%l+)$"
        if word == "-h" or word == "--help" then
            options.help = true
        elseif name and report.formats[name] then
            if not value then
                at = at + 1
                value = args[at]
            end
            if not value then return nil, ("report: --%s needs a FILE"):format(name) end
            table.insert(options.outputs, { name, value == "-" and "/dev/stdout" or value })
        elseif word:sub(1, 1) == "-" and #word > 1 then
            return nil, "report: unknown option " .. word .. "; vmm-reference report --help"
        else
            table.insert(options.files, word)
        end
        at = at + 1
    end
    if #options.files == 0 and not options.help then
        return nil, "report: which RUN.jsonl? what vmm-reference test --report FILE wrote;"
            .. " vmm-reference report --help"
    end
    return options
end

-- What did not go well, a line each.
local function tell(run)
    local parts = {}
    for _, test in ipairs(run.tests) do
        if test.status == "fail" or test.status == "error" then
            parts[#parts + 1] = ("FAILED %s: %s: %s\n"):format(clean.line(test.spec),
                clean.line(test.name), clean.line((test.message or ""):match "^%s*([^\n]*)"))
        elseif test.tries > 1 then
            parts[#parts + 1] = ("RETRIED %s: %s: passed at attempt %d\n"):format(
                clean.line(test.spec), clean.line(test.name), test.tries)
        end
    end
    for _, problem in ipairs(run.problems) do
        parts[#parts + 1] = "NOTE " .. clean.line(problem) .. "\n"
    end
    parts[#parts + 1] = report.closing(run) .. (run.incomplete and ", incomplete" or "") .. "\n"
    return table.concat(parts)
end

local function make(options)
    local run, message = report.read(options.files)
    if not run then return 1, "report: " .. message end
    local to_output = false
    for _, output in ipairs(options.outputs) do
        local ok
        ok, message = report.render(output[2], output[1], run)
        if not ok then return 1, "report: " .. message end
        to_output = to_output or output[2] == "/dev/stdout"
    end
    if to_output then
        io.stderr:write(tell(run))
    else
        terminal.write(tell(run))
    end
    return report.passed(run) and 0 or 1
end

-- Runs; returns an exit code, and a message when something is to be said.
function command.main(args)
    local options, message = parse(args)
    if not options then return 2, message end
    if options.help then
        terminal.write(USAGE)
        return 0
    end
    return make(options)
end

return command
