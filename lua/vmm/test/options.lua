-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The command line of `vmm-reference test`, parsed by a table.

local features = require "vmm.features"
local process = require "vmm.process"
local text = require "vmm.text"

local options = {}

options.USAGE = [[
usage: vmm-reference test [options] FILE[:LINE]|DIRECTORY...

Runs busted specs, each file in a process of its own in which tests may wait. In a directory
these are the files named *_spec.lua, and all *.lua below a directory called scenarios. With a
LINE it is only the test there.

  -j, --jobs N|auto    so many files at a time (1); fewer while the host is busy
  --filter PATTERN     only tests whose name matches a Lua pattern; repeatable
  --filter-out PATTERN   none that match; repeatable
  --tags T, --exclude-tags T   only tests with #T in their name; none with it
  --list               list the tests, run none
  --seed N|random      shuffle files and tests; scripts find the number in VMM_SEED
  --repeat N           run everything N times
  --retries N          run a test that failed up to N times more
  --shard I/N          only the Ith of N parts; every file is in exactly one
  --durations FILE     split by the durations in this earlier report (.jsonl), which must be
                       the same for all parts
  --timeout S          of the run, in seconds (none)
  --test-timeout S     of each test (300); also of each set-up and teardown
  --grace S            a test that does not end then is killed, with its process (10)
  --report FILE        also write a report: .jsonl, .xml (JUnit), .tap, .html; repeatable
  --artefacts DIR      keep output, console logs and metrics there, by test
  --keep DIR           the same, and the VMs of tests that fail: they run on, in processes of
                       their own, which have a prompt
  --attach SOCKET      no test: open the prompt of such a process
  --kernel path=FILE   the kernel of guests that name none
  --debug-on-fail      when a test fails pause all VMs and open a prompt
  --helper FILE, --lpath PATH   as busted has them
  -v, --verbose        show what tests print, also of those that pass

Time limits are multiplied by VMM_TIMEOUT_SCALE. Exit codes: 0 all passed, 1 a test failed, 2 the
command line is wrong, 124 the time of --timeout is over, 130 interrupted.
]]

local function whole(least)
    return function(word)
        local number = math.tointeger(tonumber(word:match "^%d+$" or ""))
        if number and number >= least then return number end
        return nil, ("a whole number, %d or more"):format(least)
    end
end

local function jobs(word)
    if word == "auto" then return tonumber(process.line { "nproc" }) or 1 end
    local number = whole(1)(word)
    return number, not number and "a whole number, 1 or more, or auto" or nil
end

local function seed(word)
    if word == "random" then return math.random(0, (1 << 31) - 1) end
    local number = whole(0)(word)
    return number, not number and "a whole number, or random" or nil
end

local function seconds(word)
    local number = word:match "^[%d.]+$" and tonumber(word)
    if number and number > 0 then return number end
    return nil, "a number of seconds above 0"
end

local function shard(word)
    local index, count = word:match "^(%d+)/(%d+)$"
    index, count = math.tointeger(index), math.tointeger(count)
    if index and index >= 1 and index <= count then return { index = index, count = count } end
    return nil, "I/N, with I from 1 to N"
end

local function pattern(word)
    if pcall(string.find, "", word) then return word end
    return nil, "a Lua pattern"
end

local function plain(word)
    return word
end

local function kernel(word)
    local path = word:match "^path=(.+)$"
    if not path then return nil, "path=FILE" end
    if not process.is_readable(path) then return nil, "path= and a file that can be read" end
    return path:sub(1, 1) == "/" and path or process.current_directory() .. "/" .. path
end

local FORMATS = { jsonl = true, xml = true, tap = true, html = true }

local function report(word)
    if not FORMATS[word:match "%.(%a+)$"] then
        return nil, "a file named .jsonl, .xml, .tap or .html"
    end
    return word
end

-- Each option: its names, the key of its value, how that is read (a flag without it).
local LIST = {
    { "-j", "--jobs", key = "jobs", read = jobs },
    { "--filter", key = "filter", read = pattern, many = true },
    { "--filter-out", key = "filter_out", read = pattern, many = true },
    { "--tags", "-t", key = "tags", read = plain, many = true },
    { "--exclude-tags", key = "exclude_tags", read = plain, many = true },
    { "--list", "-l", key = "list" },
    { "--seed", key = "seed", read = seed },
    { "--repeat", key = "repeats", read = whole(1) },
    { "--retries", key = "retries", read = whole(0) },
    { "--shard", key = "shard", read = shard },
    { "--durations", key = "durations", read = plain },
    { "--timeout", key = "timeout", read = seconds },
    { "--test-timeout", key = "test_timeout", read = seconds },
    { "--grace", key = "grace", read = seconds },
    { "--report", key = "reports", read = report, many = true },
    { "--artefacts", key = "artefacts", read = plain },
    { "--keep", key = "keep", read = plain },
    { "--attach", key = "attach", read = plain },
    { "--kernel", key = "kernel", read = kernel },
    { "--debug-on-fail", key = "debug" },
    { "--helper", key = "helper", read = plain },
    { "--lpath", "-m", key = "lpath", read = plain },
    { "--verbose", "-v", key = "verbose" },
    { "--worker", key = "worker", read = plain }, -- how a run starts its processes
    { "--help", "-h", key = "help" },
}

local KEEP_BYTES = 107 - #"/4194304.prompt" -- a socket's path has 107

local DEFAULTS = { jobs = 1, repeats = 1, retries = 0, test_timeout = 300, grace = 10 }

local function find(name)
    for _, option in ipairs(LIST) do
        for _, known in ipairs(option) do
            if known == name then return option end
        end
    end
end

-- The names of the options that take part in completion.
function options.names()
    local names = {}
    for _, option in ipairs(LIST) do
        if option.key ~= "worker" then table.move(option, 1, #option, #names + 1, names) end
    end
    return names
end

local function unknown(name)
    local near = text.nearest(name:gsub("^%-+", ""), (function()
        local names = {}
        for i, known in ipairs(options.names()) do
            names[i] = known:gsub("^%-+", "")
        end
        return names
    end)())
    return ("test: unknown option %s%s; vmm-reference test --help"):format(name,
        near and (#near > 1 and "; did you mean --" or "; did you mean -") .. near .. "?" or "")
end

-- Takes the option at words[at]; the index of the next word, or nil, message.
local function take(words, at, into)
    local name, value = words[at], nil
    if name:match "^%-%-[^=]+=" then
        name, value = name:match "^(%-%-[^=]+)=(.*)$"
    elseif name:match "^%-j." then
        name, value = "-j", name:sub(3)
    end
    local option = find(name)
    if not option then return nil, unknown(name) end
    if not option.read then
        if value then return nil, ("test: %s takes no value"):format(name) end
        into[option.key] = true
        return at + 1
    end
    if not value then
        at = at + 1
        value = words[at]
    end
    if not value or value == "" then return nil, ("test: %s needs a value"):format(name) end
    local result, wanted = option.read(value)
    if result == nil then
        return nil, ("test: %s %s: it takes %s"):format(name, text.show(value):sub(2, -2), wanted)
    end
    if option.many then
        into[option.key] = into[option.key] or {}
        table.insert(into[option.key], result)
    elseif into[option.key] ~= nil then
        return nil, ("test: %s is given twice"):format(name)
    else
        into[option.key] = result
    end
    return at + 1
end

-- What does not go together; a message, or nil.
local function conflict(given)
    if given.debug and (given.jobs or 1) > 1 then
        return "test: --debug-on-fail runs one file at a time, without -j"
    elseif given.durations and not given.shard then
        return "test: --durations is for --shard; a run remembers its own"
    elseif given.keep and given.artefacts then
        return "test: --keep and --artefacts: one of them; --keep keeps the VMs as well"
    elseif given.keep and given.debug then
        return "test: --keep and --debug-on-fail: one of them; for files alone --artefacts"
    elseif given.keep and #given.keep > KEEP_BYTES then
        return ("test: --keep: a directory whose path has at most %d bytes, as sockets are in it; "
            .. "this one has %d"):format(KEEP_BYTES, #given.keep)
    elseif not (given.paths[1] or given.help or given.worker or given.attach) then
        return "test: which files? vmm-reference test --help"
    end
end

-- options.parse(words) -> a table of the values by key, paths among them; or nil, message.
function options.parse(words)
    local given, at = { paths = {} }, 1
    while words[at] do
        local word = words[at]
        if word == "--" then
            table.move(words, at + 1, #words, #given.paths + 1, given.paths)
            break
        elseif word:match "^%-." then
            local message
            at, message = take(words, at, given)
            if not at then return nil, message end
        else
            given.paths[#given.paths + 1] = word
            at = at + 1
        end
    end
    local lacking = features.lacking { "scenario" }
    local wrong = lacking and "test: " .. lacking or conflict(given)
    if wrong then return nil, wrong end
    given.artefacts = given.artefacts or given.keep
    for key, value in pairs(DEFAULTS) do
        if given[key] == nil then given[key] = value end
    end
    return given
end

return options
