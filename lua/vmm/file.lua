-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Files that are written as a whole: what was there before stays until all of the new is there.

local core = require "vmm.core"

local file = {}

-- Calls fill(put); put(text, ...) writes. true, or false, why not, the error that fill raised.
local function write_all(handle, fill)
    local failure
    local filled, err = pcall(fill, function(...)
        local written, why = handle:write(...)
        failure = failure or not written and why
    end)
    local closed, why = handle:close()
    failure = failure or not closed and why
    return filled and not failure, failure, not filled and err or nil
end

-- What is no file of its own (a device, a pipe, a link) is not replaced, but written to; and so is
-- a file in a directory where none can be made.
local function open(path)
    local kind = core.file_kind(path)
    if kind == nil or kind == "file" then
        local beside = path .. ".new"
        local handle = io.open(beside, "wb")
        if handle then return handle, beside end
    end
    local handle, message = io.open(path, "wb")
    return handle, nil, message
end

-- Writes a file as fill(put) says, which calls put(text, ...) again and again: true, or nil,
-- message, "EIO", and what was there before is there still (unless it is a device, a pipe, a link).
-- Whoever reads the file meanwhile finds the old or the new, whole.
function file.write(path, fill)
    local handle, beside, message = open(path)
    if not handle then return nil, "cannot write " .. message, "EIO" end
    local ok, why, err = write_all(handle, fill)
    if ok and beside then
        ok, why = os.rename(beside, path)
    end
    if ok then return true end
    if beside then os.remove(beside) end
    if err ~= nil then error(err, 0) end
    return nil, ("cannot write %s: %s"):format(path, why), "EIO"
end

return file
