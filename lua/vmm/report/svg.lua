-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A chart over time as SVG: lanes below each other on one axis of seconds.

local clean = require "vmm.report.clean"

local Chart = {}
Chart.__index = Chart

local WIDTH, LEFT, RIGHT = 960, 92, 24
local CHARACTER = 6.2 -- about as wide as one of the labels' is, in units of the picture

local xml = clean.xml

-- from, to: seconds that the axis begins and ends with.
local function new(from, to)
    return setmetatable({
        from = from, to = math.max(to, from + 1e-3), y = 6, parts = {}, marks = {},
    }, Chart)
end

function Chart:add(format, ...)
    self.parts[#self.parts + 1] = format:format(...)
end

-- Where a time is in the picture.
function Chart:x(t)
    t = math.max(self.from, math.min(self.to, t))
    return LEFT + (WIDTH - LEFT - RIGHT) * (t - self.from) / (self.to - self.from)
end

function Chart:text(x, y, words, class, anchor)
    self:add('<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>\n', x, y, class or "",
        anchor or "start", xml(words))
end

function Chart:line(x1, y1, x2, y2, class)
    self:add('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>\n', x1, y1, x2, y2, class)
end

-- The name of a lane, left of it.
function Chart:name(words, y)
    self:text(LEFT - 8, y, words, "soft", "end")
end

function Chart:rectangle(bar, y, height, class)
    local from, to = self:x(bar.from), self:x(bar.to)
    self:add('<rect x="%.1f" y="%.1f" width="%.1f" height="%d" class="%s">', from, y,
        math.max(to - from, 1), height, class)
    self:add("<title>%s</title></rect>\n", xml(bar.title))
    return from, to
end

local function width_of(words)
    return utf8.len(words) * CHARACTER
end

-- Bars that follow each other, in one lane; { from, to, words, title }. Those that are too short
-- for their words have a number, and the words below.
function Chart:bars(name, bars)
    if #bars == 0 then return end
    local below = {}
    self:name(name, self.y + 18)
    for i, bar in ipairs(bars) do
        local from, to = self:rectangle(bar, self.y + 2, 24, i % 2 == 0 and "phase-b" or "phase-a")
        if width_of(bar.words) < to - from - 6 then
            self:text(from + 4, self.y + 18, bar.words, "in")
        else
            local sign = ("%d"):format(#below + 1)
            below[#below + 1] = sign .. " " .. bar.words
            if width_of(sign) < to - from then
                self:text((from + to) / 2, self.y + 18, sign, "in", "middle")
            end
        end
    end
    self.y = self.y + 34
    if #below == 0 then return end
    self:text(LEFT, self.y + 8, table.concat(below, " \u{B7} "), "soft")
    self.y = self.y + 20
end

-- A bar in each row, with its words behind it, or before it where there is more room.
function Chart:rows(name, bars)
    for i, bar in ipairs(bars) do
        if i == 1 then self:name(name, self.y + 10) end
        local from, to = self:rectangle(bar, self.y, 12, bar.bad and "call bad" or "call")
        if to + 5 + width_of(bar.words) < WIDTH then
            self:text(to + 5, self.y + 10, bar.words)
        else
            self:text(from - 5, self.y + 10, bar.words, nil, "end")
        end
        self.y = self.y + 17
    end
    if #bars > 0 then self.y = self.y + 6 end
end

-- A curve over time: points { t, value } in order; highest: the greatest value in words.
function Chart:area(name, points, class, highest)
    if #points < 2 then return end
    local height, most = 56, 0
    for _, point in ipairs(points) do
        most = math.max(most, point[2])
    end
    local bottom, path = self.y + height + 6, {}
    for _, point in ipairs(points) do
        path[#path + 1] = ("%.1f,%.1f"):format(self:x(point[1]),
            bottom - height * point[2] / math.max(most, 1e-9))
    end
    self:name(highest, bottom - height + 8)
    self:name(name, bottom - height / 2 + 4)
    self:name("0", bottom)
    self:line(LEFT, bottom, WIDTH - RIGHT, bottom, "grid")
    self:add('<path d="M%.1f,%.1f L%s L%.1f,%.1f Z" class="%s"/>\n', self:x(points[1][1]), bottom,
        table.concat(path, " "), self:x(points[#points][1]), bottom, class)
    self.y = bottom + 10
end

-- A moment, from top to bottom.
function Chart:mark(t, words, bad)
    if t < self.from or t > self.to then return end
    table.insert(self.marks, { t = t, words = words, class = bad and "mark bad" or "mark" })
end

-- A step of 1, 2 or 5 that gives at most so many parts.
local function nice_step(span, parts)
    local step = 10 ^ math.floor(math.log(span / parts, 10))
    for _, factor in ipairs { 1, 2, 5, 10 } do
        if span / (step * factor) <= parts then return step * factor end
    end
    return step * 10
end

function Chart:put_axis()
    local step = nice_step(self.to - self.from, 12)
    local digits = math.max(0, -math.floor(math.log(step, 10) + 1e-9))
    local t = math.ceil(self.from / step) * step
    self:line(LEFT, self.y, WIDTH - RIGHT, self.y, "axis")
    while t <= self.to + step * 1e-6 do
        self:line(self:x(t), 0, self:x(t), self.y, "grid")
        self:text(self:x(t), self.y + 14, ("%." .. digits .. "f s"):format(t), "soft", "middle")
        t = t + step
    end
end

-- Words of marks lie in rows, so that none is upon another.
function Chart:put_marks()
    table.sort(self.marks, function(a, b)
        return a.t < b.t
    end)
    local bottom, rows, ends = self.y, 0, {}
    for _, mark in ipairs(self.marks) do
        local x, wide = self:x(mark.t), width_of(mark.words)
        local left = x + wide + 4 < WIDTH and x or math.max(0, x - wide)
        local row = 1
        while ends[row] and ends[row] > left - 8 do
            row = row + 1
        end
        ends[row], rows = left + wide, math.max(rows, row)
        local y = bottom + 16 + row * 15
        self:line(x, 0, x, y - 11, mark.class)
        self:text(x, y, mark.words, mark.class, left == x and "start" or "end")
    end
    self.y = bottom + 24 + rows * 15
end

-- The picture; title and description are what screen readers say.
function Chart:svg(title, description, id)
    local lanes = self.parts
    self.parts = {}
    self:put_axis()
    self:put_marks()
    return table.concat {
        ('<svg viewBox="0 0 %d %d" role="img" aria-labelledby="%s %s-more">\n'):format(WIDTH,
            math.ceil(self.y), id, id),
        ('<title id="%s">%s</title><desc id="%s-more">%s</desc>\n'):format(id, xml(title), id,
            xml(description)),
        table.concat(self.parts), table.concat(lanes), "</svg>\n",
    }
end

return { new = new }
