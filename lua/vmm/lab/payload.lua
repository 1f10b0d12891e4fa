-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Find the host files a command line needs, so that they are at the same paths inside the lab.

local initramfs = require "vmm.initramfs"
local process = require "vmm.process"

local payload = {}

--- A path as seen from directory.
function payload.absolute(directory, path)
    return path:sub(1, 1) == "/" and path or directory .. "/" .. path
end

-- Each way a word of a command line may hold a path: the word itself, and what follows any "="
-- up to any comma after it, without quotes.
local function candidates(word)
    local list = { word }
    local start = 1
    while true do
        local equals = word:find("=", start, true)
        if not equals then
            return list
        end
        local rest = word:sub(equals + 1)
        local comma = 0
        repeat
            comma = rest:find(",", comma + 1, true) or #rest + 1
            list[#list + 1] = rest:sub(1, comma - 1):gsub("^[\"']", ""):gsub("[\"']$", "")
        until comma > #rest
        start = equals + 1
    end
end

--- All that might be a path in args, as absolute paths, in order, each once.
function payload.candidates(directory, args)
    local paths, seen = {}, {}
    for _, word in ipairs(args) do
        for _, candidate in ipairs(candidates(word)) do
            local path = payload.absolute(directory, candidate)
            if candidate ~= "" and not candidate:find("[\n%z]") and not seen[path] then
                seen[path] = true
                paths[#paths + 1] = path
            end
        end
    end
    return paths
end

-- path without "." and ".." parts.
local function plain(path)
    local parts = {}
    for part in path:gmatch("[^/]+") do
        if part == ".." then
            parts[#parts] = nil
        elseif part ~= "." then
            parts[#parts + 1] = part
        end
    end
    return "/" .. table.concat(parts, "/")
end

-- What the lab has of its own.
local OWN = { "/proc", "/sys", "/dev", "/lab" }

local function is_below(path, directory)
    return path == directory or directory == "/" or path:sub(1, #directory + 1) == directory .. "/"
end

local function is_own(path)
    path = plain(path)
    for _, directory in ipairs(OWN) do
        if is_below(path, directory) then
            return true
        end
    end
    return false
end

local function add_file(tree, path, mode)
    tree:copy(path, path, mode)
    for _, library in ipairs(initramfs.libraries(path)) do
        tree:copy(library, library, 0x1ed)
    end
end

--- Add a host file (a program with its libraries), or a directory with all below it but hidden
-- directories, to a tree at the same path.
function payload.add(tree, path)
    local about = not is_own(path) and process.stat1(path)
    if about and about.kind == "file" then
        add_file(tree, path, about.mode)
    elseif about and about.kind == "directory" then
        tree:directory(path)
        for file, of_file in pairs(process.stat(process.find(path, "*"))) do
            add_file(tree, file, of_file.mode)
        end
    end
end

-- The directory a path is in, without the last part.
local function parent(path)
    return path:match("^(.+)/[^/]*$") or "/"
end

--- Add what args name: files, directories that do not hold the current one, and what a script
-- may require (the Lua files beside and below it). A path that does not exist may be meant to be
-- made, so its directory is there as well.
function payload.add_named(tree, directory, args)
    local paths = payload.candidates(directory, args)
    local parents = {}
    for index, path in ipairs(paths) do
        parents[index] = parent(path)
    end
    local stat, stat_of_parents = process.stat(paths), process.stat(parents)
    for index, path in ipairs(paths) do
        local kind = stat[path] and stat[path].kind
        -- In "a/../b" the lab needs an "a" as well.
        for finish in path:gmatch("()/%.%./") do
            if kind then
                tree:directory(path:sub(1, finish - 1))
            end
        end
        if kind == "file" then
            payload.add(tree, path)
            if path:find("%.lua$") then
                for _, file in ipairs(process.find(parents[index], "*.lua")) do
                    tree:copy(file, file)
                end
            end
        elseif kind == "directory" and not is_below(directory, plain(path)) then
            payload.add(tree, path)
        elseif stat_of_parents[parents[index]] and not is_own(path) then
            tree:directory(parents[index])
        end
    end
end

-- Shared libraries a program opens by name while it runs, which ldd does not see.
local function opened_later(path)
    local file = io.open(path, "rb")
    local known = file and process.capture { "/sbin/ldconfig", "-p" }
    local result = {}
    if known then
        for name in file:read("a"):gmatch("%f[%w_](lib[%w_+.-]+%.so%.%d+)%z") do
            result[#result + 1] = known:match("\n\t" .. name:gsub("%p", "%%%0")
                .. " %(libc6,x86%-64[^)]*%) => ([^\n]+)")
        end
    end
    if file then
        file:close()
    end
    return result
end

--- Add the program to be run, with all libraries it needs at its start or later.
function payload.add_program(tree, path)
    add_file(tree, path, 0x1ed)
    for _, library in ipairs(opened_later(path)) do
        add_file(tree, library, 0x1ed)
    end
end

return payload
