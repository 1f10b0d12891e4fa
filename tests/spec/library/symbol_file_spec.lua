-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Symbols as an ELF file, judged by binutils.

local process = require "vmm.process"
local symbol_file = require "vmm.symbol_file"

-- A table as the writer wants it, of { name, address, letter, size }.
local function table_of(list)
    return {
        count = function() return #list end,
        get = function(_, i) return table.unpack(list[i]) end,
    }
end

local LIST = {
    { "fixed_percpu_data", 0, "A", 0 },
    { "_stext", 0xffffffff81000000, "T", 16 },
    { "do_one", 0xffffffff81000010, "t", 32 },
    { "do_one", 0xffffffff81000030, "t", 32 },
    { "linux_banner", 0xffffffff82000000, "D", 64 },
    { "jiffies", 0xffffffff82000040, "B", 0 },
    { "weak_one", 0xffffffff82000100, "W", 64 },
    { "module_one", 0xffffffffc0000000, "t", 8 },
}

describe("a file of symbols", function()
    local path

    before_each(function()
        path = os.tmpname()
        assert(symbol_file.write(path, { table_of(LIST) }))
    end)

    after_each(function()
        os.remove(path)
    end)

    it("has every symbol with its address and kind", function()
        assert.equal(table.concat({
            "0000000000000000 A fixed_percpu_data",
            "ffffffff81000000 T _stext",
            "ffffffff81000010 t do_one",
            "ffffffff81000030 t do_one",
            "ffffffff82000000 B linux_banner", -- in a section without contents
            "ffffffff82000040 B jiffies",
            "ffffffff82000100 W weak_one",
            "ffffffffc0000000 t module_one",
        }, "\n") .. "\n", process.capture { "nm", "-n", path })
    end)

    it("has a section for each run of one kind, none of which overlap", function()
        local found = {}
        local shown = process.capture { "readelf", "-SW", path }
        for name, base, size, flags in shown:gmatch
            "(%.%S+) +NOBITS +(%x+) %x+ (%x+) %x+ +(%u+)" do
            found[#found + 1] = ("%s %s+%x %s"):format(name, base, tonumber(size, 16), flags)
        end
        assert.same({
            ".text ffffffff81000000+1000000 AX",
            ".data ffffffff82000000+100 WA",
            ".text.3 ffffffff82000100+1000 AX",
            ".text.4 ffffffffc0000000+8 AX",
        }, found)
    end)

    it("is one that nothing is wrong with", function()
        local shown = process.capture({ "readelf", "-aW", path }, { stderr = "merge" })
        assert.is_nil(shown:find("[Ww]arning"))
        assert.is_nil(shown:find("[Ee]rror"))
    end)

    it("may be made of several tables, in any order", function()
        local module = { { "late_one", 0xffffffffc0100000, "t", 8 } }
        local per_cpu = { { "low_one", 0x1000, "D", 8 } }
        assert(symbol_file.write(path, { table_of(module), table_of(per_cpu) }))
        assert.equal("0000000000001000 B low_one\nffffffffc0100000 t late_one\n",
            process.capture { "nm", "-n", path })
    end)

    it("may be empty", function()
        assert(symbol_file.write(path, { table_of {} }))
        assert.equal("", process.capture { "nm", path })
    end)

    it("that cannot be written says why", function()
        local ok, message, code = symbol_file.write("/no/such/file", { table_of(LIST) })
        assert.same({ nil, "cannot write /no/such/file: No such file or directory",
            "EIO" }, { ok, message, code })
    end)
end)
