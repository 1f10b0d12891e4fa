-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Guest memory in plain Lua, so that boot code is tested without the C core: the same doors
-- (read, write, fill, u8..u64, regions, check) over a sparse table of pages.

local fake_memory = {}
fake_memory.__index = fake_memory

local PAGE = 4096

-- ranges: an array of {base, size}, as vmm.memory takes it.
function fake_memory.new(ranges)
    return setmetatable({ ranges = ranges, pages = {} }, fake_memory)
end

function fake_memory:check(gpa, len)
    for _, range in ipairs(self.ranges) do
        if gpa >= range[1] and gpa + len <= range[1] + range[2] then
            return true
        end
    end
    return nil, ("[0x%x, 0x%x) is not RAM"):format(gpa, gpa + len), "EFAULT"
end

function fake_memory:regions()
    local regions = {}
    for i, range in ipairs(self.ranges) do
        regions[i] = { base = range[1], size = range[2] }
    end
    return regions
end

function fake_memory:size()
    local size = 0
    for _, range in ipairs(self.ranges) do
        size = size + range[2]
    end
    return size
end

local function page(self, number)
    return self.pages[number] or ("\0"):rep(PAGE)
end

function fake_memory:read(gpa, len)
    local ok, message, code = self:check(gpa, len)
    if not ok then return nil, message, code end
    local parts = {}
    while len > 0 do
        local offset = gpa % PAGE
        local take = math.min(len, PAGE - offset)
        parts[#parts + 1] = page(self, gpa // PAGE):sub(offset + 1, offset + take)
        gpa, len = gpa + take, len - take
    end
    return table.concat(parts)
end

function fake_memory:write(gpa, bytes)
    local ok, message, code = self:check(gpa, #bytes)
    if not ok then return nil, message, code end
    local at = 1
    while at <= #bytes do
        local number, offset = gpa // PAGE, gpa % PAGE
        local take = math.min(#bytes - at + 1, PAGE - offset)
        local old = page(self, number)
        self.pages[number] = old:sub(1, offset)
            .. bytes:sub(at, at + take - 1)
            .. old:sub(offset + take + 1)
        gpa, at = gpa + take, at + take
    end
    return true
end

function fake_memory:fill(gpa, byte, len)
    return self:write(gpa, string.char(byte):rep(len))
end

for bits = 8, 64, 8 do
    local format = "<I" .. bits // 8
    fake_memory["u" .. bits] = function(self, gpa, value)
        if value then
            return self:write(gpa, format:pack(value))
        end
        local bytes, message, code = self:read(gpa, bits // 8)
        if not bytes then return nil, message, code end
        return (format:unpack(bytes))
    end
end

return fake_memory
