-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What guests are made of is made once: files in the cache by the description of what went in.

local core = require "vmm.core"
local guests = require "vmm.guests"
local process = require "vmm.process"

local store = {}

-- 64 bits by FNV-1a. That two descriptions have the same one is seen, for they are kept.
local function checksum(text)
    local sum = 0xcbf29ce484222325
    for index = 1, #text do
        sum = (sum ~ text:byte(index)) * 0x100000001b3
    end
    return ("%016x"):format(sum)
end

local function read(path)
    local file <close> = io.open(path, "rb")
    return file and file:read "a"
end

local function write(path, text)
    local file = assert(io.open(path, "wb"))
    local ok = file:write(text)
    return file:close() and ok or nil, path .. ": cannot be written whole (disk full?)"
end

--- The path of what a description stands for, and of the description beside it.
function store.paths(kind, suffix, description)
    local path = ("%s/%s-%s%s"):format(guests.cache(), kind, checksum(description), suffix)
    return path, path .. ".recipe"
end

--- The path of what a description stands for, made if it is not there yet: aside, and given its
-- name when it is whole, so that many may do it at once.
-- make(path, scratch) makes it, in a directory that is removed then; true, or nil and a message.
-- @return path; or nil, message
function store.get(kind, suffix, description, make)
    local path, note = store.paths(kind, suffix, description)
    if core.file_kind(path) and read(note) == description then return path end
    local ok, message = process.make_directory(guests.cache())
    if not ok then return nil, message end
    local scratch
    scratch, message = process.temporary_directory("make", guests.cache())
    if not scratch then return nil, message end
    local made = scratch .. "/made"
    ok, message = make(made, scratch)
    if ok then ok, message = write(scratch .. "/recipe", description) end
    if ok then ok, message = os.rename(made, path) end
    if ok then ok, message = os.rename(scratch .. "/recipe", note) end
    process.remove(scratch)
    if not ok then return nil, message end
    return path
end

return store
