-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A run as JUnit XML: a suite for each spec file, console tails as system-out.

local clean = require "vmm.report.clean"
local console = require "vmm.report.console"
local gather = require "vmm.report.gather"

local junit = {}

-- Of the end of each VM's console, by the test's status.
local CONSOLE_BYTES = { pass = 4096, skip = 4096, fail = 1 << 16, error = 1 << 16 }

local xml = clean.xml

local function attributes(list)
    local parts = {}
    for _, pair in ipairs(list) do
        if pair[2] ~= nil then
            parts[#parts + 1] = (' %s="%s"'):format(pair[1],
                (xml(tostring(pair[2])):gsub("\n", "&#10;"):gsub("\t", "&#9;")))
        end
    end
    return table.concat(parts)
end

local function seconds(number)
    return ("%.3f"):format(number)
end

local function first_line(text)
    return clean.bounded(text:match "^%s*([^\n]*)", 1000)
end

local function put_properties(put, indent, list)
    if #list == 0 then return end
    put(indent, "<properties>\n")
    for _, pair in ipairs(list) do
        put(indent, "  <property", attributes { { "name", pair[1] }, { "value", pair[2] } }, "/>\n")
    end
    put(indent, "</properties>\n")
end

local function test_properties(test, more)
    local list = {}
    if test.tries > 1 then list[1] = { "attempts", test.tries } end
    for _, vm in ipairs(more.vms) do
        for _, key in ipairs { "kernel", "vcpus", "memory_mib", "transport" } do
            local value = vm.config[key]
            if type(value) == "string" or type(value) == "number" then
                list[#list + 1] = { ("vm.%s.%s"):format(vm.name, key), value }
            end
        end
        if vm.reason then list[#list + 1] = { ("vm.%s.end"):format(vm.name), vm.reason } end
    end
    return list
end

local function put_console(put, vm)
    put("--- console of ", xml(vm.name), " ---\n")
    vm.console:each(function(written)
        local line = console.line(written)
        if line then
            put(line.t and ("%10.3f  "):format(line.t) or "", xml(line.text), "\n")
        end
    end, function(lines)
        put(("(%d lines left out)\n"):format(lines))
    end)
end

-- Artefacts are named as GitLab and Jenkins look for them.
local function put_output(put, more, report)
    local any = #more.artefacts > 0
    for _, vm in ipairs(more.vms) do
        any = any or vm.console.lines > 0
    end
    if not any then return end
    put "      <system-out>"
    for _, vm in ipairs(more.vms) do
        if vm.console.lines > 0 then put_console(put, vm) end
    end
    for _, artefact in ipairs(more.artefacts) do
        put("[[ATTACHMENT|", xml(report.relative(artefact.path)), "]]\n")
    end
    put "</system-out>\n"
end

local RESULTS = { fail = "failure", error = "error" }

local function put_result(put, test, more)
    local message = more.message or test.message or ""
    local element = RESULTS[test.status]
    if element then
        local text = more.traceback and message .. "\n" .. more.traceback or message
        put("      <", element, attributes { { "message", first_line(message) },
            { "type", test.unfinished and "unfinished" or test.status } }, ">", xml(text),
            "</", element, ">\n")
    elseif test.status == "skip" then
        put("      <skipped", attributes { { "message", first_line(message) } }, "/>\n")
    end
end

local function put_test(put, test, report)
    local more = gather(test.attempt, {
        console_bytes = CONSOLE_BYTES[test.status], console_head = 0,
    })
    put("    <testcase", attributes {
        { "classname", (test.spec:gsub("%.lua$", ""):gsub("/", ".")) }, { "name", test.name },
        { "file", test.spec }, { "time", seconds(test.duration) },
    }, ">\n")
    put_properties(put, "      ", test_properties(test, more))
    put_result(put, test, more)
    put_output(put, more, report.beside(test.attempt.file.path))
    put "    </testcase>\n"
end

local function when(time)
    return time and os.date("!%Y-%m-%dT%H:%M:%S", time // 1)
end

local function counts_of(counts)
    return { { "tests", counts.all }, { "failures", counts.fail }, { "errors", counts.error },
        { "skipped", counts.skip }, { "time", seconds(counts.duration) } }
end

-- What the run files that the tests of a suite are from say of their runs.
local function suite_properties(suite)
    local list, seen, several = {}, {}, false
    for _, test in ipairs(suite.tests) do
        several = several or test.attempt.file ~= suite.tests[1].attempt.file
    end
    for _, test in ipairs(suite.tests) do
        local file = test.attempt.file
        for _, key in ipairs(seen[file] and {} or { "version", "host", "seed", "shard" }) do
            local value = (file.start or {})[key]
            if type(value) == "string" or type(value) == "number" then
                list[#list + 1] = { several and ("%s: %s"):format(file.path, key) or key, value }
            end
        end
        seen[file] = true
    end
    return list
end

-- A run that lacks tests has failed, also for who looks at nothing else.
local function put_incomplete(put, self)
    if not self.incomplete then return end
    put('  <testsuite name="vmm-reference" tests="1" failures="0" errors="1" skipped="0">\n',
        '    <testcase classname="vmm-reference" name="the run is complete">\n      <error',
        attributes { { "message", "The run is incomplete" }, { "type", "incomplete" } }, ">",
        xml(table.concat(self.problems, "\n")), "</error>\n    </testcase>\n  </testsuite>\n")
end

-- Of the whole: with the test that an incomplete run has more.
local function all_counts(self)
    local more = self.incomplete and 1 or 0
    local counts = setmetatable({ all = self.counts.all + more, error = self.counts.error + more },
        { __index = self.counts })
    return counts_of(counts)
end

local function first_start(suite)
    local first
    for _, test in ipairs(suite.tests) do
        first = math.min(first or math.huge, test.started or math.huge)
    end
    return first ~= math.huge and first or nil
end

-- Writes it by put(text, ...). report.beside(run file).relative(path): where an artefact is for who
-- reads the report.
function junit.write(put, self, report)
    put('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="vmm-reference"',
        attributes(all_counts(self)), ">\n")
    for _, suite in ipairs(self.suites) do
        put("  <testsuite", attributes { { "name", suite.name } },
            attributes(counts_of(suite.counts)),
            attributes { { "timestamp", when(first_start(suite)) } }, ">\n")
        put_properties(put, "    ", suite_properties(suite))
        for _, test in ipairs(suite.tests) do
            put_test(put, test, report)
        end
        put "  </testsuite>\n"
    end
    put_incomplete(put, self)
    put "</testsuites>\n"
end

return junit
