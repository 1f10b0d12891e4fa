-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The kernel's structures by its own BTF: vm:types, vm:struct, and objects that read guest memory.

local argument = require "vmm.argument"
local core = require "vmm.core"

local methods = core.classes["vmm.vm"]

local BTF_BYTES_MAX = 64 << 20
local POINTER_BYTES = 8
local CHARS_MAX = 1 << 16

local function from_guest(vm)
    local start, message, code = vm:kernel_symbol "__start_BTF"
    if not start then return nil, message, code end
    local stop
    stop, message, code = vm:kernel_symbol "__stop_BTF"
    if not stop then return nil, message, code end
    local size = stop - start
    if size <= 0 or size > BTF_BYTES_MAX then
        return nil, "the guest's BTF has an impossible size", "ENOEXEC"
    end
    local bytes
    bytes, message, code = vm:read_virtual(start, size)
    if not bytes then return nil, message, code end
    return core.types(bytes)
end

-- vm:types() -> types of the guest's kernel, from its own BTF, or nil, message, code; kept.
-- types:offset(name, path), types:size(name), types:field(name, path), types:members(name).
function methods.types(vm)
    if vm.kernel_types then return vm.kernel_types end
    local types, message, code = from_guest(vm)
    if not types then return nil, message, code end
    vm.kernel_types = types
    vm.kernel_fields = {}
    return types
end

-- ---- what lies behind an object's fields --------------------------------------------------

-- An object's own facts, by the object: its keys are the structure's fields.
local facts = setmetatable({}, { __mode = "k" })
local Object = {}
local value -- forward

local function object(vm, kind, address)
    local new = setmetatable({}, Object)
    facts[new] = { vm = vm, type = kind, address = address }
    return new
end

-- A field of the type with this id, looked up once.
local function field_of(vm, id, path)
    local types, message, code = vm:types()
    if not types then return nil, message, code end
    local fields = vm.kernel_fields[id]
    if not fields then
        fields = {}
        vm.kernel_fields[id] = fields
    end
    if not fields[path] then
        fields[path], message, code = types:field(id, path)
    end
    return fields[path], message, code
end

-- What sizes there are of those; another one is a lie of the guest's.
local INTEGER_BYTES = { [1] = true, [2] = true, [4] = true, [8] = true, [16] = true }
local FLOAT_BYTES = { [2] = true, [4] = true, [8] = true, [12] = true, [16] = true }

local function impossible(kind)
    return nil, ("the guest's kernel has no %s of %d bytes"):format(kind.kind, kind.size), "ENOEXEC"
end

local function read_integer(vm, kind, address)
    if not INTEGER_BYTES[kind.size] then return impossible(kind) end
    local first = kind.shift or 0
    local bytes = kind.bits and (first + kind.bits + 7) // 8 or kind.size
    if bytes > 8 or kind.size > 8 then return vm:read_virtual(address, kind.size) end
    local text, message, code = vm:read_virtual(address, bytes)
    if not text then return nil, message, code end
    local format = (kind.signed and not kind.bits and "<i" or "<I") .. bytes
    local number = format:unpack(text)
    if not kind.bits then return number end
    local unused = 64 - kind.bits
    number = number >> first << unused
    if not kind.signed then return number >> unused end
    return number // (1 << unused)
end

local function read_float(vm, kind, address)
    if not FLOAT_BYTES[kind.size] then return impossible(kind) end
    local text, message, code = vm:read_virtual(address, kind.size)
    if not text then return nil, message, code end
    local format = kind.size == 4 and "<f" or kind.size == 8 and "<d"
    return format and format:unpack(text) or text
end

-- A text ends at its first 0, or with the array.
local function read_text(vm, kind, address)
    local size = kind.count < CHARS_MAX and kind.count or CHARS_MAX
    local text, message, code = vm:read_virtual(address, size)
    if not text then return nil, message, code end
    return text:match("^[^\0]*")
end

local READERS = {
    int = read_integer,
    enum = read_integer,
    float = read_float,
    pointer = function(vm, _, address)
        local text, message, code = vm:read_virtual(address, POINTER_BYTES)
        if not text then return nil, message, code end
        return (("<i8"):unpack(text))
    end,
    array = function(vm, kind, address)
        local element = vm:types():type(kind.target)
        if element and element.char then return read_text(vm, kind, address) end
        return object(vm, kind, address)
    end,
    struct = object,
    union = object,
}

function value(vm, kind, address)
    local reader = READERS[kind.kind]
    if not reader then return nil, "a value of this kind can't be read: " .. kind.kind, "EINVAL" end
    return reader(vm, kind, address)
end

local function place(known, path)
    local field, message, code = field_of(known.vm, known.type.id, path)
    if not field then return nil, message, code end
    return field, known.address + field.offset
end

local function path_of(key)
    return math.type(key) == "integer" and ("[%d]"):format(key) or key
end

-- task.comm, task.se.vruntime, task["se.vruntime"], array[0] (as in C, from 0). What there is not
-- raises; memory that is not mapped is nil (vm:fetch says why).
function Object.__index(self, key)
    local known = facts[self]
    local field, address, code = place(known, path_of(key))
    if not field then
        if code ~= "ENOENT" then return nil end
        error(address, 2)
    end
    return (value(known.vm, field, address))
end

function Object.__newindex(self, key)
    error(("%s.%s is read only: vm:write_virtual(vm:address_of(...), bytes)"):format(tostring(self),
        tostring(key)), 2)
end

-- Of arrays.
function Object.__len(self)
    return facts[self].type.count or 0
end

function Object.__eq(a, b)
    return facts[a].address == facts[b].address and facts[a].type.id == facts[b].type.id
end

function Object.__tostring(self)
    local known = facts[self]
    return ("%s%s at 0x%x"):format(known.type.kind, known.type.name ~= "" and " " .. known.type.name
        or "", known.address)
end

-- Lists the fields' names, for a prompt's completion and pairs(): an iterator of name, value.
function Object.__pairs(self)
    local known = facts[self]
    local names = known.vm:types():members(known.type.id) or {}
    local index = 0
    return function()
        repeat
            index = index + 1
        until names[index] ~= ""
        if names[index] then return names[index], self[names[index]] end
    end
end
Object.__metatable = "locked"

-- An object and a path of its fields, checked; name: of the method.
local function known_of(name, given, path)
    local known = facts[given]
    argument.check(known, name .. ": object", "an object of vm:struct", given, 4)
    argument.type(name .. ": path", path, "string", 4)
    return known
end

-- ---- the API -------------------------------------------------------------------------------

-- vm:struct("task_struct", address) -> an object whose fields read the guest's memory, or nil,
-- message, code when the kernel has no such type.
function methods.struct(vm, name, address)
    argument.type("vm:struct: name", name, "string")
    argument.integer("vm:struct: address", address)
    local types, message, code = vm:types()
    if not types then return nil, message, code end
    local kind
    kind, message, code = types:type(name)
    if not kind then return nil, message, code end
    return object(vm, kind, address)
end

-- vm:fetch(object, path) -> the field's value, or nil, message, code ("EFAULT", "ENOENT").
function methods.fetch(vm, given, path)
    local field, address, code = place(known_of("vm:fetch", given, path), path)
    if not field then return nil, address, code end
    return value(vm, field, address)
end

-- vm:fetch_integer(object, path) -> the same where it is an integer; "ENOEXEC" where the types,
-- which are the guest's word, say that it is something else.
function methods.fetch_integer(vm, given, path)
    local found, message, code = vm:fetch(given, path)
    if found == nil or math.type(found) == "integer" then return found, message, code end
    return nil, ("%s of %s is no integer"):format(path, tostring(given)), "ENOEXEC"
end

-- vm:address_of(object [, path]) -> where it is, or that field of it.
function methods.address_of(_, given, path)
    local known = known_of("vm:address_of", given, path or "")
    if not path then return known.address end
    local field, address, code = place(known, path)
    if not field then return nil, address, code end
    return address
end

-- vm:follow(object, path) -> what a pointer points to: an object or a value; nil, message, code.
function methods.follow(vm, given, path)
    local field, address, code = place(known_of("vm:follow", given, path), path)
    if not field then return nil, address, code end
    if field.kind ~= "pointer" then return nil, path .. " is no pointer", "EINVAL" end
    local target, message
    target, message, code = value(vm, field, address)
    if not target then return nil, message, code end
    if target == 0 then return nil, path .. " is NULL", "EFAULT" end
    local kind
    kind, message, code = vm:types():type(field.target)
    if not kind then return nil, message, code end
    return value(vm, kind, target)
end

return methods
