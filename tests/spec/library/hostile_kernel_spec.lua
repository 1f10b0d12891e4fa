-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A guest's kernel that lies in what introspection reads of it.

local core = require "vmm.core"
local orc = require "vmm.inspect.orc"
require "vmm.vm"

-- A VM whose memory reads as fn(address, len) says; fields: what is known of it.
local function guest(fn, fields)
    local vm = setmetatable(fields, { __index = core.classes["vmm.vm"] })
    function vm.read_virtual(_, address, len)
        return fn(address, len)
    end
    return vm
end

local function zeros(_, len)
    return ("\0"):rep(len)
end

-- Types by hand (Documentation/bpf/btf.rst): struct s { int i; float f; } with these sizes.
local function types_of(integer_bytes, float_bytes)
    local text = "\0int\0float\0s\0i\0f\0"
    local types = ("<I4I4I4I4"):pack(1, 1 << 24, integer_bytes, 32)
        .. ("<I4I4I4"):pack(5, 16 << 24, float_bytes)
        .. ("<I4I4I4"):pack(11, 4 << 24 | 2, 16)
        .. ("<I4I4I4I4I4I4"):pack(13, 1, 0, 15, 2, 64)
    return assert(core.types(("<I2BBI4I4I4I4I4"):pack(0xeb9f, 1, 0, 24, 0, #types, #types, #text)
        .. types .. text))
end

describe("A kernel that lies", function()
    it("has no integers and floats of any size", function()
        for _, bytes in ipairs { 0, 3, 17, 0xffffffff } do
            local vm = guest(zeros, { kernel_types = types_of(bytes, bytes), kernel_fields = {} })
            local struct = assert(vm:struct("s", 0x1000))
            for name, kind in pairs { i = "int", f = "float" } do
                assert.same({ nil, ("the guest's kernel has no %s of %d bytes"):format(kind, bytes),
                    "ENOEXEC" }, { vm:fetch(struct, name) })
                assert.is_nil(struct[name])
            end
        end
        local vm = guest(zeros, { kernel_types = types_of(4, 8), kernel_fields = {} })
        local struct = assert(vm:struct("s", 0x1000))
        assert.same({ 0, 0.0 }, { struct.i, struct.f })
    end)

    it("may let all symbols of a module begin in a name without an end", function()
        local COUNT, TEXT = 20, 4 << 20
        local MODULE, SYMBOLS, NAMES = 0x1000, 0x2000, 0x10000
        local table_ = {}
        for i = 1, COUNT do
            local name = i == COUNT and TEXT - 1 or i
            table_[i] = ("<I4BBI2i8i8"):pack(name, 0, 0, 1, 0x5000 + i, 1)
        end
        table_ = table.concat(table_)
        local vm = guest(function(address, len)
            if address == SYMBOLS then return table_ end
            if address == NAMES then return ("n"):rep(TEXT - 1) .. ("x\0"):rep(len - TEXT) end
            return address == MODULE and len == 8 and ("<i8"):pack(MODULE) or nil
        end, { module_list = nil })
        local values = { ["mem[0].base"] = 0x5000, ["mem[0].size"] = 0x1000, num_symtab = COUNT,
            symtab = SYMBOLS, strtab = NAMES }
        function vm.kernel_symbol() return MODULE - 8 end
        function vm.types()
            return { offset = function(_, _, path) return path == "list" and 0 or nil end }
        end
        function vm.struct(_, name) return { name } end
        function vm.fetch() return "liar" end
        function vm.follow() return {} end
        function vm.fetch_integer(_, _, path) return values[path] end
        local read = vm.read_virtual
        function vm.read_virtual(_, address, len) -- one module on the list
            if address == MODULE - 8 then return ("<i8"):pack(MODULE) end
            if address == MODULE then return ("<i8"):pack(MODULE - 8) end
            return read(nil, address, len)
        end
        local module = assert(vm:modules())[1]
        collectgarbage()
        collectgarbage "stop"
        local before = collectgarbage "count"
        local symbols = module:symbols()
        local taken = collectgarbage "count" - before
        collectgarbage "restart"
        assert.same({ 1, "x" }, { symbols:count(), (symbols:get(1)) })
        assert.is_true(taken < 5 * TEXT / 1024, taken)
    end)

    it("may claim a module's unwind table to be of any size", function()
        local struct = {}
        local values = { ["arch.orc_unwind_ip"] = 0, ["arch.orc_unwind"] = 0,
            ["arch.num_orcs"] = math.maxinteger }
        local vm = guest(zeros, {
            orc_table = { bits = {} }, linux = { release = "6.1" },
            symbols = { at = function() end },
        })
        function vm.types() end
        function vm.fetch_integer(_, _, path) return values[path] end
        function vm.modules()
            return { { struct = struct, has = function() return true end } }
        end
        local steps = 0
        debug.sethook(function()
            steps = steps + 1
            if steps > 100 then error "it goes on for ever" end
        end, "", 1000)
        local ok, entry, sure = pcall(orc.find, vm, -1)
        debug.sethook()
        assert.is_true(ok, entry)
        assert.same({ "call", "bp", false }, { entry.type, entry.sp_register, sure })
    end)

    it("has a release that a terminal does not obey", function()
        local memory = assert(core.memory { ranges = { { 0, 1 << 16 } } })
        local text = "OSRELEASE=6.1\27[2J" .. ("x"):rep(100) .. "\n"
        memory:write(0x1000, ("<I4I4I4c12"):pack(11, #text, 0, "VMCOREINFO") .. text)
        local vm = guest(zeros, { memory = memory })
        local symbols, message = vm:load_symbols()
        assert.is_nil(symbols)
        assert.matches("%(Linux 6%.1%?%[2Jx+%)", message)
        assert.equal(64, #vm.linux.release)
    end)
end)
