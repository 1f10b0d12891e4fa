-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A file's lines and where they are in it, in bounded memory, however long a line is.

local lines = {}

local BLOCK = 1 << 16

local LONGEST = 4 << 20 -- bytes of a line; a longer one is skipped

-- The next block of what lies between two offsets, or nil.
local function read_block(handle, at, stop)
    local left = stop and stop - at or BLOCK
    return left > 0 and handle:read(math.min(BLOCK, left)) or nil
end

-- Calls fn(line, offset, whole) for each line from one offset on to another (nil: the file's end).
-- whole: false for a last one without its newline. A line of more than 4 MiB comes as nil.
function lines.each(handle, from, stop, fn)
    handle:seek("set", from)
    local parts, held, start, at = {}, 0, from, from
    local function give(last, whole)
        local long = held + #last > LONGEST
        parts[#parts + 1] = last
        fn(not long and table.concat(parts) or nil, start, whole)
        parts, held = {}, 0
    end
    local block = read_block(handle, at, stop)
    while block do
        local from_byte = 1
        local newline = block:find("\n", 1, true)
        while newline do
            give(block:sub(from_byte, newline - 1), true)
            from_byte = newline + 1
            start = at + newline
            newline = block:find("\n", from_byte, true)
        end
        local rest = block:sub(from_byte)
        held = held + #rest
        parts[#parts + 1] = held <= LONGEST and rest or nil
        at = at + #block
        block = read_block(handle, at, stop)
    end
    if held > 0 then give("", false) end
    return at
end

return lines
