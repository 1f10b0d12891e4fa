-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A strict reader of Prometheus' text format, version 0.0.4: what it refuses, raises.

local prometheus = {}

local NAME = "^[%a_:][%w_:]*$"
local TYPES = { counter = true, gauge = true, histogram = true, untyped = true, summary = true }
local UNESCAPED = { ["\\"] = "\\", ['"'] = '"', n = "\n" }

local function fail(line, what)
    error(("%s in: %s"):format(what, line), 0)
end

-- {a="b",...} at a position: labels, the position behind.
local function read_labels(line, at)
    local labels = {}
    if line:sub(at, at) ~= "{" then return labels, at end
    at = at + 1
    while line:sub(at, at) ~= "}" do
        local name, start = line:match('^([%a_][%w_]*)="()', at)
        if not name then fail(line, "a bad label") end
        if labels[name] then fail(line, "a label that is there twice") end
        local parts = {}
        at = start
        while line:sub(at, at) ~= '"' do
            local char = line:sub(at, at)
            if char == "" then fail(line, "a label without an end") end
            if char == "\\" then
                at = at + 1
                char = UNESCAPED[line:sub(at, at)] or fail(line, "an unknown escape")
            end
            parts[#parts + 1] = char
            at = at + 1
        end
        labels[name] = table.concat(parts)
        at = line:match("^,()", at + 1) or at + 1
    end
    return labels, at + 1
end

local function read_value(line, text)
    if text == "+Inf" then return math.huge end
    if not text:match "^-?%d+%.?%d*$" and not text:match "^-?%d+%.?%d*e[+-]%d+$" then
        fail(line, "a bad value")
    end
    return tonumber(text)
end

local function key_of(labels, without)
    local parts = {}
    for name, value in pairs(labels) do
        if name ~= without then parts[#parts + 1] = name .. "=" .. value end
    end
    table.sort(parts)
    return table.concat(parts, ",")
end

local function read_sample(line)
    local name, at = line:match "^([%a_:][%w_:]*)()"
    if not name then fail(line, "no name") end
    local labels
    labels, at = read_labels(line, at)
    local value = line:match("^ (%S+)$", at)
    if not value then fail(line, "no value") end
    return { name = name, labels = labels, value = read_value(line, value) }
end

-- Buckets ascend, their counts too; the last is +Inf and equals _count; there is a _sum.
local function check_histogram(family)
    local series = {}
    for _, sample in ipairs(family.samples) do
        local key = key_of(sample.labels, "le")
        local one = series[key] or { buckets = {} }
        series[key] = one
        local part = sample.name:sub(#family.name + 1)
        if part == "_bucket" then
            local le = read_value(family.name, sample.labels.le)
            local last = one.buckets[#one.buckets]
            assert(not last or last.le < le and last.count <= sample.value, family.name)
            one.buckets[#one.buckets + 1] = { le = le, count = sample.value }
        else
            assert(part == "_sum" or part == "_count", sample.name)
            one[part] = sample.value
        end
    end
    for key, one in pairs(series) do
        local last = one.buckets[#one.buckets]
        assert(last and last.le == math.huge, family.name .. key .. " has no +Inf")
        assert(last.count == one._count, family.name .. key .. ": _count")
        assert(one._sum, family.name .. key .. ": _sum")
    end
end

local function check(family)
    local seen = {}
    assert(#family.samples > 0, family.name .. " has no samples")
    for _, sample in ipairs(family.samples) do
        local key = sample.name .. key_of(sample.labels)
        assert(not seen[key], "twice: " .. key)
        seen[key] = true
        if family.type == "counter" then assert(sample.value >= 0, key) end
    end
    if family.type == "histogram" then check_histogram(family) end
end

-- Does a sample belong to the family?
local function belongs(family, name)
    return name == family.name
        or family.type == "histogram" and name:sub(1, #family.name + 1) == family.name .. "_"
end

-- The families of a text by name: { type =, help =, samples = { { name =, labels =, value = } } }.
function prometheus.parse(text)
    local families, family = {}, nil
    assert(text:sub(-1) == "\n", "the last line has no end")
    for line in text:gmatch "([^\n]*)\n" do
        local keyword, name, rest = line:match "^# (%u+) (%S+) (.*)$"
        if keyword == "HELP" then
            assert(name:match(NAME) and not families[name], line)
            family = { name = name, help = rest, samples = {} }
            families[name] = family
        elseif keyword == "TYPE" then
            assert(family and family.name == name and not family.type and TYPES[rest], line)
            family.type = rest
        else
            local sample = read_sample(line)
            assert(family and family.type and belongs(family, sample.name), line)
            family.samples[#family.samples + 1] = sample
        end
    end
    for _, one in pairs(families) do
        check(one)
    end
    return families
end

-- The value of the sample of a name with (at least) these labels; raises unless there is just one.
function prometheus.value(families, name, labels)
    local found
    local family = families[name] or families[name:match "^(.*)_%l+$"]
    for _, sample in ipairs(assert(family, name).samples) do
        local fits = sample.name == name
        for label, value in pairs(labels) do
            fits = fits and sample.labels[label] == value
        end
        if fits then
            assert(not found, "more than one " .. name)
            found = sample.value
        end
    end
    return found
end

return prometheus
