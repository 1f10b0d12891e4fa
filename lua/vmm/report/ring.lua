-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The beginning and the end of something long: its first and last lines, and what is left out
-- between them.

local Ring = {}
Ring.__index = Ring

-- Keeps so many bytes, some of them of the beginning (a quarter).
local function new(bytes, head)
    head = head or bytes // 4
    return setmetatable({
        head = {}, room = head, tail = {}, first = 1, last = 0, held = 0,
        most = bytes - head, lines = 0, left_out = 0, left_bytes = 0,
    }, Ring)
end

local function drop_first(self)
    local line = self.tail[self.first]
    self.tail[self.first] = nil
    self.first = self.first + 1
    self.held = self.held - #line
    self.left_out = self.left_out + 1
    self.left_bytes = self.left_bytes + #line
end

function Ring:add(line)
    self.lines = self.lines + 1
    if self.room >= #line and self.last == 0 then
        self.head[#self.head + 1] = line
        self.room = self.room - #line
        return
    end
    self.last = self.last + 1
    self.tail[self.last] = line
    self.held = self.held + #line
    while self.held > self.most and self.first < self.last do
        drop_first(self)
    end
end

-- The lines kept, in order: calls each(line), and once, if something is left out, gap(lines,
-- bytes).
function Ring:each(each, gap)
    for _, line in ipairs(self.head) do
        each(line)
    end
    if self.left_out > 0 and gap then gap(self.left_out, self.left_bytes) end
    for i = self.first, self.last do
        each(self.tail[i])
    end
end

return { new = new }
