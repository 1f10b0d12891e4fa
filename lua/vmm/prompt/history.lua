-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The lines typed at the prompt, kept in a file of the user's for the next time.

local core = require "vmm.core"

local History = { __name = "vmm.history" }
History.__index = History

local history = {}

history.LINES = 1000 -- kept at the most
local LINE_BYTES = 4096 -- a longer one is not kept
local FILE_BYTES = 4 << 20 -- read of the file's end

-- Where the lines are kept, by the XDG base directories; nil when the user has no home.
function history.path()
    local state, home = os.getenv "XDG_STATE_HOME", os.getenv "HOME"
    if not state or not state:find "^/" then
        if not home or not home:find "^/" then return nil end
        state = home .. "/.local/state"
    end
    return state .. "/vmm-reference/history"
end

-- The lines of a file, of more than LINES the newest, and whether that is all of it.
local function read(path)
    local file <close> = io.open(path, "rb")
    local lines = {}
    if not file then return lines, true end
    local size = file:seek "end" or 0
    file:seek("set", math.max(0, size - FILE_BYTES))
    for line in (file:read "a" or ""):gmatch "([^\n]*)\n" do
        lines[#lines + 1] = line
    end
    local first = math.max(1, #lines - history.LINES + 1)
    local whole = first == 1 and size <= FILE_BYTES
    return table.move(lines, first, #lines, 1, {}), whole
end

-- Makes the file anew, so that it is whole at any moment.
local function rewrite(path, lines)
    local fresh = path .. ".new"
    local ok, message = core.private_file(fresh)
    if not ok then return nil, message end
    local file
    file, message = io.open(fresh, "wb")
    if not file then return nil, message end
    for _, line in ipairs(lines) do
        file:write(line, "\n")
    end
    ok, message = file:close()
    if not ok then return nil, message end
    return os.rename(fresh, path)
end

-- Opens the history of a file (nil: of this run only). Returns it, and a message when it can't be
-- kept; its field lines has the lines, oldest first.
function history.open(path)
    local self = setmetatable({ lines = {} }, History)
    if not path then return self end
    local ok, message = core.private_file(path)
    if not ok then return self, message end
    local whole
    self.lines, whole = read(path)
    if not whole then
        ok, message = rewrite(path, self.lines)
    end
    if ok then
        self.file, message = io.open(path, "ab")
    end
    if self.file then self.file:setvbuf "no" end
    return self, message
end

-- Adds a line, unless it is empty or that of before; true when it was added.
function History:add(line)
    local is_new = line:find "%S" and line ~= self.lines[#self.lines] and #line <= LINE_BYTES
    if not is_new then return false end
    self.lines[#self.lines + 1] = line
    if self.file then self.file:write(line .. "\n") end
    return true
end

function History:close()
    if self.file then self.file:close() end
    self.file = nil
end
History.__close = History.close

return history
