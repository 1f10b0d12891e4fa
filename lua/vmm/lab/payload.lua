-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Find the host files a command line needs, so that they are at the same paths inside the lab.

local process = require "vmm.process"

local payload = {}

--- A path as seen from directory.
function payload.absolute(directory, path)
    return path:sub(1, 1) == "/" and path or directory .. "/" .. path
end

-- Each way a word of a command line may hold a path: the word itself, and what follows any "="
-- up to any comma after it, with quotes stripped.
local function candidates(word)
    local list = { word }
    local start = 1
    while true do
        local equals = word:find("=", start, true)
        if not equals then
            return list
        end
        local rest = word:sub(equals + 1)
        local finish = 0
        repeat
            finish = rest:find(",", finish + 1, true) or #rest + 1
            list[#list + 1] = rest:sub(1, finish - 1):gsub("^[\"']", ""):gsub("[\"']$", "")
        until finish > #rest
        start = equals + 1
    end
end

--- The files and directories that args name, as absolute paths that exist.
-- Returns an array of { path, kind }, in order, each once.
function payload.named(directory, args)
    local paths, seen = {}, {}
    for _, word in ipairs(args) do
        for _, candidate in ipairs(candidates(word)) do
            local path = candidate ~= "" and payload.absolute(directory, candidate)
            if path and not path:find("[\n%z]") and not seen[path] then
                seen[path] = true
                paths[#paths + 1] = path
            end
        end
    end
    local stat, result = process.stat(paths), {}
    for _, path in ipairs(paths) do
        if stat[path] and stat[path].kind ~= "other" then
            result[#result + 1] = { path = path, kind = stat[path].kind }
        end
    end
    return result
end

-- System directories have their own contents inside the lab.
local KEPT_OUT = { "/proc", "/sys", "/dev", "/lab", "/run" }

local function kept_out(path)
    for _, prefix in ipairs(KEPT_OUT) do
        if path == prefix or path:sub(1, #prefix + 1) == prefix .. "/" then
            return true
        end
    end
    return path:match("^/*$") ~= nil
end

--- Add a host file, or a directory with all below it, to a tree at the same path.
function payload.add(tree, path)
    if kept_out(path) then
        return
    end
    local stat = process.stat1(path)
    if stat and stat.kind == "file" then
        tree:copy(path, path, stat.mode)
    elseif stat and stat.kind == "directory" then
        tree:directory(path)
        local files = process.find(path, "*")
        for file, about in pairs(process.stat(files)) do
            tree:copy(file, file, about.mode)
        end
    end
end

--- Add what a script may require: the Lua files of its directory and below.
function payload.add_neighbours(tree, script)
    local files = process.find(script:match("^(.*)/"), "*.lua")
    for file, about in pairs(process.stat(files)) do
        tree:copy(file, file, about.mode)
    end
end

-- Shared libraries a program opens by name while it runs, which ldd does not see.
local function opened_later(path)
    local file = io.open(path, "rb")
    local known = file and process.capture { "/sbin/ldconfig", "-p" }
    local result = {}
    if known then
        for name in file:read("a"):gmatch("%f[%w_](lib[%w_+.-]+%.so%.%d+)%z") do
            local where = known:match("\n\t" .. name:gsub("%p", "%%%0")
                .. " %(libc6,x86%-64[^)]*%) => ([^\n]+)")
            result[#result + 1] = where
        end
    end
    if file then
        file:close()
    end
    return result
end

--- Add a program or shared library at its own path, with the libraries it needs.
function payload.add_program(tree, path)
    local todo, seen = { path }, {}
    while #todo > 0 do
        local file = table.remove(todo)
        if not seen[file] then
            seen[file] = true
            tree:copy(file, file, 0x1ed)
            for line in (process.capture { "ldd", file } or ""):gmatch("[^\n]+") do
                local library = line:match("(/%S+) %(0x%x+%)$")
                if library and not seen[library] then
                    seen[library] = true
                    tree:copy(library, library, 0x1ed)
                end
            end
            if file == path then
                table.move(opened_later(file), 1, 64, #todo + 1, todo)
            end
        end
    end
end

return payload
