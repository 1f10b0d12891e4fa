-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Which spec files a run has, in which order: paths, shards, durations of earlier runs.

local file = require "vmm.file"
local guests = require "vmm.guests"
local json = require "vmm.json"
local process = require "vmm.process"

local plan = {}

-- ---- files ------------------------------------------------------------------------------

local function is_test(path)
    return path:match "_spec%.lua$" or path:match "%.lua$" and ("/" .. path):match "/scenarios/"
end

-- "directory", "file" or nil: what a path, or the link there, leads to.
local function kind_of(path)
    local handle <close> = io.open(path)
    if not handle then return nil end
    local below <close> = io.open(path .. "/.")
    return below and "directory" or "file"
end

-- "FILE:LINE" -> FILE, LINE; another path, or a file of that name, is itself.
local function split_line(path)
    local before, line = path:match "^(.*%.lua):(%d+)$"
    if before and not kind_of(path) then return before, math.tointeger(line) end
    return path
end

-- plan.files(paths) -> the spec files in the order of the paths, each once, and { file = line } of
-- those of which only the test at a line is wanted; or nil, message.
function plan.files(paths)
    local list, seen, lines = {}, {}, {}
    local function add(path, line)
        path = path:gsub("^%./", ""):gsub("//+", "/")
        if not seen[path] then list[#list + 1] = path end
        seen[path], lines[path] = true, line or lines[path]
    end
    for _, word in ipairs(paths) do
        local path, line = split_line(word)
        local kind = kind_of(path)
        if not kind then return nil, ("test: %s: no such file or directory"):format(path) end
        local before = #list
        if kind == "file" then
            add(path, line)
        else
            for _, found in ipairs(process.find(path, "*.lua")) do
                if is_test(found) then add(found) end
            end
            if #list == before then
                return nil, ("test: %s: no *_spec.lua in it"):format(path)
            end
        end
    end
    return list, lines
end

-- ---- durations --------------------------------------------------------------------------

-- Where the durations of this user's runs are kept: { absolute path of a file = seconds }.
local function memory_path()
    return guests.cache() .. "/durations.json"
end

local function read_all(path)
    local handle <close> = io.open(path, "rb")
    return handle and handle:read "a"
end

local function absolute(path, directory)
    return path:sub(1, 1) == "/" and path or directory .. "/" .. path
end

local function read_memory()
    local known = json.decode(read_all(memory_path()) or "")
    return type(known) == "table" and known or {}
end

-- plan.remembered(files) -> { file = seconds } of those that have been run before.
function plan.remembered(files)
    local known, directory, result = read_memory(), process.current_directory(), {}
    for _, path in ipairs(files) do
        local seconds = known[absolute(path, directory)]
        result[path] = type(seconds) == "number" and seconds or nil
    end
    return result
end

-- Remembers { file = seconds } for the next run; a cache that cannot be written is none.
function plan.remember(durations)
    local known, directory = read_memory(), process.current_directory()
    for path, seconds in pairs(durations) do
        known[absolute(path, directory)] = seconds + 0.0
    end
    if process.make_directory(guests.cache()) then
        file.write(memory_path(), function(put)
            put(json.encode(known), "\n")
        end)
    end
end

-- plan.of_report(path) -> { file = seconds }, of a run file that an earlier run has written; or
-- nil, message.
function plan.of_report(path)
    local text = read_all(path)
    if not text then return nil, ("test: --durations %s cannot be read"):format(path) end
    local result, files = {}, {}
    for line in text:gmatch "[^\n]+" do
        local event = json.decode(line)
        if type(event) ~= "table" then
            return nil, ("test: --durations %s is not a run's report in JSON lines"):format(path)
        elseif event.event == "test_start" then
            files[event.id] = event.file
        elseif event.event == "test_end" and files[event.test] then
            local of = files[event.test]
            result[of] = (result[of] or 0) + (tonumber(event.duration) or 0)
        end
    end
    return result
end

-- ---- shards -----------------------------------------------------------------------------

-- FNV-1a, 32 bits: the same on every machine.
local function hash(text)
    local value = 0x811c9dc5
    for i = 1, #text do
        value = (value ~ text:byte(i)) * 0x01000193 & 0xffffffff
    end
    return value
end

-- A name for a test's folder: short, and another one for every id.
function plan.folder(id)
    return ("%s-%08x"):format(id:gsub("[^%w%-_.]+", "-"):sub(-80), hash(id))
end

-- What files that are not known take: as long as half of those that are.
local function median(durations)
    local list = {}
    for _, seconds in pairs(durations) do
        list[#list + 1] = seconds
    end
    table.sort(list)
    return list[(#list + 1) // 2] or 1
end

-- The longest first, each to the shard that has least; { file = shard }.
local function balance(files, count, durations)
    local other, loads, result = median(durations), {}, {}
    local sorted = table.move(files, 1, #files, 1, {})
    local function of(path)
        return durations[path] or other
    end
    table.sort(sorted, function(a, b)
        if of(a) ~= of(b) then return of(a) > of(b) end
        return a < b
    end)
    for _, path in ipairs(sorted) do
        local least = 1
        for i = 2, count do
            if (loads[i] or 0) < (loads[least] or 0) then least = i end
        end
        loads[least] = (loads[least] or 0) + of(path)
        result[path] = least
    end
    return result
end

-- plan.shard(files, shard, durations) -> those files that are in a shard, { index =, count = }.
-- The same files (and durations, or nil) are split in the same way on every machine.
function plan.shard(files, shard, durations)
    local of = durations and balance(files, shard.count, durations)
    local result = {}
    for _, path in ipairs(files) do
        if (of and of[path] or hash(path) % shard.count + 1) == shard.index then
            result[#result + 1] = path
        end
    end
    return result
end

-- ---- order ------------------------------------------------------------------------------

-- A generator of its own: scripts use math.random. Returns the next number of 0 to n - 1.
local function generator(seed)
    local state = seed & 0x7fffffff
    return function(n)
        state = (state * 1103515245 + 12345) & 0x7fffffff
        return (state >> 8) % n
    end
end

local function shuffle(files, seed)
    local next_number = generator(seed)
    for i = #files, 2, -1 do
        local k = next_number(i) + 1
        files[i], files[k] = files[k], files[i]
    end
end

-- Puts files in the order in which they are to be run: shuffled by a seed, or, for several at a
-- time, the longest first, before them those of which nothing is known.
function plan.order(files, options)
    if options.seed then
        shuffle(files, options.seed)
    elseif options.jobs > 1 then
        local known = plan.remembered(files)
        local place = {}
        for i, path in ipairs(files) do
            place[path] = i
        end
        table.sort(files, function(a, b)
            local left, right = known[a] or math.huge, known[b] or math.huge
            if left ~= right then return left > right end
            return place[a] < place[b]
        end)
    end
    return files
end

return plan
