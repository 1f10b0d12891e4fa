-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The text of --help, and the words about options that the manual shares.

local features = require "vmm.features"
local options = require "vmm.options"
local parameter = require "vmm.parameter"

local help = {}

help.usage = {
    "vmm-reference [options] [script.lua|- [args...]]",
    "vmm-reference [options] lab [args...]",
    "vmm-reference test [options] FILE|DIRECTORY...",
    "vmm-reference top [-n FRAMES] FILE",
    "vmm-reference report [--html|--junit|--tap|--jsonl FILE] RUN.jsonl...",
}

help.exit_codes = {
    { 0, "the guest rebooted, powered off or halted; the script ended" },
    { 1, "the script, the host or the virtual machine failed" },
    { 2, "the command line is wrong" },
    { 3, "the guest's kernel panicked" },
    { 124, "the time given by --timeout, or of a wait in a script, is over" },
    { 130, "interrupted (SIGINT); 143: by SIGTERM" },
}

--- An option as it is written: its names, and what follows them.
-- @return names (list, such as "--vcpus"), value (such as "num=N") or nil
function help.spelling(option)
    local names = {}
    if option.short then
        names[1] = "-" .. option.short
    end
    for _, name in ipairs(options.names({ option }, true)) do
        names[#names + 1] = "--" .. name
    end
    if option.params then
        local first = option.params[1]
        return names, first.name .. "=" .. first.metavar
            .. (option.params[2] and "[,key=value...]" or "")
    elseif option.forms then
        local list = {}
        for _, form in ipairs(option.forms) do
            list[#list + 1] = help.assignment(form)
        end
        return names, table.concat(list, "|")
    end
    return names, option.metavar
end

--- "name=METAVAR", or the name alone when it takes no value.
function help.assignment(entry)
    return entry.name .. (entry.metavar and "=" .. entry.metavar or "")
end

--- What is said of a parameter beside its help: other name, range, default.
-- @return list of short texts
function help.notes(param)
    local notes = {}
    local function note(...)
        notes[#notes + 1] = string.format(...)
    end
    if param.aliases and param.type then
        note("also %s", table.concat(param.aliases, ", "))
    end
    if param.min then
        note("%s", parameter.allowed(param))
    end
    if param.only_with then
        note("only with %s", table.concat(param.only_with, "="))
    end
    if param.required then
        note("required")
    elseif param.default_text then
        note("default: %s", param.default_text)
    elseif param.hex then
        note("default: 0x%x", param.default)
    elseif param.default ~= nil then
        note("default: %s", tostring(param.default))
    end
    if param.repeatable then
        note("repeatable")
    end
    return notes
end

local INDENT, COLUMN, WIDTH = 6, 30, 79

--- Words laid out from a column on, none past the right margin.
local function wrap(words, at)
    local lines, line = {}, ""
    for word in words:gmatch "%S+" do
        if line ~= "" and at + #line + 1 + #word > WIDTH then
            lines[#lines + 1] = line
            line = word
        else
            line = line == "" and word or line .. " " .. word
        end
    end
    lines[#lines + 1] = line
    return table.concat(lines, "\n" .. (" "):rep(at))
end

--- One entry: what is written, and what it means from COLUMN on.
local function entry(indent, written, meaning)
    local head = (" "):rep(indent) .. written
    local gap = #head < COLUMN - 1 and (" "):rep(COLUMN - #head)
        or "\n" .. (" "):rep(COLUMN)
    return head .. gap .. wrap(meaning, COLUMN) .. "\n"
end

local function meaning(thing)
    local notes = help.notes(thing)
    return thing.help
        .. (notes[1] and " (" .. table.concat(notes, "; ") .. ")" or "")
end

local function describe(option)
    local names, value = help.spelling(option)
    local written = table.concat(names, ", ")
    if not option.params and not option.forms then
        return entry(2, written .. (value and " " .. value or ""),
            meaning(option))
    end
    local parts = { entry(2, written, option.help) }
    for _, part in ipairs(option.params or option.forms) do
        if not features.lacking(part.features) then
            parts[#parts + 1] = entry(INDENT, help.assignment(part),
                meaning(part))
        end
    end
    return table.concat(parts)
end

local function describe_all(title, wanted)
    local parts = { "\n", title, "\n" }
    for _, option in ipairs(options.list) do
        if wanted(option) and not features.lacking(option.features) then
            parts[#parts + 1] = describe(option)
        end
    end
    return table.concat(parts)
end

local function choices_of(option_name, param_name)
    local option = options.find(options.list, option_name)
    return table.concat(
        options.find(option.params, param_name).choices, " ")
end

--- The names of those entries of a list that this build has.
local function built_in(list)
    local names = {}
    for _, form in ipairs(list) do
        if not features.lacking(form.features) then
            names[#names + 1] = form.name
        end
    end
    return table.concat(names, " ")
end

local function kernels(formats)
    local elf, bzimage = features.has "elf", features.has "bzimage"
    return (elf and "ELF, " or "") .. "raw" .. (bzimage
        and ", bzImage (unpacks " .. table.concat(formats, " ") .. ")" or "")
end

--- The text of --version: the version, and what is built in.
-- @param formats  list of the kernel payloads that are unpacked; nil: none
function help.version(version, formats)
    local flows = features.has "elf" and choices_of("kernel", "flow") or "flat"
    local console = options.find(options.list, "console")
    return table.concat {
        "vmm-reference ", version, "\n",
        "Lua:           ", _VERSION:match "[%d.]+", "\n",
        "kernels:       ", kernels(formats), "\n",
        "boot flows:    ", flows, "\n",
        "consoles:      ", built_in(console.forms), "\n",
        "features:      ", wrap(table.concat(features.names(), " "), 15), "\n",
    }
end

--- The text of --help.
function help.text()
    local parts = { "usage: ", table.concat(help.usage, "\n       "), [[


Boots a kernel in a virtual machine, or runs a Lua script that makes machines.
What follows the script's name is the script's; it finds it in arg.
lab runs the same in a throwaway host with emulated SVM; test runs busted specs
(test --help tells how); report makes pages, and files for CI services, of what
test runs recorded; top shows live what a machine does that was started with
--metrics path=FILE.
]] }
    parts[#parts + 1] = describe_all(
        "Machine (a script finds what was given in arg.config)",
        function(option) return option.machine end)
    parts[#parts + 1] = describe_all("Program",
        function(option) return not option.machine end)
    parts[#parts + 1] = [[

Several key=value are joined by commas.  A comma ends a value only where a key
follows it; quote or escape it where that is not meant: 'cmdline="a,path=b"' or
'cmdline=a\,path=b'.  An empty value means the default.  Numbers are decimal or
hexadecimal with 0x.

]]
    parts[#parts + 1] = "Exit codes\n"
    for _, code in ipairs(help.exit_codes) do
        parts[#parts + 1] = ("%5d  %s\n"):format(code[1], code[2])
    end
    return table.concat(parts)
end

return help
