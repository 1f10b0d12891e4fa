-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- One test in the HTML report: why it failed, its steps, its VMs, its files.

local clean = require "vmm.report.clean"
local put_vm = require "vmm.report.html_vm"
local url = require("vmm.report.paths").url

local xml = clean.xml

local function put_failure(put, test, more)
    local bad = test.status == "fail" or test.status == "error"
    local message = more.message or test.message
    if not bad then
        if message and message ~= "" then put('<p class="message">', xml(message), "</p>\n") end
        return
    end
    put('<div class="failure"><pre class="message">',
        xml(message ~= "" and message or "(no message)"), "</pre>\n")
    if more.traceback then
        put("<details open><summary>Traceback</summary><pre>", xml(more.traceback),
            "</pre></details>\n")
    end
    put "</div>\n"
end

local STATUS = { pass = "passed", fail = "failed", error = "failed", skip = "was skipped" }

local function put_earlier(put, test)
    if test.tries <= 1 and #test.earlier == 0 then return end
    put('<div class="notes"><strong>', ("Attempt %d of it counts."):format(test.tries),
        "</strong>\n<ul>\n")
    for number, one in ipairs(test.earlier) do
        put("<li>Attempt ", tostring(number), " ", STATUS[one.status] or "failed")
        if type(one.duration) == "number" then
            put(" after ", clean.duration(one.duration))
        end
        if type(one.message) == "string" then
            put(": ", xml(clean.bounded(one.message, 1000)))
        end
        put "</li>\n"
    end
    put "</ul></div>\n"
end

-- When a step began, and how much of the test's time it took: a bar.
local function put_lane(put, step, span)
    if not step.time or not step.duration or span.duration <= 0 then return end
    local from = math.max(0, math.min(1, (step.time - span.from) / span.duration))
    local width = math.max(0, math.min(1 - from, step.duration / span.duration))
    put(('<span class="lane" aria-hidden="true"><span style="left:%.2f%%;width:%.2f%%"></span>')
        :format(from * 100, width * 100), "</span>")
end

local put_steps

-- The VM that a step is about, unless its text begins with that.
local function put_vm_name(put, step)
    if step.vm and step.text:sub(1, #step.vm + 1) ~= step.vm .. " " then
        put('<span class="vm-name">', xml(step.vm), "</span> ")
    end
end

local function put_step(put, step, span, depth)
    put("<li><div class=\"step", step.ok == false and " bad" or "", '" style="--depth:',
        tostring(depth), '"><span class="at">')
    if step.time and span.from then put(("+%.3f s"):format(step.time - span.from)) end
    put('</span><span class="kind">', xml(step.kind), '</span><span class="what">')
    if step.ok == false then put '<strong>\u{2717} failed:</strong> ' end
    put_vm_name(put, step)
    put(xml(step.text), '</span><span class="time">',
        step.duration and clean.duration(step.duration) or "not ended", "</span>")
    put_lane(put, step, span)
    if step.detail then put('<pre class="detail">', xml(step.detail), "</pre>") end
    put "</div>"
    if #step.children > 0 then put_steps(put, step.children, span, depth + 1) end
    put "</li>\n"
end

function put_steps(put, steps, span, depth)
    put "<ol>\n"
    for _, step in ipairs(steps) do
        put_step(put, step, span, depth)
    end
    put "</ol>\n"
end

-- The time that steps are shown in: the test's, or their own.
local function span_of(test, more)
    local from, to = test.started, test.started and test.started + test.duration
    for _, step in ipairs(more.steps) do
        if step.time then
            from = math.min(from or step.time, step.time)
            to = math.max(to or step.time, step.time + (step.duration or 0))
        end
    end
    return { from = from, duration = from and to - from or 0 }
end

local function put_all_steps(put, test, more)
    if #more.roots == 0 then return end
    put '<h4>Steps</h4>\n<div class="steps">\n'
    put_steps(put, more.roots, span_of(test, more), 0)
    put "</div>\n"
    if more.left_out.steps > 0 then
        put('<p class="gap">', tostring(more.left_out.steps), " more steps are left out here</p>\n")
    end
end

local function put_artefacts(put, more, places)
    if #more.artefacts == 0 then return end
    put "<h4>Files</h4>\n<ul>\n"
    for _, artefact in ipairs(more.artefacts) do
        put('<li><a href="', xml(url(places.relative(artefact.path))), '">', xml(artefact.name),
            "</a>", artefact.vm and ' <span class="dim">of ' .. xml(artefact.vm) .. "</span>" or "",
            "</li>\n")
    end
    put "</ul>\n"
    if more.left_out.artefacts > 0 then
        put('<p class="gap">', tostring(more.left_out.artefacts), " more files</p>\n")
    end
end

-- test: of vmm.report.run; more: what vmm.report.gather has of it; places.relative(path): where an
-- artefact is; id: of its element.
return function(put, test, more, places, id)
    put '<div class="body">\n'
    put_failure(put, test, more)
    put_earlier(put, test)
    put_all_steps(put, test, more)
    put_artefacts(put, more, places)
    for number, vm in ipairs(more.vms) do
        put_vm(put, vm, more, ("%sv%d"):format(id, number))
    end
    if more.left_out.vms > 0 then
        put('<p class="gap">events of more VMs (', tostring(more.left_out.vms),
            ") are left out here</p>\n")
    end
    put "</div>\n"
end
