-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What --artefacts and --keep leave beside what tests do: console logs and metrics of their VMs, by
-- test.

local json = require "vmm.json"
local plan = require "vmm.test.plan"

local keep = {}

local function append(path, text)
    local file <close> = io.open(path, "a")
    if file then file:write(text) end
end

local function path_of(directory, event, what)
    return ("%s/%s/%s.%s"):format(directory, plan.folder(event.test),
        tostring(event.vm):gsub("[^%w%-_.]+", "-"), what)
end

local KEPT = {}

function KEPT.console(directory, event)
    local name = event.stream == "kernel" and "kernel.log" or "console.log"
    append(path_of(directory, event, name),
        ("[%9.3f] %s\n"):format(tonumber(event.t) or 0, tostring(event.text)))
end

function KEPT.vm_end(directory, event)
    append(path_of(directory, event, "end.json"), json.encode {
        reason = event.reason, text = event.text, metrics = event.metrics,
    } .. "\n")
end

-- From now on what results take is kept in a directory as well.
function keep.attach(results, directory)
    function results.on_other(event)
        local fn = KEPT[event.event]
        if fn and event.test then fn(directory, event) end
    end
    function results.on_output(part, text)
        if text == "" then return end
        append(("%s/%s.output"):format(directory, plan.folder(part.file .. (part.suffix or ""))),
            text)
    end
end

return keep
