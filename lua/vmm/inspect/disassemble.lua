-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vm:disassemble: the guest's instructions in words, with symbols.

local argument = require "vmm.argument"
local core = require "vmm.core"

local methods = core.classes["vmm.vm"]

local PAGE = 4096
local BYTES_MAX = 15 -- of one instruction
local COUNT_MAX = 4096
local CR0_PE = 1

-- The mode that the vCPU's code segment sets: 64, 32 or 16 bits. That of a vCPU that runs can't be
-- asked; an upper-half address is 64-bit code.
local function mode(vm, address, index)
    local vcpu = vm.vcpus[index]
    local cr3, message, code = vcpu:address_space()
    if not cr3 then
        if address < 0 then return 64 end
        return nil, message, code
    end
    local sregs = vcpu.sregs
    if sregs.cr0 & CR0_PE == 0 then return 16 end
    if sregs.cs.l == 1 then return 64 end
    return sregs.cs.db == 1 and 32 or 16
end

-- As many bytes as are mapped of those that may be needed, at least one.
local function fetch(vm, address, wanted, options)
    local bytes, message, code = vm:read_virtual(address, wanted, options)
    if bytes then return bytes end
    local parts, at = {}, address
    while wanted > 0 do
        local size = math.min(wanted, PAGE - (at & PAGE - 1))
        local part = vm:read_virtual(at, size, options)
        if not part then break end
        parts[#parts + 1] = part
        at, wanted = at + size, wanted - size
    end
    if #parts == 0 then return nil, message, code end
    return table.concat(parts)
end

local function hex(bytes)
    return (bytes:gsub(".", function(byte)
        return ("%02x "):format(byte:byte())
    end):gsub(" $", ""))
end

local Instruction = {}
function Instruction.__tostring(self)
    local symbol = self.symbol and ("  <%s>"):format(self.symbol) or ""
    return ("0x%x: %-30s %s%s"):format(self.address, hex(self.bytes), self.text, symbol)
end

local Listing = {}
function Listing.__tostring(self)
    local lines = {}
    for index, instruction in ipairs(self) do
        if instruction.label then lines[#lines + 1] = instruction.label .. ":" end
        lines[#lines + 1] = " " .. tostring(self[index])
    end
    return table.concat(lines, "\n")
end

-- What the bytes are not an instruction of stands there as a byte.
local function decode(bytes, address, count, how)
    local result, at = setmetatable({}, Listing), 0
    while #result < count and at < #bytes do
        local some, message, code = core.disassemble {
            bytes = bytes:sub(at + 1), address = address + at, count = count - #result,
            bits = how.bits, att = how.att,
        }
        if not some then return nil, message, code end
        for _, instruction in ipairs(some) do
            instruction.bytes = bytes:sub(at + 1, at + instruction.size)
            result[#result + 1] = setmetatable(instruction, Instruction)
            at = at + instruction.size
        end
        if #result < count and at < #bytes then
            result[#result + 1] = setmetatable({
                address = address + at, size = 1, bytes = bytes:sub(at + 1, at + 1),
                text = (".byte 0x%02x"):format(bytes:byte(at + 1)),
            }, Instruction)
            at = at + 1
        end
    end
    return result
end

local OPTIONS = { "vcpu", "syntax", "bits", "cr3", "levels" }
local BITS = { [64] = true, [32] = true, [16] = true }
local SYNTAXES = { intel = true, att = true }

-- vm:disassemble(address, count, { vcpu = 1, syntax = "intel" or "att", bits = }) ->
-- { { address =, size =, bytes =, text =, target =, branch =, symbol =, label = }, ... }
-- target: the address that a direct branch or an operand relative to RIP names; symbol: its name,
-- as far as symbols have been loaded; label: the symbol that begins at the instruction.
-- bits: 64, 32, 16 (as the vCPU's code segment says); cr3, levels: of another address space.
-- nil, message, code: "EFAULT", "ENOSYS" without capstone, "EBUSY" while the vCPU runs.
function methods.disassemble(vm, address, count, options)
    options = argument.options("vm:disassemble", options, OPTIONS)
    argument.integer("vm:disassemble: address", address)
    count = count == nil and 10 or count
    argument.integer("vm:disassemble: count", count, 0, COUNT_MAX)
    local index = options.vcpu == nil and 1 or options.vcpu
    if not options.bits or not options.cr3 then argument.vcpu("vm:disassemble", vm, index) end
    argument.check(options.syntax == nil or SYNTAXES[options.syntax], "vm:disassemble: syntax",
        '"intel" or "att"', options.syntax)
    argument.check(options.bits == nil or BITS[options.bits], "vm:disassemble: bits",
        "64, 32 or 16", options.bits)
    local bits, message, code = options.bits
    if not bits then
        bits, message, code = mode(vm, address, index)
        if not bits then return nil, message, code end
    end
    local bytes
    bytes, message, code = fetch(vm, address, count * BYTES_MAX, {
        vcpu = options.vcpu, cr3 = options.cr3, levels = options.levels,
    })
    if not bytes then return nil, message, code end
    local result
    result, message, code = decode(bytes, address, count,
        { bits = bits, att = options.syntax == "att" })
    if not result then return nil, message, code end
    for _, instruction in ipairs(vm.symbols and result or {}) do
        instruction.symbol = instruction.target and vm:symbolize(instruction.target) or nil
        local name, offset = vm:locate(instruction.address)
        if offset == 0 then instruction.label = name end
    end
    return result
end

return methods
