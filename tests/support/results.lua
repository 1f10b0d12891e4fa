-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A busted output handler: one line for each spec file and failure to read, and, in the file that
-- VMM_TEST_RESULTS names, one line for each test to count.
--
-- Such a line is "pass", "fail" or "skip", the spec's file, the test's name and why, with tabs
-- between. The last line is "end": without it busted did not get to its end.

local path = os.getenv("VMM_TEST_RESULTS") or "/dev/null"

local function one_line(text)
    return (tostring(text):gsub("%s+", " "))
end

return function()
    local busted = require "busted"
    local handler = require "busted.outputHandlers.base"()
    local results = assert(io.open(path, "a"))
    local counts, file_name

    local function record(kind, name, reason)
        counts[kind] = counts[kind] + 1
        results:write(table.concat({
            kind, file_name or "?", one_line(name), one_line(reason or ""),
        }, "\t"), "\n")
        results:flush()
    end

    local function show_failure(failure)
        local trace = failure.trace or {}
        local message = failure.message
        if type(message) ~= "string" then
            message = message == nil and "no message" or tostring(message)
        end
        print("  FAIL    " .. failure.name)
        if trace.short_src then
            print(("          %s:%d"):format(trace.short_src, trace.currentline))
        end
        print("          " .. message:gsub("\n", "\n          "))
        record("fail", failure.name, message)
    end

    local function on_file_start(file)
        file_name = file.name
        counts = { pass = 0, fail = 0, skip = 0, start = os.time() }
        return nil, true
    end

    local function on_file_end()
        print(("  %-7s %s: %d passed%s%s (%d s)"):format(
            counts.fail > 0 and "FAIL" or "ok", file_name, counts.pass,
            counts.fail > 0 and (", %d failed"):format(counts.fail) or "",
            counts.skip > 0 and (", %d skipped"):format(counts.skip) or "",
            os.time() - counts.start))
        io.flush()
        return nil, true
    end

    local function on_test_end(_, _, status)
        if status == "success" then
            record("pass", handler.successes[#handler.successes].name)
        elseif status == "pending" then
            local test = handler.pendings[#handler.pendings]
            record("skip", test.name, ((test.message or "pending"):gsub("^%S+:%d+: ", "")))
        elseif status == "failure" then
            show_failure(handler.failures[#handler.failures])
        else
            show_failure(handler.errors[#handler.errors])
        end
        return nil, true
    end

    -- Outside of any test: a file that does not load, a set-up that throws.
    local function on_error(element)
        if element.descriptor ~= "it" then
            counts = counts or { pass = 0, fail = 0, skip = 0 }
            show_failure(handler.errors[#handler.errors])
        end
        return nil, true
    end

    local function on_suite_end()
        results:write("end\n")
        results:close()
        return nil, true
    end

    busted.subscribe({ "file", "start" }, on_file_start)
    busted.subscribe({ "file", "end" }, on_file_end)
    busted.subscribe({ "test", "end" }, on_test_end)
    busted.subscribe({ "error" }, on_error)
    busted.subscribe({ "failure" }, on_error)
    busted.subscribe({ "suite", "end" }, on_suite_end)
    return handler
end
