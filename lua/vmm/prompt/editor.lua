-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Reads lines from the user at the terminal, who edits them; everything else goes on meanwhile.

local complete = require "vmm.prompt.complete"
local core = require "vmm.core"
local history = require "vmm.prompt.history"
local terminal = require "vmm.terminal"

local Editor = { __name = "vmm.prompt.editor" }
Editor.__index = Editor

local editor = {}

local COLUMNS = 80

-- The editor of a prompt. options:
--   globals  where names are looked up that Tab completes
-- Returns it, and a message when something is missing; without libedit it reads whole lines.
function editor.new(options)
    local self = setmetatable({ globals = options.globals, notices = {} }, Editor)
    local message, kept
    self.core, message = core.line_editor(history.LINES)
    if not self.core then return self, ("no line editing: %s"):format(message) end
    self.history, kept = history.open(history.path())
    for _, line in ipairs(self.history.lines) do
        self.core:remember(line)
    end
    return self, kept and ("the lines typed are not kept: %s"):format(kept)
end

-- ---- what comes meanwhile ---------------------------------------------------------------

-- Ctrl-C. False when no line is being read.
function Editor:interrupt()
    if not self.reading then return false end
    self.interrupted = true
    return true
end

-- The window has another size.
function Editor:resize()
    self.resized = true
end

-- Shows a line of text above the one being typed, or before the next.
function Editor:notice(text)
    self.notices[#self.notices + 1] = text .. "\n"
end

local function take_notices(self)
    local text = table.concat(self.notices)
    self.notices = {}
    return text
end

-- Why a wait for a key is over before one came; nil when it is not.
local function news(self)
    if self.interrupted then return "interrupted" end
    if self.resized then return "resized" end
    if self.notices[1] then return "notices" end
end

-- ---- a line -----------------------------------------------------------------------------

local function set_size(self)
    local rows, columns = core.terminal.size()
    self.resized = false
    if rows then self.core:resize(rows, columns) end
    self.columns = columns or COLUMNS
end

local function answer(self, text)
    local ok, insert, list = pcall(complete.answer, text, self.globals, self.columns)
    if not ok then
        insert, list = "", ""
    end
    return self.core:complete(insert, list)
end

-- What the editor is told next: a key, or what has come instead of one.
local function next_event(self)
    local byte, why = terminal.read_key(function()
        return news(self)
    end)
    if byte then return self.core:key(byte) end
    if why == "resized" then
        set_size(self)
        return self.core:refresh()
    elseif why == "notices" then
        terminal.write("\n" .. take_notices(self):gsub("\n$", ""))
        return self.core:refresh()
    end
    self.core:cancel()
    return why
end

-- Edits until the line is whole. Returns "line", "end" or "interrupted", and the text.
local function edit(self, shown)
    local event, output, text = self.core:begin(shown)
    while event == "key" or event == "complete" do
        terminal.write(output)
        if event == "complete" then
            event, output, text = answer(self, text)
        else
            event, output, text = next_event(self)
        end
    end
    if output then terminal.write(output) end
    return event, text
end

-- The terminal goes back, whatever ends the wait for a key.
local function finish(self)
    self.reading = false
    self.interrupted = false
    if self.core then
        pcall(self.core.cancel, self.core) -- raises when no line is edited
        terminal.restore()
    end
end

local Guard = {
    __close = function(guard)
        finish(guard.editor)
    end,
}

local function read_edited(self, shown)
    set_size(self)
    terminal.edit()
    local event, text = edit(self, shown)
    if event == "interrupted" then terminal.write "^C\n" end
    if event == "end" then terminal.write "\n" end
    if event ~= "line" then return nil, event == "interrupted" and event or nil end
    if self.history:add(text) then self.core:remember(text) end
    return text
end

-- Whole lines, as the terminal itself lets the user edit them.
local function read_plain(self, shown)
    local line, why = terminal.read_line(shown, function()
        return self.interrupted and "interrupted" or nil
    end)
    if why then terminal.write "\n" end
    if not line and not why then terminal.write "\n" end
    return line, why
end

-- The next line that the user types; nil at the end, nil, "interrupted" after Ctrl-C.
function Editor:read_line(shown)
    self.reading = true
    local guard <close> = setmetatable({ editor = self }, Guard) -- luacheck: ignore guard
    terminal.write(take_notices(self))
    if self.core then return read_edited(self, shown) end
    return read_plain(self, shown)
end

function Editor:close()
    if self.core then self.core:close() end
    if self.history then self.history:close() end
end
Editor.__close = Editor.close

return editor
