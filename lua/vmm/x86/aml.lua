-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A builder for ACPI Machine Language (ACPI 6.4, chapter 20): each function returns a term.
--
--   aml.scope("\\_SB_", {
--       aml.device("COM1", {
--           aml.name("_HID", aml.eisaid "PNP0501"),
--           aml.name("_CRS", aml.resources { resource.io { base = 0x3f8, size = 8 } }),
--       }),
--   })
--
-- Where a term is expected, a Lua integer stands for an AML integer, a Lua string for an AML
-- string, and an array for its terms in sequence. Names are written as in ASL.

local aml = {}

local Term = { __name = "vmm.x86.aml.term" }
Term.__index = Term

local function term(...)
    return setmetatable({ bytes = table.concat { ... } }, Term)
end

local ZERO, ONE, ONES = "\x00", "\x01", "\xff"
local BYTE, WORD, DWORD, STRING, QWORD = "\x0a", "\x0b", "\x0c", "\x0d", "\x0e"

local function integer(value)
    if value == 0 then return ZERO end
    if value == 1 then return ONE end
    if value == -1 then return ONES end
    if value > 0 and value <= 0xff then return BYTE .. string.pack("<I1", value) end
    if value > 0 and value <= 0xffff then return WORD .. string.pack("<I2", value) end
    if value > 0 and value <= 0xffffffff then return DWORD .. string.pack("<I4", value) end
    return QWORD .. string.pack("<i8", value)
end

local function text(value)
    if value:find "[\0\x80-\xff]" then
        error(("AML string %q: only ASCII without NUL is allowed"):format(value), 0)
    end
    return STRING .. value .. "\0"
end

-- The bytes of a term, or of a Lua value that stands for one.
function aml.encode(value)
    if math.type(value) == "integer" then return integer(value) end
    if type(value) == "string" then return text(value) end
    if getmetatable(value) == Term then return value.bytes end
    if type(value) ~= "table" then
        error(("an AML term can't be made from a %s"):format(type(value)), 0)
    end
    local parts = {}
    for i, item in ipairs(value) do
        parts[i] = aml.encode(item)
    end
    return table.concat(parts)
end

-- PkgLength (20.2.4) before a body: it counts itself, in 1 to 4 bytes.
local function package_length(body)
    local length = #body + 1
    if length <= 0x3f then return string.char(length) end
    for extra = 1, 3 do
        length = #body + 1 + extra
        if length < 1 << (4 + 8 * extra) then
            local first = string.char(extra << 6 | length & 0xf)
            return first .. string.pack("<I" .. extra, length >> 4)
        end
    end
    error(("AML package of %d bytes: at most 2^28 - 1 fit"):format(length), 0)
end

local function packaged(opcode, ...)
    local body = table.concat { ... }
    return term(opcode, package_length(body), body)
end

local function name_segment(segment, whole)
    if not segment:match "^[A-Z_][A-Z0-9_]?[A-Z0-9_]?[A-Z0-9_]?$" then
        error(("AML name %q: a part must be 1 to 4 of A-Z, 0-9, _"):format(whole), 0)
    end
    return segment .. ("_"):rep(4 - #segment)
end

-- NameString (20.2.2): "\\_SB.PCI0", "^COM1", "_STA"; parts are padded to four characters.
local function name_string(name)
    local prefix, path = name:match "^(\\?%^*)(.*)$"
    local parts = {}
    for part in path:gmatch "[^.]+" do
        parts[#parts + 1] = name_segment(part, name)
    end
    local lead = ""
    if #parts == 0 then
        lead = ZERO
    elseif #parts == 2 then
        lead = "\x2e"
    elseif #parts > 2 then
        lead = "\x2f" .. string.char(#parts)
    end
    return prefix .. lead .. table.concat(parts)
end

-- A reference to a named object, or a call of a method without arguments.
function aml.path(name)
    return term(name_string(name))
end

function aml.scope(name, body)
    return packaged("\x10", name_string(name), aml.encode(body))
end

function aml.device(name, body)
    return packaged("\x5b\x82", name_string(name), aml.encode(body))
end

function aml.name(name, value)
    return term("\x08", name_string(name), aml.encode(value))
end

-- options: args (0..7; 0), serialized (boolean; false)
function aml.method(name, options, body)
    local flags = (options.args or 0) | (options.serialized and 8 or 0)
    return packaged("\x14", name_string(name), string.char(flags), aml.encode(body))
end

-- The arguments inside a method, 0..6, and its locals, 0..7.
function aml.arg(number)
    return term(string.char(0x68 + number))
end
function aml.var(number)
    return term(string.char(0x60 + number))
end

-- "return" is a keyword in Lua.
function aml.ret(value)
    return term("\xa4", aml.encode(value))
end

function aml.store(value, target)
    return term("\x70", aml.encode(value), aml.encode(target))
end

function aml.notify(object, value)
    return term("\x86", aml.encode(object), aml.encode(value))
end

function aml.equal(left, right)
    return term("\x93", aml.encode(left), aml.encode(right))
end

-- The bitwise and; "and" is a keyword in Lua.
function aml.band(left, right)
    return term("\x7b", aml.encode(left), aml.encode(right), ZERO)
end

function aml.when(condition, body)
    return packaged("\xa0", aml.encode(condition), aml.encode(body))
end

-- An array of at most 255 terms.
function aml.package(items)
    return packaged("\x12", string.pack("<I1", #items), aml.encode(items))
end

function aml.buffer(bytes)
    return packaged("\x11", integer(#bytes), bytes)
end

-- A seven-character EISA id, "PNP0501": three letters in 5 bits each, four hex digits.
function aml.eisaid(id)
    local a, b, c, digits = id:match "^(%u)(%u)(%u)(%x%x%x%x)$"
    if not a then
        error(("EISA id %q: must be three capitals and four hex digits"):format(id), 0)
    end
    local letters = (a:byte() - 64) << 10 | (b:byte() - 64) << 5 | (c:byte() - 64)
    local value = string.pack(">I2I2", letters, tonumber(digits, 16))
    return term(integer(string.unpack("<I4", value)))
end

local SPACE = { system_memory = 0, system_io = 1, pci_config = 2 }

-- An operation region. space: "system_memory", "system_io" or "pci_config".
function aml.region(name, space, base, size)
    local id = SPACE[space] or error(("AML region space %q"):format(space), 0)
    return term("\x5b\x80", name_string(name), string.char(id), integer(base), integer(size))
end

local ACCESS = { any = 0, byte = 1, word = 2, dword = 3, qword = 4 }

-- Fields of a region, all with one access size ("any", "byte" ... "qword"), not locked, other
-- bits preserved. fields: an array of {name, bits}; a nil-named one ({false, bits}) is a gap.
function aml.field(region, access, fields)
    local parts = { name_string(region), string.char(ACCESS[access]) }
    for _, field in ipairs(fields) do
        local name = field[1] and name_segment(field[1], field[1]) or "\0"
        -- a field's width has a PkgLength's form, without counting itself
        local bits = field[2]
        local width = bits <= 0x3f and string.char(bits)
            or string.char(1 << 6 | bits & 0xf) .. string.pack("<I1", bits >> 4)
        parts[#parts + 1] = name .. width
    end
    return packaged("\x5b\x81", table.unpack(parts))
end

-- A resource template: a buffer of the descriptors of vmm.x86.acpi_resource.
function aml.resources(descriptors)
    return aml.buffer(table.concat(descriptors) .. "\x79\x00")
end

return aml
