-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Reports of test runs: run files read, together if they are shards of one run, and written as
-- HTML, JUnit XML, TAP or one run file.

local argument = require "vmm.argument"
local file = require "vmm.file"
local paths = require "vmm.report.paths"
local run = require "vmm.report.run"

local report = {
    read = run.read,
    closing = run.closing,
    passed = run.passed,
}

-- By the name of a format: the module that writes it, and how its files' names end.
report.formats = {
    html = { module = "vmm.report.html", endings = { "html", "htm" } },
    junit = { module = "vmm.report.junit", endings = { "xml" } },
    tap = { module = "vmm.report.tap", endings = { "tap" } },
    jsonl = { module = "vmm.report.jsonl", endings = { "jsonl" } },
}

local function format_of(path)
    local ending = path:match "%.(%w+)$"
    for name, format in pairs(report.formats) do
        for _, known in ipairs(format.endings) do
            if known == ending then return name end
        end
    end
    error(("vmm.report.write: what is %s to be? Its name must end in .html, .xml (JUnit), .tap or"
        .. " .jsonl"):format(path), 3)
end

-- Writes a run, as report.read gives it, in a format.
function report.render(path, format, self)
    local writer = require(report.formats[format].module)
    local places = paths.of_report(path)
    return file.write(path, function(put)
        writer.write(put, self, places)
    end)
end

-- Writes the report of run files (a list of paths, or one), as what the path's name ends in says.
-- true, or nil, message, code.
function report.write(path, run_files)
    argument.type("vmm.report.write: path", path, "string")
    if type(run_files) == "string" then run_files = { run_files } end
    argument.type("vmm.report.write: run_files", run_files, "table")
    argument.check(#run_files > 0, "vmm.report.write: run_files", "at least one path", run_files)
    local format = format_of(path)
    local self, message, code = run.read(run_files)
    if not self then return nil, message, code end
    return report.render(path, format, self)
end

return report
