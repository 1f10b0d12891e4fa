-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The command line, parsed by the option tables.
--
--   vmm-reference [options] [script.lua|- [args...]]
--   vmm-reference [options] lab [args...]
--   vmm-reference test [options] FILE|DIRECTORY...
--   vmm-reference top [-n FRAMES] FILE
--   vmm-reference report [--html FILE]... RUN.jsonl...

local config = require "vmm.config"
local features = require "vmm.features"
local options = require "vmm.options"
local parameter = require "vmm.parameter"
local split = require "vmm.cli.split"
local text = require "vmm.text"

-- First words that are not scripts, and the modules whose main(args) they run.
local COMMANDS = {
    lab = { module = "vmm.lab", features = { "lab" } },
    test = { module = "vmm.test", features = { "scenario" } },
    report = { module = "vmm.cli.report", features = { "scenario" } },
    top = { module = "vmm.cli.top", features = { "metrics" } },
}

--- How a message names an option, as it was written, and a parameter of it.
local function place_of(written)
    return function(_, name)
        return written .. (name and " " .. name or "")
    end
end

local function find_short(letter)
    for _, option in ipairs(options.list) do
        if option.short == letter then
            return option
        end
    end
    return nil
end

local function unknown_option(written)
    local name = text.nearest(written:gsub("^%-+", ""),
        options.names(options.list, true))
    return nil, string.format("unknown option %s%s",
        text.show(written):sub(2, -2),
        name and string.format("; did you mean --%s?", name)
            or "; --help lists them")
end

--- Take one option apart.
-- @return option, as it was written, value after "=" or nil; or nil, message
local function recognise(word)
    local long, value = word:match "^%-%-([^=]*)=(.*)$"
    long = long or word:match "^%-%-(.*)$"
    local option
    if long then
        option = options.find(options.list, long)
    else
        option = #word == 2 and find_short(word:sub(2, 2))
    end
    if not option then
        return unknown_option(long and "--" .. long or word)
    end
    return option, long and "--" .. long or word, value
end

local function usage_of(option)
    if option.params then
        local first = option.params[1]
        return string.format("%s=%s%s", first.name, first.metavar,
            option.params[2] and "[,key=value...]" or "")
    elseif option.forms then
        return table.concat(options.names(option.forms), ", ")
    end
    return option.metavar
end

-- Values that have paths in them.
local PATHS = { path = true, place = true, ports = true }

--- Is what a comma in a value seems to begin a misspelt key?  In text, which
--- may well hold ",word=", it is not; in a path only when a key is near.
local function misspelt(option, name, doubt)
    local param = options.find(option.params, name)
    if not doubt or not param or param.type == "string" then
        return false
    end
    return not PATHS[param.type]
        or text.nearest(doubt, options.names(option.params, true)) ~= nil
end

local function read_params(option, given, place)
    local known = {}
    for _, name in ipairs(options.names(option.params, true)) do
        known[name] = true
    end
    local found, problem, key = split(given, known)
    if not found then
        return nil, string.format("%s: %s%s", place(option, key), problem,
            key and "" or "; valid: "
                .. table.concat(options.names(option.params), ", "))
    end
    for _, pair in ipairs(found) do
        if misspelt(option, pair[1], pair[3]) then
            return config.unknown_param(option, pair[3], place)
        end
        if pair[2] == "" then
            pair[2] = nil
        end
    end
    return config.section(option, found, parameter.from_text, place)
end

local function read_value(option, given, place)
    if option.params then
        return read_params(option, given, place)
    elseif option.forms then
        local name, value = given:match "^([%w_]+)=(.*)$"
        return config.form(option, name or given, value, place)
    end
    local value, message = parameter.from_text(option, given)
    return value, message and place(option) .. ": " .. message
end

local function store(command, option, value)
    local key = option.name or option.short
    local into = option.machine and command.config or command.given
    if option.repeatable then
        into[key] = into[key] or {}
        table.insert(into[key], value)
    else
        into[key] = value
    end
end

--- Refuse a second mention of an option that may be given once.
local function mention(seen, option, written)
    local former = seen[option]
    seen[option] = written
    if not former or option.repeatable or option.flag then
        return true
    elseif former == written then
        return nil, written .. " is given twice"
    end
    return nil, string.format("%s and %s are the same option; give one",
        former, written)
end

--- Handle the option at argv[at].
-- @return index of the next word, whether to stop reading; or nil, message
local function option_at(argv, at, command, seen)
    local option, written, given = recognise(argv[at])
    if not option then
        return nil, written
    end
    local lacking = features.lacking(option.features)
    if lacking then
        return nil, place_of(written)(option) .. ": " .. lacking
    end
    local ok, message = mention(seen, option, written)
    if not ok then
        return nil, message
    end
    if option.flag then
        if given then
            return nil, string.format("%s takes no value, given %s", written,
                text.show(given))
        end
        store(command, option, true)
        return at + 1, option.stop
    end
    if not given then
        at = at + 1
        given = argv[at]
        if not given or (option.name and given:sub(1, 2) == "--") then
            return nil, string.format("%s needs a value: %s", written,
                usage_of(option))
        end
    end
    local value
    value, message = read_value(option, given, place_of(written))
    if message then
        return nil, message
    end
    store(command, option, value)
    return at + 1, option.stop
end

--- Where the script is and what it gets.
-- @return the command, or nil and a message
local function positional(argv, at, command)
    local first = argv[at]
    if not first then
        return command
    end
    command.args = table.move(argv, at + 1, #argv, 1, {})
    local known = COMMANDS[first]
    local lacking = known and features.lacking(known.features)
    if lacking then
        return nil, first .. ": " .. lacking
    elseif known then
        command.module = known.module
    else
        command.script = first
    end
    return command
end

local function read_words(argv, command)
    local at, seen, stop = 1, {}, false
    while argv[at] and argv[at]:match "^%-." and not stop do
        if argv[at] == "--" then
            at = at + 1
            break
        end
        local next_at, outcome = option_at(argv, at, command, seen)
        if not next_at then
            return nil, outcome
        end
        at, stop = next_at, outcome
    end
    if not stop then
        return positional(argv, at, command)
    end
    return command
end

-- Options that replace everything else.
local ACTIONS = { "help", "version", "man", "completion" }

local function choose_action(command)
    local given = command.given
    for _, action in ipairs(ACTIONS) do
        if given[action] then
            return action
        end
    end
    if command.module then
        return "command"
    elseif command.script then
        return "script"
    elseif command.config.kernel then
        return "boot"
    end
    return (given.e or given.i) and "script"
end

--- A machine that is booted has the terminal, unless a prompt wants it: then
--- once that is left.
-- @return true, or nil and a message
local function choose_console(command)
    local given, values = command.given, command.config
    if command.action ~= "boot" then
        return true
    end
    local hvc = (values.virtio_console or {}).to == "stdio"
    local wants = hvc and "--virtio-console to=stdio"
        or values.console == "stdio" and "--console stdio"
    if given.i and wants then
        return nil, "-i and " .. wants .. " both want the terminal;"
            .. " Ctrl-A c opens a prompt there"
    elseif hvc and values.console == "stdio" then
        return nil, "--console stdio and --virtio-console to=stdio both want"
            .. " the terminal"
    elseif hvc then
        values.console = values.console or "capture"
    end
    command.adopts = given.i and not values.console
    values.console = values.console or (given.i and "capture" or "stdio")
    return true
end

--- A debugger is served where there is a machine, at one place.
-- @return true, or nil and a message
local function check_gdb(command)
    local gdb = command.given.gdb
    if not gdb then
        return true
    elseif not gdb.unix == not gdb.tcp then
        return nil, "--gdb: give one of: unix=PATH, tcp=PORT"
    elseif command.action ~= "boot" then
        return nil, "--gdb: only with --kernel and without a script;"
            .. " a script calls vm:gdb"
    end
    return true
end

--- Parse the words of a command line.
-- @param argv  list of words, without the program's name
-- @return a table, or nil and a message of one line:
--   action   "boot", "script", "command", "help", "version", "man", "completion"
--   config   complete options of vmm.vm (see vmm.config)
--   script   file name or "-"; module: of a command; args: the words after it
--   adopts   of "boot": the machine has the terminal after the prompt of -i
--   given    e = { CODE... }, i, check, timeout, completion, gdb: as given, or nil
local function parse(argv)
    local command, message = read_words(argv,
        { config = {}, given = {}, args = {} })
    if not command then
        return nil, message
    end
    command.action = choose_action(command)
    if not command.action then
        return nil, "nothing to run: give --kernel path=FILE or a script"
            .. " (--help shows how)"
    end
    local ok
    ok, message = choose_console(command)
    if ok then
        ok, message = check_gdb(command)
    end
    if not ok then
        return nil, message
    end
    config.complete(command.config)
    return command
end

return parse
