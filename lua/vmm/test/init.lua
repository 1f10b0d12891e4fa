-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vmm-reference test: runs busted specs in processes of their own, and reports.

local core = require "vmm.core"
local options = require "vmm.test.options"
local plan = require "vmm.test.plan"
local process = require "vmm.process"
local terminal = require "vmm.terminal"

local test = {}

local NO_BUSTED = "test: this host has no busted for Lua 5.4; Debian's package is lua-busted"

-- The words of busted's own options.
local function busted_words(given)
    local words = {}
    for key, name in pairs {
        filter = "filter", filter_out = "filter-out", tags = "tags", exclude_tags = "exclude-tags",
    } do
        for _, value in ipairs(given[key] or {}) do
            words[#words + 1] = ("--%s=%s"):format(name, value)
        end
    end
    for key, name in pairs { helper = "helper", lpath = "lpath" } do
        words[#words + 1] = given[key] and ("--%s=%s"):format(name, given[key])
    end
    if given.seed then
        words[#words + 1] = "--shuffle-tests"
        words[#words + 1] = ("--seed=%d"):format(given.seed)
    end
    return words
end

-- What scripts find in their environment.
local function variables(given)
    return {
        VMM_SEED = given.seed and tostring(given.seed) or nil, VMM_TEST_KERNEL = given.kernel,
    }
end

-- The files to run; or nil, message.
local function choose_files(given)
    local files, message = plan.files(given.paths)
    if not files then return nil, message end
    given.lines = message
    if given.shard then
        local durations
        if given.durations then
            durations, message = plan.of_report(given.durations)
            if not durations then return nil, message end
        end
        files = plan.shard(files, given.shard, durations)
    end
    return plan.order(files, given)
end

local function shard_words(given)
    return given.shard and ("%d/%d"):format(given.shard.index, given.shard.count) or "1/1"
end

local function host_name()
    local file <close> = io.open "/proc/sys/kernel/hostname"
    return file and file:read "l" or "unknown"
end

-- true, or nil, message
local function write_report(path, results)
    if path == results.path then return not results.failure, results.failure end
    if path:match "%.jsonl$" then
        local ok, message = process.capture({ "cp", "--", results.path, path },
            { stderr = "merge" })
        return ok and true, message
    end
    return require("vmm.report").write(path, results.path)
end

-- The results, whose run file is the first report that is to be one, so that a run that is killed
-- leaves what it knew; elsewhere if there is none such, or it is no plain file.
local function new_results(given, scratch)
    local new = require("vmm.test.results").new
    local paths = table.move(given.reports or {}, 1, #(given.reports or {}), 1, {})
    paths[#paths + 1] = given.artefacts and given.artefacts .. "/run.jsonl"
    for _, path in ipairs(paths) do
        local plain = path:match "%.jsonl$" and (core.file_kind(path) or "file") == "file"
        local made = plain and new(path)
        if made then return made end
    end
    return assert(new(scratch .. "/run.jsonl"))
end

local function complain(message)
    io.stderr:write("vmm-reference: ", message, "\n")
end

local function write_reports(given, results)
    local all = true
    for _, path in ipairs(given.reports or {}) do
        local ok, message = write_report(path, results)
        if not ok then complain(("test: %s: %s"):format(path, message)) end
        all = all and ok
    end
    return all
end

-- Does the run tell how long whole files take?
local function is_whole(given)
    return not (next(given.lines) or given.list or given.filter or given.filter_out or given.tags
        or given.exclude_tags)
end

-- Has all tests named.
local function list_all(results, write)
    results.listed = 0
    function results.on_start(event)
        results.listed = results.listed + 1
        write(("%s%s: %s\n"):format(event.file, event.line and ":" .. event.line or "", event.name))
    end
end

-- What stays behind.
local function tell_kept(show, kept, full)
    local harmless = require("vmm.test.progress").harmless
    for _, one in ipairs(kept) do
        show:say("  KEPT    %s", harmless(("%s\nVMs: %s\nprompt: vmm-reference test --attach %s\n"
            .. "end: kill %d"):format(one.test, table.concat(one.vms, ", "),
            process.quote(one.prompt), one.pid)):gsub("\n", "\n          "))
    end
    if full then
        show:say("  KEPT    %d processes are the most: VMs of tests that failed later, if any, "
            .. "are gone", #kept)
    end
end

local function summary(results, show, files, stopped, left)
    for _, line in ipairs(results.retried) do
        show:say("  RETRIED %s", line)
    end
    for _, line in ipairs(results.skipped) do
        show:say("  SKIPPED %s", line)
    end
    if stopped then
        show:say("%s%s", stopped, #left > 0 and ("; %d of %d files have not been run to their end")
            :format(#left, files) or "")
    end
end

-- What a run that has come to its end is worth.
local function exit_code(given, results)
    if results.fail > 0 then return 1 end
    local none = results.pass + results.skip == 0 and not given.list
    if none and not given.shard then return 1, "test: no test has been run" end
    return 0
end

local function run_all(given, files, scratch)
    local results = new_results(given, scratch)
    local show = require("vmm.test.progress").new {
        results = results, files = #files * given.repeats, verbose = given.verbose,
        terminal = core.terminal.shows() and not given.debug and not given.list,
        write = terminal.write, quiet = given.list,
    }
    if given.list then list_all(results, terminal.write) end
    if given.artefacts then require("vmm.test.keep").attach(results, given.artefacts) end
    given.scratch, given.words, given.variables = scratch, busted_words(given), variables(given)
    results:write {
        event = "run_start", seed = given.seed, shard = shard_words(given), paths = given.paths,
        version = core.version, host = host_name(),
    }
    if given.seed then show:say("seed %d", given.seed) end
    if given.shard then show:say("shard %s: %d files", shard_words(given), #files) end
    local run = require("vmm.test.run").new(files, given, results, show)
    local stopped, code = run:run()
    show:close()
    tell_kept(show, run:held())
    summary(results, show, #files, stopped, run:left())
    local line = results:close(stopped, run:left())
    if given.artefacts then write_report(given.artefacts .. "/run.jsonl", results) end
    local reported = write_reports(given, results)
    if not stopped and is_whole(given) then plan.remember(run.durations) end
    show:say("%s", given.list and results.fail == 0 and results.listed .. " tests" or line)
    if stopped then return code end
    local message
    code, message = exit_code(given, results)
    return reported and code or math.max(code, 1), message
end

local function run_in_scratch(given, files)
    local scratch, message = process.temporary_directory "vmm-test"
    if not scratch then return 1, "test: " .. message end
    if given.artefacts then
        local ok
        ok, message = process.make_directory(given.artefacts)
        if not ok then
            return 1, ("test: %s: %s"):format(given.keep and "--keep" or "--artefacts", message)
        end
    end
    local results = table.pack(pcall(run_all, given, files, scratch))
    process.remove(scratch)
    if not results[1] then error(results[2], 0) end
    return table.unpack(results, 2, results.n)
end

local function run(given)
    if not package.searchpath("busted.runner", package.path) then return 1, NO_BUSTED end
    local files, message = choose_files(given)
    if not files then return 2, message end
    return run_in_scratch(given, files)
end

-- Runs; returns an exit code, and a message when something is to be said.
function test.main(args)
    local given, message = options.parse(args)
    if not given then return 2, message end
    if given.help then
        terminal.write(options.USAGE)
        return 0
    elseif given.worker then
        return require("vmm.test.worker").main(given.worker)
    end
    local main = given.attach and require("vmm.test.attach").main or run
    local ok, code, more = terminal.run(main, given.attach or given)
    if ok then return code, more end
    return 1, tostring(code)
end

return test
