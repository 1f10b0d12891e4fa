-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vmm-reference report, and its page as a reader has it: in a browser, light and dark, wide and
-- narrow, with JavaScript and without.

local browser = require "tests.spec.support.browser"
local process = require "vmm.process"
local program = require "tests.spec.support.program"
local sample = require "tests.spec.support.sample_run"

local folder

local function read(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end

setup(function()
    folder = assert(process.temporary_directory "vmm-report")
    sample.full():write(folder .. "/run.jsonl")
    sample.new():add("a_spec.lua", "one", "pass"):stop():write(folder .. "/good.jsonl")
    sample.new():add("a_spec.lua", "one", "pass"):write(folder .. "/lost.jsonl")
end)

teardown(function()
    process.remove(folder)
end)

describe("vmm-reference report", function()
    local function report(words)
        return program.shell(("cd %s && $vmm report %s"):format(folder, words))
    end

    it("says what failed and ends with counts and exit code 1", function()
        local output, code = report "run.jsonl"
        assert.equal(1, code)
        assert.matches("FAILED tests/scenarios/network_spec.lua: the network survives a lost link:"
            .. " b: ping ", output, 1, true)
        assert.matches("RETRIED tests/scenarios/disk_spec.lua: a disk that fails is remounted:"
            .. " passed at attempt 2\n", output, 1, true)
        assert.matches("\n14 passed, 2 failed, 1 skipped\n$", output)
    end)

    it("exits with 0 when all passed, with 1 when tests are missing", function()
        assert.same({ "1 passed, 0 failed, 0 skipped\n", 0 }, { report "good.jsonl" })
        local output, code = report "lost.jsonl"
        assert.equal(1, code)
        assert.equal("NOTE lost.jsonl: the run did not end: 1 test had ended by then\n"
            .. "1 passed, 0 failed, 0 skipped, incomplete\n", output)
    end)

    it("writes all kinds of reports at once", function()
        local output, code = report("--html r.html --junit=r.xml --tap r.tap --jsonl r.jsonl"
            .. " good.jsonl")
        assert.same({ "1 passed, 0 failed, 0 skipped\n", 0 }, { output, code })
        assert.matches("^<!DOCTYPE html>", read(folder .. "/r.html"))
        assert.matches("<testcase classname=\"a_spec\" name=\"one\"", read(folder .. "/r.xml"))
        assert.matches("\nok 1 %- a_spec.lua: one\n", read(folder .. "/r.tap"))
        assert.matches('"event":"run_end"', read(folder .. "/r.jsonl"))
    end)

    it("writes to standard output for -, and only the report", function()
        local output, code = report "--tap - good.jsonl 2>/dev/null"
        assert.same({ "TAP version 14\n1..1\nok 1 - a_spec.lua: one\n"
            .. "# 1 passed, 0 failed, 0 skipped\n", 0 }, { output, code })
    end)

    it("has one line for each mistake", function()
        for words, message in pairs {
            [""] = "which RUN.jsonl? what vmm-reference test --report FILE wrote;"
                .. " vmm-reference report --help",
            ["--pdf x good.jsonl"] = "unknown option --pdf; vmm-reference report --help",
            ["good.jsonl --html"] = "--html needs a FILE",
        } do
            assert.same({ ("vmm-reference: report: %s\n"):format(message), 2 }, { report(words) })
        end
        local output, code = report "none.jsonl"
        assert.same({ "vmm-reference: report: cannot read none.jsonl: No such file or directory\n",
            1 }, { output, code })
        output, code = report "--html /nonexistent/r.html good.jsonl"
        assert.same({ "vmm-reference: report: cannot write /nonexistent/r.html: No such file or"
            .. " directory\n", 1 }, { output, code })
    end)

    it("explains itself", function()
        local output, code = report "--help"
        assert.equal(0, code)
        assert.matches("^usage: vmm%-reference report ", output)
        assert.matches("vmm-reference report", (program.shell "$vmm --help"), 1, true)
    end)
end)

describe("The HTML report", function()
    local page

    setup(function()
        assert(program.shell(("cd %s && $vmm report --html r.html run.jsonl"):format(folder)))
        assert(process.make_directory(folder .. "/browser"))
        page = browser.start(folder .. "/browser")
        page:resize(1280, 900)
    end)

    teardown(function()
        if page then page:close() end
    end)

    before_each(function()
        page:prefer "light"
        page:allow_scripts(true)
        page:resize(1280, 900)
        page:open(folder .. "/r.html")
    end)

    -- What is shown of the elements that a selector has: a list of texts.
    local function shown(selector)
        return page:evaluate(([[ [...document.querySelectorAll(%q)]
            .filter(e => e.checkVisibility()).map(e => e.textContent.trim()) ]]):format(selector))
    end

    local function count(selector)
        return page:evaluate(("document.querySelectorAll(%q).length"):format(selector))
    end

    -- Waits until an expression is true.
    local function await(expression)
        assert.is_true(page:evaluate(([[ new Promise((resolve) => {
            const limit = Date.now() + 60000;
            const look = () => (%s) ? resolve(true)
                : Date.now() > limit ? resolve(false) : setTimeout(look, 20);
            look();
        }) ]]):format(expression)), expression)
    end

    it("loads nothing else, and has nothing to complain of", function()
        for _, request in ipairs(page:events_of "Network.requestWillBeSent") do
            assert.is_truthy(request.request.url:find "^file://.*/r%.html$"
                or request.request.url == "data:,", request.request.url)
        end
        assert.same({}, page:events_of "Runtime.exceptionThrown")
        assert.same({}, page:events_of "Runtime.consoleAPICalled")
        assert.same({}, page:events_of "Log.entryAdded")
    end)

    it("is not what a hostile guest makes of it", function()
        assert.equal("2 of 17 tests failed \u{B7} vmm-reference", page:evaluate "document.title")
        assert.equal(1, count "h1")
        assert.equal(0, count "img")
        local lines = page:evaluate [[ [...document.querySelectorAll(".line")]
            .map(e => e.textContent).filter(t => t.includes("owned")) ]]
        assert.matches("<script>document.title='owned'</script><img src=x onerror=", lines[1], 1,
            true)
        assert.matches("red </pre></div></details><h1>owned</h1>", lines[2], 1, true)
    end)

    it("opens what failed, with message, traceback, steps, consoles", function()
        assert.same({ "the network survives a lost link",
            'a panic is told with "its" backtrace & <its> cause' }, shown ".test[open] h3")
        assert.matches("^b: ping %-c1.*last lines:", shown(".test[open] .message")[1])
        assert.matches("in method 'wait_until_succeeds'", shown(".failure details pre")[1])
        assert.same({ "+0.000 sboota boots1.90 s", "+0.050 swaita the prompt of a1.85 s" },
            { table.unpack(shown ".test[open] .step", 1, 2) })
        assert.matches("failed: b ping %-c1 %-W1 10.0.0.1 succeeds", shown(".step.bad")[1])
        assert.matches("0.250  [    0.000000] Linux version 6.1.0", shown(".test[open] .line")[1],
            1, true)
        assert.equal("b.pcap", shown(".test[open] li a")[1])
    end)

    it("draws how guests booted, and says the same in numbers", function()
        assert.equal(5, count "svg[aria-labelledby$='-boot-more']")
        local calls = page:evaluate [[ [...document.querySelectorAll(".test[open] svg")]
            .map(e => e.querySelectorAll("rect.call").length) ]]
        assert.same({ 0, 8, 0, 0 }, calls)
        local words = page:evaluate [[document.querySelectorAll(".test[open] svg")[1].textContent]]
        for _, part in ipairs { "acpi_init 142 ms", "populate_rootfs 335 ms", "user space", "ready",
            "exits / s", "RSS", "1 early kernel" } do
            assert.is_truthy(words:find(part, 1, true), part)
        end
        local rows = page:evaluate [[ [...document.querySelectorAll("details table tr")]
            .map(e => [...e.children].map(c => c.textContent).join("|")) ]]
        rows = table.concat(rows, "\n")
        assert.matches("populate_rootfs|0.850 s|335 ms", rows, 1, true)
        assert.matches("drivers|0.480 s|370 ms", rows, 1, true)
        assert.matches("ready|1.900 s", rows, 1, true)
    end)

    it("finds what is typed in tests, steps and consoles, goes from one to the next", function()
        page:press "/"
        page:type "sysrq"
        await [[document.querySelector(".toolbar output").textContent === "3 found"]]
        assert.same({ 'a panic is told with "its" backtrace & <its> cause' }, shown ".test h3")
        page:press "Enter"
        await [[document.querySelector(".toolbar output").textContent === "1 of 3 found"]]
        page:press "Enter"
        page:press("Enter", 8)
        page:press("Enter", 8)
        await [[document.querySelector(".toolbar output").textContent === "3 of 3 found"]]
        assert.matches("Kernel panic %- not syncing", shown(".now")[1])
        page:press "Escape"
        await [[document.querySelector(".toolbar output").textContent === ""]]
        assert.equal(17, #shown ".test:not([data-status=none]) h3")
    end)

    it("opens a closed test for a hit in it", function()
        page:press "/"
        page:type "10.0.0.2"
        page:press "Enter"
        await [[document.querySelector(".now")?.checkVisibility() === true]]
        assert.same({ "a ping -c1 10.0.0.2" }, shown ".now")
    end)

    it("says when nothing is found", function()
        page:press "/"
        page:type "no such words"
        await [[document.querySelector(".toolbar output").textContent === "not found"]]
        assert.same({}, shown ".test h3")
    end)

    it("shows the tests of one outcome", function()
        page:evaluate [[document.querySelector("button[data-status=skip]").click()]]
        assert.same({ "an oops of a module is a warning" }, shown ".test h3")
        assert.same({ "Skipped 1" }, shown "button[aria-pressed=true]")
        page:evaluate [[document.querySelector("button[data-status=bad]").click()]]
        assert.equal(2, #shown ".test h3")
    end)

    it("shows some lines of a console", function()
        local console = [[document.querySelector("[aria-label='Console of crash']")]]
        page:evaluate(([[ { const s = %s.querySelector("select"); s.value = "warnings";
            s.dispatchEvent(new Event("change")); } ]]):format(console))
        local lines = shown "[aria-label='Console of crash'] .line"
        assert.equal(7, #lines)
        assert.matches("random: crng", lines[1])
        page:evaluate(([[ { const i = %s.querySelector("input"); i.value = "PANIC";
            i.dispatchEvent(new Event("input")); } ]]):format(console))
        assert.equal(2, #shown "[aria-label='Console of crash'] .line")
        assert.same({ "2 of 29 lines" }, shown "[aria-label='Console of crash'] output")
        page:evaluate(([[ { const s = %s.querySelector("select"); s.value = "dialogue";
            s.dispatchEvent(new Event("change")); } ]]):format(console))
        assert.same({}, shown "[aria-label='Console of crash'] .line")
    end)

    -- The least contrast of text with what is behind it, by selector.
    local CONTRAST = [[ (() => {
        for (const d of document.querySelectorAll("details")) d.open = true;
        for (const l of document.querySelectorAll(".line")) l.style.contentVisibility = "visible";
        const rgb = (c) => (c.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
        const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92
            : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
        const behind = (e) => {
            for (; e; e = e.parentElement) {
                const c = rgb(getComputedStyle(e).backgroundColor);
                if (c.length < 4 || c[3] === 1) return c;
            }
            return [255, 255, 255];
        };
        const result = {};
        document.querySelectorAll(".line")[3].classList.add("hit");
        document.querySelectorAll(".line")[5].classList.add("now");
        for (const s of [%s]) {
            const list = [...document.querySelectorAll(s)].filter((e) => e.checkVisibility());
            result[s] = list.length ? Math.min(...list.map((e) => {
                const style = getComputedStyle(e);
                const text = light(rgb(e instanceof SVGElement ? style.fill : style.color));
                const back = light(behind(e));
                return (Math.max(text, back) + .05) / (Math.min(text, back) + .05);
            })) : 0;
        }
        return result;
    })() ]]

    local TEXTS = {
        "h1", "h2", "h3", "h4", "h5", ".meta", ".counts li", ".counts b", ".failures a",
        ".failures code", ".toolbar input", "button", "button[aria-pressed=true]", ".badge",
        ".time",
        ".message", ".failure summary", ".failure pre", ".step .at", ".step .kind", ".step .what",
        ".step .vm-name", ".step .time", ".step .detail", ".line", ".line i", ".k0", ".k3", ".k4",
        ".k5", ".k7", ".hit", ".hit i", ".now", ".now i", "select", "summary", "th", "td",
        "svg text.soft", "svg text.mark", "footer",
    }

    for _, scheme in ipairs { "light", "dark" } do
        it("can be read in " .. scheme .. ": contrasts are 4.5 at least", function()
            page:prefer(scheme)
            local dark = page:evaluate [[getComputedStyle(document.body).backgroundColor]]
            assert.equal(scheme == "dark" and "rgb(17, 22, 28)" or "rgb(255, 255, 255)", dark)
            local list = '"' .. table.concat(TEXTS, '","') .. '"'
            local contrasts = page:evaluate((CONTRAST:gsub("%%s", list)))
            for _, selector in ipairs(TEXTS) do
                assert.is_true(contrasts[selector] >= 4.5, ("%s has a contrast of %s"):format(
                    selector, contrasts[selector]))
            end
        end)
    end

    it("fits a narrow window and a wide one", function()
        for _, width in ipairs { 360, 700, 1920 } do
            page:resize(width, 800)
            page:evaluate [[for (const d of document.querySelectorAll("details")) d.open = true]]
            assert.is_true(page:evaluate "document.scrollingElement.scrollWidth <= innerWidth")
        end
    end)

    it("can be used by keyboard and screen reader", function()
        page:press "Tab"
        assert.equal("Skip to the tests", page:evaluate "document.activeElement.textContent")
        assert.is_true(page:evaluate "document.activeElement.getBoundingClientRect().left >= 0")
        for _, landmark in ipairs { "header", "main", "footer", "nav", "form[role=search]" } do
            assert.equal(1, count("body " .. landmark), landmark)
        end
        assert.equal("en", page:evaluate "document.documentElement.lang")
        assert.same({}, page:evaluate [[ [...document.querySelectorAll("input, select, section,"
            + " [role=region], [role=img]")].filter(e => {
                const by = e.getAttribute("aria-labelledby");
                return !e.getAttribute("aria-label")
                    && !(by && by.split(" ").every(id => document.getElementById(id)?.textContent));
            }).map(e => e.outerHTML.slice(0, 100)) ]])
        assert.same({}, page:evaluate [[ [...document.querySelectorAll("[id]")].map(e => e.id)
            .filter((id, i, all) => all.indexOf(id) !== i) ]])
        assert.same({}, page:evaluate [[ [...document.querySelectorAll("a[href^='#']")]
            .map(e => e.getAttribute("href")).filter(h => !document.querySelector(h)) ]])
    end)

    it("has all of it without JavaScript", function()
        page:allow_scripts(false)
        page:open(folder .. "/r.html")
        assert.same({}, shown ".toolbar, .tools")
        assert.equal(17, #shown ".test:not([data-status=none]) h3")
        assert.matches("^b: ping %-c1", shown(".message")[1])
        assert.equal(29, #shown "[aria-label='Console of crash'] .line")
        assert.equal(0, #shown "#t14 .step")
        local x, y = table.unpack(page:evaluate [[ (() => {
            const summary = document.querySelector("#t14 > summary");
            summary.scrollIntoView();
            const box = summary.getBoundingClientRect();
            return [box.left + 20, box.top + box.height / 2];
        })() ]])
        for _, kind in ipairs { "mousePressed", "mouseReleased" } do
            page:call("Input.dispatchMouseEvent", { type = kind, x = x, y = y, button = "left",
                clickCount = 1 })
        end
        await [[document.querySelector("#t14").open]]
        assert.equal(5, #shown "#t14 .step")
    end)
end)
