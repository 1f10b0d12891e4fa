-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- RAM ranges and memory maps.

local layout = require "vmm.x86.layout"

local MIB, GIB = 1 << 20, 1 << 30

describe("RAM", function()
    local expected = {
        { 1, { { 0, MIB } } },
        { 512, { { 0, 512 * MIB } } },
        { 3327, { { 0, 3327 * MIB } } },
        { 3328, { { 0, 3328 * MIB } } },
        { 3329, { { 0, 3328 * MIB }, { 4 * GIB, MIB } } },
        { 8192, { { 0, 3328 * MIB }, { 4 * GIB, 4864 * MIB } } },
    }
    for _, case in ipairs(expected) do
        it(("of %d MiB leaves the gap below 4 GiB free"):format(case[1]), function()
            assert.same(case[2], layout.ram_ranges(case[1] * MIB))
        end)
    end

    for _, bytes in ipairs { 0, -4096, MIB - 4096, MIB + 1, (1 << 46) + 4096 } do
        it(("of %d bytes is refused"):format(bytes), function()
            local none, message, code = layout.ram_ranges(bytes)
            assert.is_nil(none)
            assert.equal(
                ("memory size of %d bytes: must be whole pages of 4096 from 1 MiB to 64 TiB")
                    :format(bytes),
                message
            )
            assert.equal("EINVAL", code)
        end)
    end

    it("of no integer size is the caller's error", function()
        assert.error_matches(function()
            layout.ram_ranges(1.5)
        end, "memory size must be an integer of bytes, not 1.5")
    end)
end)

describe("the memory map", function()
    local function map(ranges, reserved)
        local regions = {}
        for i, range in ipairs(ranges) do
            regions[i] = { base = range[1], size = range[2] }
        end
        local list = {}
        for i, entry in ipairs(layout.e820(regions, reserved)) do
            list[i] = { entry.base, entry.base + entry.size, entry.type }
        end
        return list
    end

    it("reserves what is below 1 MiB from the end of base memory", function()
        assert.same({
            { 0, 0x9fc00, 1 },
            { 0x9fc00, 0x100000, 2 },
            { 0x100000, 0x20000000, 1 },
        }, map { { 0, 0x20000000 } })
    end)

    it("has no entry for the gap", function()
        assert.same({
            { 0, 0x9fc00, 1 },
            { 0x9fc00, 0x100000, 2 },
            { 0x100000, 0xd0000000, 1 },
            { 0x100000000, 0x100100000, 1 },
        }, map { { 0, 3328 * MIB }, { 4 * GIB, MIB } })
    end)

    it("has no RAM above 1 MiB when there is none", function()
        assert.same({ { 0, 0x9fc00, 1 }, { 0x9fc00, 0x100000, 2 } }, map { { 0, MIB } })
    end)

    it("takes reserved ranges out of RAM, wherever they lie", function()
        assert.same(
            {
                { 0, 0x9fc00, 1 },
                { 0x9fc00, 0x100000, 2 },
                { 0x100000, 0x200000, 1 },
                { 0x200000, 0x300000, 3 },
                { 0x300000, 0x3ff000, 1 },
                { 0x3ff000, 0x400000, 2 },
                { 0xe0000000, 0xf0000000, 2 },
            },
            map({ { 0, 4 * MIB } }, {
                { base = 0xe0000000, size = 0x10000000 },
                { base = 0x3ff000, size = 0x1000 },
                { base = 0x200000, size = 0x100000, type = layout.E820_ACPI },
            })
        )
    end)
end)

describe("the fixed addresses of low memory", function()
    it("do not overlap and end below the reserved part", function()
        local places = {
            { layout.gdt, 0x30 },
            { layout.pvh_start_info, layout.pvh_start_info_size },
            { layout.zero_page, 0x1000 },
            { layout.boot_stack & ~0xfff, 0x1000 },
            { layout.cmdline, layout.cmdline_size },
            { layout.page_tables, layout.page_tables_size },
            { layout.base_memory_end, 0 },
            { layout.acpi, layout.acpi_size },
            { layout.mptable, layout.mptable_size },
            { layout.reset_vector, 16 },
            { layout.himem_start, 0 },
        }
        for i = 2, #places do
            local before, place = places[i - 1], places[i]
            assert.is_true(
                before[1] + before[2] <= place[1],
                ("0x%x overlaps 0x%x"):format(before[1], place[1])
            )
        end
    end)
end)
