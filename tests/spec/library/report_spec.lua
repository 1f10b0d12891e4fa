-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Reports of test runs: run files read and merged, and what is made of them.

local json = require "vmm.json"
local process = require "vmm.process"
local sample = require "tests.spec.support.sample_run"
local vmm = require "vmm"

local SPEC = "tests/a_spec.lua"

local function read(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end

local function write(path, text)
    local file <close> = assert(io.open(path, "wb"))
    assert(file:write(text))
    return path
end

describe("A report", function()
    local folder

    setup(function()
        folder = assert(process.temporary_directory "vmm-report")
    end)

    teardown(function()
        process.remove(folder)
    end)

    local files = 0
    -- A new run file with a text, or of a run in the making.
    local function file(run)
        files = files + 1
        local path = ("%s/%d.jsonl"):format(folder, files)
        return write(path, type(run) == "string" and run or run:text())
    end

    local function report(ending, ...)
        local path = ("%s/report.%s"):format(folder, ending)
        assert(vmm.report.write(path, { ... }))
        return read(path)
    end

    -- The outcome of each test: "name: status" in order.
    local function outcomes(run)
        local list = {}
        for _, test in ipairs(run.tests) do
            list[#list + 1] = ("%s: %s"):format(test.name, test.status)
        end
        return list
    end

    -- Is a text in another? What is told of a page that lacks it is not the page.
    local function has(text, words)
        assert.is_true(text:find(words, 1, true) ~= nil, words .. " is missing")
    end

    -- The report as a real parser of XML sees it: what an XPath expression is of it.
    local function xpath(expression, path)
        local output, more = process.capture({ "xmllint", "--xpath", expression, path },
            { stderr = "merge" })
        return assert(output, more):gsub("\n$", "")
    end

    describe("of run files", function()
        it("has the tests of all shards", function()
            local run = assert(vmm.report.read {
                file(sample.new({ shard = "1/2" }):add(SPEC, "one", "pass"):stop()),
                file(sample.new({ shard = "2/2" }):add(SPEC, "two", "fail"):stop()),
            })
            assert.same({ "one: pass", "two: fail" }, outcomes(run))
            assert.equal("1 passed, 1 failed, 0 skipped", vmm.report.closing(run))
            assert.is_false(run.incomplete)
            assert.same({}, run.problems)
        end)

        it("counts the last attempt of a test in one file, and tells the others", function()
            local run = assert(vmm.report.read { file(sample.new()
                :add(SPEC, "one", "fail", { message = "first" })
                :add(SPEC, "one", "pass"):stop()) })
            assert.same({ "one: pass" }, outcomes(run))
            local test = run.tests[1]
            assert.equal(2, test.tries)
            assert.equal("first", test.earlier[1].message)
            assert.equal("fail", test.earlier[1].status)
        end)

        it("takes an attempt that was tried again apart from the next", function()
            local run = sample.new():start(SPEC, "one"):pass_time(2)
            run:emit { event = "console", vm = "vm", t = 1, stream = "console", text = "first" }
            run:retry { message = "no" }:pass_time(3)
            run:emit { event = "console", vm = "vm", t = 1, stream = "console", text = "second" }
            local path = file(run:pass_time(4):finish("pass", { attempts = 2 }):stop())
            local test = assert(vmm.report.read { path }).tests[1]
            assert.same({ "pass", 2, 1, "one", SPEC }, { test.status, test.tries, #test.earlier,
                test.name, test.spec })
            assert.same({ "fail", "no", 2.0 }, { test.earlier[1].status, test.earlier[1].message,
                test.earlier[1].duration })
            assert.equal(sample.EPOCH + 5, test.started)
            report("xml", path)
            assert.equal("--- console of vm ---\n     1.000  second\n",
                xpath("string(//system-out)", folder .. "/report.xml"))
        end)

        it("counts the latter attempt in a file, whatever its clock says", function()
            local run = sample.new():add(SPEC, "one", "fail"):pass_time(-30)
            assert.same({ "one: pass" }, outcomes(assert(vmm.report.read {
                file(run:add(SPEC, "one", "pass"):stop()) })))
        end)

        it("counts the later attempt of two files, in whichever order they come", function()
            local first = file(sample.new():add(SPEC, "one", "fail"):stop())
            local later = file(sample.new():pass_time(60):add(SPEC, "one", "pass"):stop())
            for _, list in ipairs { { first, later }, { later, first } } do
                local run = assert(vmm.report.read(list))
                assert.same({ "one: pass" }, outcomes(run))
                assert.equal(1, #run.tests[1].earlier)
            end
        end)

        it("counts an attempt that ended rather than a later one that did not", function()
            local whole = file(sample.new():add(SPEC, "one", "pass"):stop())
            local lost = file(sample.new():pass_time(60):start(SPEC, "one"))
            assert.same({ "one: pass" }, outcomes(assert(vmm.report.read { whole, lost })))
        end)

        it("names tests that are repeated apart", function()
            local run = sample.new()
            for k = 1, 2 do
                run:emit { event = "test_start", id = ("%s:one#%d"):format(SPEC, k), file = SPEC,
                    name = "one" }
                run.test, run.started = ("%s:one#%d"):format(SPEC, k), run.time
                run:finish "pass"
            end
            assert.same({ "one #1: pass", "one #2: pass" },
                outcomes(assert(vmm.report.read { file(run:stop()) })))
        end)

        it("keeps events of tests apart that ran side by side", function()
            local run = sample.new()
            local function emit(test, event)
                event.test = SPEC .. ":" .. test
                run:emit(event)
            end
            for _, name in ipairs { "one", "two" } do
                local id = SPEC .. ":" .. name
                run:emit { event = "test_start", id = id, file = SPEC, name = name }
            end
            for i = 1, 100 do
                for _, name in ipairs { "one", "two" } do
                    emit(name, { event = "console", vm = "vm", t = i, stream = "console",
                        text = ("%s says %d"):format(name, i) })
                end
            end
            emit("two", { event = "test_end", status = "pass", duration = 1 })
            emit("one", { event = "test_end", status = "fail", duration = 1, message = "no" })
            local path = file(run:stop())
            report("xml", path)
            local text = xpath("string(//testcase[@name='one']/system-out)",
                folder .. "/report.xml")
            assert.equal(100, select(2, text:gsub("one says", "")))
            assert.is_nil(text:find "two")
        end)
    end)

    describe("of a run that was cut short", function()
        local function cut_run()
            return sample.new():add(SPEC, "one", "pass"):start(SPEC, "two")
        end

        it("says so, and that a test did not end", function()
            local path = file(cut_run())
            local run = assert(vmm.report.read { path })
            assert.is_true(run.incomplete)
            assert.same({ "one: pass", "two: error" }, outcomes(run))
            assert.equal("The test did not end: its run stopped first.", run.tests[2].message)
            assert.same({ path .. ": the run did not end: 1 test had ended by then" }, run.problems)
        end)

        it("reads a file up to its cut last line", function()
            local text = cut_run():text()
            local whole = #text - #text:match "[^\n]*\n$"
            for length = whole + 1, #text - 2, 7 do
                local run = assert(vmm.report.read { file(text:sub(1, length)) })
                assert.is_true(run.incomplete)
                assert.equal("one: pass", outcomes(run)[1])
                assert.matches("its last line is cut off", run.problems[1])
            end
        end)

        it("reads a last line that lacks nothing but its newline", function()
            local run = sample.new():add(SPEC, "one", "pass"):stop()
            run = assert(vmm.report.read { file(run:text():sub(1, -2)) })
            assert.is_false(run.incomplete)
            assert.same({}, run.problems)
        end)

        it("is complete when its shard was run again", function()
            local lost = file(sample.new({ shard = "1/1" }):start(SPEC, "one"))
            local again = file(sample.new({ shard = "1/1" }):pass_time(9):add(SPEC, "one", "pass")
                :stop())
            local run = assert(vmm.report.read { lost, again })
            assert.is_false(run.incomplete)
            assert.same({ "one: pass" }, outcomes(run))
            assert.matches("the run did not end", run.problems[1])
        end)

        it("says which shards are missing", function()
            local run = assert(vmm.report.read {
                file(sample.new({ shard = "2/4" }):add(SPEC, "one", "pass"):stop()),
                file(sample.new({ shard = "3/4" }):start(SPEC, "two")),
            })
            assert.is_true(run.incomplete)
            assert.equal("incomplete: shards 1/4, 3/4, 4/4 did not end or are not here",
                run.problems[1])
        end)

        it("of an empty file says that nothing ran", function()
            local run = assert(vmm.report.read { file "" })
            assert.is_true(run.incomplete)
            assert.equal(0, #run.tests)
        end)

        it("is a failure to who reads JUnit or TAP", function()
            local path = file(cut_run())
            report("xml", path)
            assert.equal("The run is incomplete", xpath(
                "string(//testcase[@name='the run is complete']/error/@message)",
                folder .. "/report.xml"))
            assert.equal("2", xpath("string(/testsuites/@errors)", folder .. "/report.xml"))
            assert.matches("\nBail out! The run is incomplete.\n$", report("tap", path))
        end)
    end)

    describe("of a file that is none", function()
        it("is refused", function()
            local _, message, code = vmm.report.read { file "# a text\nof two lines\n" }
            assert.matches("is no run file: there is no test in it$", message)
            assert.equal("EINVAL", code)
            _, message, code = vmm.report.read { folder .. "/none" }
            assert.matches("cannot read .*/none: No such file", message)
            assert.equal("EIO", code)
            _, message, code = vmm.report.read { folder }
            assert.matches("cannot read", message)
            assert.equal("EIO", code)
        end)

        it("has the others when lines are no events or endless, and says so", function()
            local run = sample.new():add(SPEC, "one", "pass")
            run.lines[#run.lines + 1] = "not JSON"
            run.lines[#run.lines + 1] = ('{"event":"note","text":"%s"}'):format(("x"):rep(5 << 20))
            run = assert(vmm.report.read { file(run:add(SPEC, "two", "pass"):stop()) })
            assert.same({ "one: pass", "two: pass" }, outcomes(run))
            assert.matches("1 line that is no event is in it", run.problems[1])
            assert.matches("1 endless line is left out", run.problems[2])
        end)

        it("is made of any values of the fields that it knows", function()
            local values = { false, 0, -1.5, "x", json.array {}, { a = 1 }, json.null, 1e300 }
            local fields = { "time", "t", "text", "vm", "step", "parent", "kind", "duration", "ok",
                "detail", "level", "stamp", "stream", "exits", "resident_bytes", "reason",
                "metrics", "config", "path", "name", "message", "traceback", "attempts",
                "earlier" }
            local run = sample.new():start(SPEC, "one")
            for _, field in ipairs(fields) do
                for _, value in ipairs(values) do
                    for _, kind in ipairs { "step", "vm", "console", "sample", "vm_end",
                        "artefact" } do
                        local event = { event = kind, vm = "vm", t = 1, step = 1, text = "text" }
                        event[field] = value
                        run:emit(event)
                    end
                end
            end
            for _, field in ipairs(fields) do
                for _, value in ipairs(values) do
                    run:emit { event = "test_end", status = "fail", [field] = value }
                end
            end
            local path = file(run:stop())
            for _, ending in ipairs { "html", "xml", "tap", "jsonl" } do
                assert.is_true(#report(ending, path) > 100)
            end
        end)
    end)

    describe("as TAP", function()
        it("has a line for each test, and YAML for those that failed", function()
            assert.equal([[
TAP version 14
1..3
not ok 1 - tests/a_spec.lua: is \# one
  ---
  message: |
    expected 1
      got 2
  traceback: "here"
  severity: "fail"
  file: "tests/a_spec.lua"
  duration_ms: 125.0
  ...
ok 2 - tests/a_spec.lua: is two # SKIP no \# room
ok 3 - tests/a_spec.lua: is three
# passed at attempt 3
# 1 passed, 1 failed, 1 skipped
]], report("tap", file(sample.new()
                :add(SPEC, "is # one", "fail", { message = "expected 1\n  got 2\n",
                    traceback = "here" })
                :add(SPEC, "is two", "skip", { message = "no # room" })
                :add(SPEC, "is three", "pass", { attempts = 3 }):stop())))
        end)

        it("is what prove reads", function()
            local text = report("tap", file(sample.full()))
            -- Debian 12's knows version 13, of which 14 is an extension.
            text = text:gsub("^TAP version 14", "TAP version 13")
            local path = write(folder .. "/13.tap", text)
            local script = [==[
                my $parser = TAP::Parser->new({ exec => ["cat", $ARGV[0]] });
                while (my $result = $parser->next) {
                    next unless $result->is_yaml;
                    print "yaml ", join(" ", sort keys %{ $result->data }), "\n";
                }
                printf "%d of %d, failed: %s, skipped: %s, errors: %s\n",
                    scalar $parser->passed, $parser->tests_planned, join(" ", $parser->failed),
                    join(" ", $parser->skipped), join(" ", $parser->parse_errors);
            ]==]
            local output, more = process.capture({ "perl", "-MTAP::Parser", "-e", script, path },
                { stderr = "merge" })
            local yaml = "yaml duration_ms file message severity traceback vms\n"
            assert.equal(yaml .. yaml .. "15 of 17, failed: 15 16, skipped: 17, errors: \n",
                output or more)
        end)
    end)

    describe("as JUnit XML", function()
        local path

        setup(function()
            path = folder .. "/full.xml"
            assert(vmm.report.write(path, file(sample.full())))
        end)

        it("is well-formed, whatever guests print", function()
            assert.equal("", xpath("string(//nothing)", path))
            local output = xpath("string(//testsuite[contains(@name,'panic')]"
                .. "/testcase[1]/system-out)", path)
            has(output, "<script>document.title='owned'</script>")
            has(output, "]]> &amp; &#0; <![CDATA[  txt.exe")
            assert.is_nil(output:find "[\0-\8\11-\31]")
        end)

        it("counts by suite and as a whole", function()
            assert.equal("17 1 1 1", xpath("concat(/testsuites/@tests,' ',/testsuites/@failures,"
                .. "' ',/testsuites/@errors,' ',/testsuites/@skipped)", path))
            assert.equal("12", xpath("string(//testsuite[contains(@name,'matrix')]/@tests)", path))
            assert.equal("2025-11-29T18:00:00", xpath(
                "string(//testsuite[contains(@name,'network')]/@timestamp)", path))
        end)

        it("has failures with message and traceback, skips with reason", function()
            local failed = "//testcase[@name='the network survives a lost link']"
            assert.matches("^b: ping %-c1.*%(10.02 s passed%)$",
                xpath(("string(%s/failure/@message)"):format(failed), path))
            assert.matches("last lines:.*stack traceback:.*in method",
                xpath(("string(%s/failure)"):format(failed), path))
            assert.equal("no module for this kernel", xpath("string(//skipped/@message)", path))
        end)

        it("has properties, console tails and artefacts", function()
            local test = "//testcase[@name='two nodes reach each other']"
            assert.equal("512", xpath(
                ("string(%s//property[@name='vm.a.memory_mib']/@value)"):format(test), path))
            local output = xpath(("string(%s/system-out)"):format(test), path)
            assert.matches("%-%-%- console of a %-%-%-\n", output)
            assert.matches(" 1.900  guest# \n", output)
            has(output, "[[ATTACHMENT|artefacts/two nodes/a.pcap]]")
            assert.equal("42", xpath("string(//testsuite[1]/properties/"
                .. "property[@name='seed']/@value)", path))
        end)
    end)

    describe("as one run file", function()
        it("reports the same as the files that it was made of", function()
            local one = file(sample.new({ shard = "1/2" }):add(SPEC, "one", "fail",
                { message = "first" }):stop())
            local two = file(sample.new({ shard = "2/2" }):pass_time(5):add(SPEC, "one", "pass")
                :add(SPEC, "two", "fail", { message = "no" }):stop())
            local merged = folder .. "/merged.jsonl"
            assert(vmm.report.write(merged, { one, two }))
            local run = assert(vmm.report.read { merged })
            assert.same({ "one: pass", "two: fail" }, outcomes(run))
            assert.equal("first", run.tests[1].earlier[1].message)
            assert.equal(2, run.tests[1].tries)
            assert.is_false(run.incomplete)
            assert.equal(report("tap", one, two), report("tap", merged))
        end)

        it("stays incomplete, with what is known of that", function()
            local lost = file(sample.new({ shard = "1/2" }):start(SPEC, "one"))
            local merged = folder .. "/lost.jsonl"
            assert(vmm.report.write(merged, lost))
            local run = assert(vmm.report.read { merged })
            assert.is_true(run.incomplete)
            assert.matches("shards 1/2, 2/2 did not end", table.concat(run.problems, "\n"))
        end)

        it("stays incomplete where a shard was cut short, with the files that it left", function()
            local cut = file(sample.new({ shard = "1/2" }):add(SPEC, "one", "pass"):stop {
                reason = "the run's budget of 60 s is over (--timeout)",
                left = { "b_spec.lua", "c_spec.lua" },
            })
            local whole = file(sample.new({ shard = "2/2" }):add("d_spec.lua", "one", "pass")
                :stop())
            local merged = folder .. "/cut.jsonl"
            assert(vmm.report.write(merged, { cut, whole }))
            for _, paths in ipairs { { cut, whole }, { merged } } do
                local run = assert(vmm.report.read(paths))
                assert.is_true(run.incomplete)
                assert.is_false(vmm.report.passed(run))
                local problems = table.concat(run.problems, "\n")
                has(problems, "the run's budget of 60 s is over (--timeout): not run to the end:"
                    .. " b_spec.lua, c_spec.lua")
                has(problems, "shard 1/2 did not end or is not here")
            end
        end)

        it("is whole where the shard that was cut short was run again", function()
            local cut = file(sample.new({ shard = "1/1" }):add(SPEC, "one", "pass"):stop {
                reason = "the run was interrupted", left = { "b_spec.lua" },
            })
            local whole = file(sample.new({ shard = "1/1" }):pass_time(5):add(SPEC, "one", "pass")
                :stop())
            assert.is_false(assert(vmm.report.read { cut, whole }).incomplete)
        end)

        it("names artefacts from where it lies", function()
            assert(process.make_directory(folder .. "/deep/er"))
            local merged = folder .. "/deep/er/merged.jsonl"
            assert(vmm.report.write(merged, file(sample.full())))
            has(read(merged), '"path":"../../artefacts/two nodes/a.pcap"')
        end)
    end)

    describe("as HTML", function()
        it("has all that a guest prints as text", function()
            local text = report("html", file(sample.full()))
            has(text, "&lt;script&gt;document.title=&#39;owned&#39;&lt;/script&gt;")
            assert.is_nil(text:find("<script>", 1, true))
            assert.is_nil(text:find("<h1>owned", 1, true))
            assert.is_nil(text:find "[\0-\8\11-\31]")
        end)

        it("has a nonce of its own each time, so that no text can be made its script", function()
            local path = file(sample.new():stop())
            local first = report("html", path):match 'nonce%-(%x+)'
            assert.equal(32, #first)
            assert.is_not.equal(first, report("html", path):match 'nonce%-(%x+)')
        end)

        it("bounds consoles, and says what is left out", function()
            local run = sample.new():start(SPEC, "one")
            for i = 1, 30000 do
                run:emit { event = "console", vm = "vm", t = i / 1000, stream = "console",
                    text = ("line %d of many"):format(i) }
            end
            local text = report("html", file(run:finish "fail":stop()))
            assert.is_true(#text < 2 << 20)
            has(text, "line 1 of many")
            has(text, "line 30000 of many")
            local left_out = tonumber(text:match ">(%d+) lines are left out here")
            assert.equal(30000 - left_out, select(2, text:gsub("line %d+ of many", "")))
        end)

        it("knows when a guest was ready also by lines that were recorded at its end", function()
            local run = sample.new():start(SPEC, "one"):boot("vm")
            for i, line in ipairs(run.lines) do
                run.lines[i] = line:gsub('^({"event":"console".*"time":)[%d.]+', "%1" .. 2e9)
            end
            local text = report("html", file(run:finish "pass":stop()))
            has(text, "<td>ready</td><td class=\"n\">1.900 s</td>")
        end)

        it("links artefacts from where the page lies", function()
            assert(process.make_directory(folder .. "/pages"))
            assert(vmm.report.write(folder .. "/pages/index.html", file(sample.full())))
            has(read(folder .. "/pages/index.html"), 'href="../artefacts/lost%20link/b.pcap"')
        end)

        it("has no links that run something", function()
            local run = sample.new():start(SPEC, "one")
            for _, path in ipairs { "javascript:alert(1)", "//evil.example/x", 'x" onclick="y' } do
                run:emit { event = "artefact", path = path, name = "it" }
            end
            local text = report("html", file(run:finish "fail":stop()))
            for link in text:gmatch '<li><a href="([^"]*)">it</a>' do
                assert.is_nil(link:find ":", link)
                assert.is_nil(link:find "^//", link)
            end
            assert.equal(3, select(2, text:gsub('<li><a href="[^"]*">it</a>', "")))
        end)
    end)

    it("is told by its name what to be, or raises", function()
        local path = file(sample.new():stop())
        local ok, message = pcall(vmm.report.write, folder .. "/report.pdf", path)
        assert.is_false(ok)
        assert.matches("must end in .html, .xml %(JUnit%), .tap or .jsonl", message)
    end)

    it("that cannot be written says why", function()
        local _, message, code = vmm.report.write("/nonexistent/r.html", file(sample.new():stop()))
        assert.equal("cannot write /nonexistent/r.html: No such file or directory", message)
        assert.equal("EIO", code)
    end)

    it("of ten times the events takes no more than ten times the work", function()
        local function work(lines)
            local run = sample.new():start(SPEC, "one")
            for i = 1, lines do
                run:emit { event = "console", vm = "vm", t = i, stream = "console", text = "text" }
                if i % 100 == 0 then run:finish("pass"):start(SPEC, "test " .. i) end
            end
            local path = file(run:finish "pass":stop())
            local thousands = 0
            debug.sethook(function()
                thousands = thousands + 1
            end, "", 1000)
            report("html", path)
            debug.sethook()
            return thousands
        end
        local few = work(2000)
        assert.is_true(few > 100)
        assert.is_true(work(20000) < 11 * few)
    end)
end)
