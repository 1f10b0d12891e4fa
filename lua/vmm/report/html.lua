-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A run as one HTML page that needs nothing else: no other file, no network, no JavaScript.

local clean = require "vmm.report.clean"
local gather = require "vmm.report.gather"
local script = require "vmm.report.script"
local style = require "vmm.report.style"
local test_body = require "vmm.report.html_test"

local html = {}

local xml = clean.xml

-- What all consoles of a page, as they are written in the run files, take at the most, and what
-- one VM's takes: of tests that passed, and of those that did not.
local PASSED = { total = 24 << 20, least = 8 << 10, most = 256 << 10 }
local FAILED = { total = 48 << 20, least = 32 << 10, most = 1 << 20 }

local WORDS = { pass = "passed", fail = "failed", error = "error", skip = "skipped" }
local SIGNS = { pass = "\u{2713}", fail = "\u{2717}", error = "\u{2717}", skip = "\u{2013}" }

local function share_of(limits, tests)
    return math.max(limits.least, math.min(limits.most, limits.total // math.max(tests, 1)))
end

local function is_bad(test)
    return test.status == "fail" or test.status == "error"
end

local function when(time)
    return time and os.date("!%Y-%m-%d %H:%M:%S UTC", time // 1)
end

-- Different values of a field of the runs' starts.
local function values_of(self, key)
    local seen, list = {}, {}
    for _, file in ipairs(self.files) do
        local value = (file.start or {})[key]
        if (type(value) == "string" or type(value) == "number") and not seen[value] then
            seen[value] = true
            list[#list + 1] = xml(clean.bounded(tostring(value), 100))
        end
    end
    return list
end

local function put_meta(put, self)
    local parts = {}
    local function add(words, list)
        if #list > 0 then parts[#parts + 1] = words .. clean.list(list, 12) end
    end
    if self.started then
        parts[#parts + 1] = when(self.started)
        parts[#parts + 1] = "took " .. clean.duration(math.max(self.ended - self.started, 0))
    end
    parts[#parts + 1] = "tests took " .. clean.duration(self.counts.duration)
    add("version ", values_of(self, "version"))
    add("host ", values_of(self, "host"))
    add("seed ", values_of(self, "seed"))
    if #self.files > 1 then parts[#parts + 1] = ("%d run files"):format(#self.files) end
    put('<p class="meta">', table.concat(parts, " \u{B7} "), "</p>\n")
end

local function verdict(self)
    local bad = self.counts.fail + self.counts.error
    if bad > 0 then
        return ("%d of %d tests failed"):format(bad, self.counts.all)
    elseif self.incomplete then
        return "The run is incomplete"
    elseif self.counts.all == 0 then
        return "No tests ran"
    end
    return self.counts.skip > 0 and "All tests that ran passed" or "All tests passed"
end

local function put_counts(put, self)
    local counts = self.counts
    put '<ul class="counts" aria-label="Counts">\n'
    for _, entry in ipairs {
        { "pass", "passed", counts.pass }, { "fail", "failed", counts.fail + counts.error },
        { "skip", "skipped", counts.skip }, { "retried", "retried", counts.retried },
    } do
        if entry[1] ~= "retried" or entry[3] > 0 then
            put('<li><b class="', entry[3] > 0 and entry[1] or "dim", '">', tostring(entry[3]),
                "</b> ", entry[2], "</li>\n")
        end
    end
    put '</ul>\n<div class="share" aria-hidden="true">'
    for _, status in ipairs { "fail", "error", "skip", "pass" } do
        if counts[status] > 0 then
            put('<span class="', status, '" style="flex:', tostring(counts[status]), '"></span>')
        end
    end
    put "</div>\n"
end

local function put_problems(put, self)
    if #self.problems == 0 then return end
    put('<section class="notes', self.incomplete and " incomplete" or "",
        '" aria-labelledby="notes"><strong id="notes">',
        self.incomplete and "This run is incomplete" or "About this run", "</strong>\n<ul>\n")
    for _, problem in ipairs(self.problems) do
        put("<li>", xml(clean.bounded(problem, 1000)), "</li>\n")
    end
    put "</ul></section>\n"
end

local function put_failures(put, self, ids)
    local bad = self.counts.fail + self.counts.error
    if bad == 0 then return end
    put '<nav class="failures" aria-labelledby="failures"><h2 id="failures">What failed</h2>\n'
    put "<ul>\n"
    for _, test in ipairs(self.tests) do
        if is_bad(test) then
            put('<li><a href="#', ids[test], '">', xml(test.spec), ": ", xml(test.name),
                "</a><code>", xml(clean.bounded((test.message or ""):match "^%s*([^\n]*)", 400)),
                "</code></li>\n")
        end
    end
    put "</ul></nav>\n"
end

local function put_toolbar(put, self)
    put [[
<form class="toolbar" role="search" hidden>
<input type="search" aria-label="Search tests, steps and consoles"
 placeholder="Search tests, steps and consoles ( / )">
<button type="button" data-previous aria-label="Previous hit">&#8593;</button>
<button type="button" data-next aria-label="Next hit">&#8595;</button>
<output aria-live="polite"></output>
]]
    local counts = self.counts
    for _, entry in ipairs {
        { "all", "All", counts.all }, { "bad", "Failed", counts.fail + counts.error },
        { "pass", "Passed", counts.pass }, { "skip", "Skipped", counts.skip },
    } do
        put('<button type="button" data-status="', entry[1], '" aria-pressed="',
            tostring(entry[1] == "all"), '">', entry[2], " ", tostring(entry[3]), "</button>\n")
    end
    put "</form>\n"
end

local function put_test(put, test, id, options)
    put('<details class="test ', test.status, '" id="', id, '" data-status="',
        is_bad(test) and "bad" or test.status, '"', is_bad(test) and " open" or "",
        '><summary><span class="badge ', test.status, '"><span aria-hidden="true">',
        SIGNS[test.status], "</span> ", WORDS[test.status], "</span><h3>", xml(test.name),
        "</h3>")
    if test.tries > 1 then
        put('<span class="dim">attempt ', tostring(test.tries), "</span>")
    end
    put('<span class="time">', clean.duration(test.duration), "</span></summary>\n")
    local limit = is_bad(test) and options.failed or options.passed
    test_body(put, test, gather(test.attempt, { console_bytes = limit }),
        options.places.beside(test.attempt.file.path), id)
    put "</details>\n"
end

-- What was recorded while no test ran: guests that tests share.
local function put_outside(put, self, options)
    for number, file in ipairs(self.files) do
        if file.outside then
            local more = gather(file.outside, { console_bytes = options.failed })
            local id = "outside" .. number
            put('<details class="test" id="', id, '" data-status="none"><summary><h3>',
                "Outside of tests (set-up and tear-down)",
                #self.files > 1 and ": " .. xml(file.path) or "", "</h3></summary>\n")
            test_body(put, { status = "none", earlier = {}, tries = 1, duration = 0 }, more,
                options.places.beside(file.path), id)
            put "</details>\n"
        end
    end
end

-- Only the page's own script runs: what a guest printed can't know this.
local function nonce()
    local file <close> = assert(io.open("/dev/urandom", "rb"))
    return (file:read(16):gsub(".", function(char)
        return ("%02x"):format(char:byte())
    end))
end

local function put_head(put, self, secret)
    put('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n',
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; ",
        "style-src 'unsafe-inline'; script-src 'nonce-", secret, "'; img-src data:\">\n",
        '<link rel="icon" href="data:,">\n',
        "<title>", verdict(self), " \u{B7} vmm-reference</title>\n<style>\n", style,
        '</style>\n</head>\n<body>\n<a class="skip-link" href="#tests">Skip to the tests</a>\n')
end

-- Writes it by put(text, ...). places: see vmm.report.paths.
function html.write(put, self, places)
    local ids, counts = {}, self.counts
    for number, test in ipairs(self.tests) do
        ids[test] = "t" .. number
    end
    local options = { places = places, passed = share_of(PASSED, counts.all),
        failed = share_of(FAILED, counts.fail + counts.error) }
    local secret = nonce()
    put_head(put, self, secret)
    put("<header>\n<h1>", verdict(self), "</h1>\n")
    put_meta(put, self)
    put_counts(put, self)
    put_problems(put, self)
    put "</header>\n<main>\n"
    put_failures(put, self, ids)
    put_toolbar(put, self)
    put '<div id="tests">\n'
    for number, suite in ipairs(self.suites) do
        local id = "s" .. number
        put('<section class="suite" aria-labelledby="', id, '"><h2 id="', id, '">',
            xml(suite.name), ' <span class="time">', tostring(suite.counts.all),
            suite.counts.all == 1 and " test, " or " tests, ",
            clean.duration(suite.counts.duration), "</span></h2>\n")
        for _, test in ipairs(suite.tests) do
            put_test(put, test, ids[test], options)
        end
        put "</section>\n"
    end
    put_outside(put, self, options)
    put("</div>\n</main>\n<footer>Made by vmm-reference report.</footer>\n",
        '<script nonce="', secret, '">\n', script, "</script>\n</body>\n</html>\n")
end

return html
