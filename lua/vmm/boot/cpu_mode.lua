-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The first vCPU's registers for an entry in 16, 32 or 64-bit mode, with the GDT and the
-- identity page tables that such an entry needs.

local failure = require "vmm.boot.failure"
local layout = require "vmm.x86.layout"

local cpu_mode = {}

-- Control register and EFER bits (Intel SDM volume 3, section 2.5).
local CR0_PE, CR0_ET, CR0_PG = 1 << 0, 1 << 4, 1 << 31
local CR4_PAE = 1 << 5
local EFER_LME, EFER_LMA = 1 << 8, 1 << 10
-- Page table entry bits (section 4.5).
local PTE_PRESENT, PTE_WRITABLE, PTE_LARGE = 1 << 0, 1 << 1, 1 << 7
-- Segment types (section 3.4.5.1; 3.5 for the TSS).
local TYPE_CODE, TYPE_DATA, TYPE_TSS_BUSY = 11, 3, 11
-- Selectors: Linux wants its code at 0x10 and data at 0x18 (boot.rst, 64-bit boot protocol).
local CODE_SELECTOR, DATA_SELECTOR, TSS_SELECTOR = 0x10, 0x18, 0x20
local GDT_SIZE = 0x30

local RFLAGS_FIXED = 2 -- bit 1 always reads as one

local GIB = layout.GIB
local PAGE = 4096
local DIRECTORY = "<" .. ("I8"):rep(512) -- a page of page table entries, for string.pack

-- A segment register in the form of the kernel's struct kvm_segment.
local function segment(fields)
    return {
        base = fields.base or 0,
        limit = fields.limit or 0xffffffff,
        selector = fields.selector or 0,
        type = fields.type or TYPE_DATA,
        present = 1,
        dpl = 0,
        db = fields.db or 0,
        s = fields.s or 1,
        l = fields.l or 0,
        g = fields.g or 1,
        avl = 0,
        unusable = 0,
    }
end

local function unusable()
    local ldt = segment { s = 0, type = 2, limit = 0, g = 0 }
    ldt.present, ldt.unusable = 0, 1
    return ldt
end

-- The 8-byte descriptor of a segment (Intel SDM volume 3, figure 3-8).
local function descriptor(seg)
    local limit = seg.g == 1 and seg.limit >> 12 or seg.limit
    return (limit & 0xffff)
        | (seg.base & 0xffffff) << 16
        | seg.type << 40
        | seg.s << 44
        | seg.dpl << 45
        | seg.present << 47
        | (limit >> 16 & 0xf) << 48
        | seg.avl << 52
        | seg.l << 53
        | seg.db << 54
        | seg.g << 55
        | (seg.base >> 24 & 0xff) << 56
end

-- Two null entries, code, data, and the TSS (16 bytes in long mode, its upper half zero).
local function gdt(code, data, tss)
    return string.pack(
        "<I8I8I8I8I8I8",
        0,
        0,
        descriptor(code),
        descriptor(data),
        descriptor(tss),
        0
    )
end

-- Identity page tables with 2 MiB pages for [0, gib GiB): a PML4, a PDPT, gib directories.
local function page_tables(gib)
    local pdpt = layout.page_tables + PAGE
    local link = PTE_PRESENT | PTE_WRITABLE
    local parts = { string.pack("<I8", pdpt | link), ("\0"):rep(PAGE - 8) }
    for i = 0, gib - 1 do
        parts[#parts + 1] = string.pack("<I8", pdpt + (i + 1) * PAGE | link)
    end
    parts[#parts + 1] = ("\0"):rep(PAGE - gib * 8)
    local entries = {}
    for i = 0, gib - 1 do
        for n = 1, 512 do
            entries[n] = i << 30 | n - 1 << 21 | link | PTE_LARGE
        end
        parts[#parts + 1] = DIRECTORY:pack(table.unpack(entries, 1, 512))
    end
    return table.concat(parts)
end

-- How many GiB are mapped so that [0, last) is: at least 4.
local function mapped_gib(last)
    local most = layout.page_tables_size // PAGE - 2
    local gib = math.max(4, (last + GIB - 1) // GIB)
    if gib > most then
        failure.raise(
            "ERANGE",
            "the 64-bit entry maps memory up to %d GiB, but 0x%x is to be reached",
            most,
            last - 1
        )
    end
    return gib
end

-- Flat segments and general registers; code and tss are segments.
local function set_state(plan, entry, code, tss, db)
    local data = segment { selector = DATA_SELECTOR, db = db }
    plan:write("GDT", layout.gdt, gdt(code, data, tss))
    plan.entry = entry
    plan.regs = { rip = entry, rsp = layout.boot_stack, rflags = RFLAGS_FIXED }
    plan.sregs = {
        cs = code,
        ds = data,
        es = data,
        fs = data,
        gs = data,
        ss = data,
        tr = tss,
        ldt = unusable(),
        gdt = { base = layout.gdt, limit = GDT_SIZE - 1 },
        idt = { base = 0, limit = 0 },
        cr2 = 0,
    }
end

-- 64-bit mode, paging on, [0, last) and at least 4 GiB mapped one to one.
function cpu_mode.long(plan, entry, last)
    local code = segment { selector = CODE_SELECTOR, type = TYPE_CODE, l = 1 }
    local tss =
        segment { selector = TSS_SELECTOR, type = TYPE_TSS_BUSY, s = 0, limit = 0x67, g = 0 }
    local tables = page_tables(mapped_gib(math.max(last, entry)))
    plan:write("page tables", layout.page_tables, tables)
    set_state(plan, entry, code, tss, 0)
    local sregs = plan.sregs
    sregs.cr0 = CR0_PE | CR0_ET | CR0_PG
    sregs.cr3 = layout.page_tables
    sregs.cr4 = CR4_PAE
    sregs.efer = EFER_LME | EFER_LMA
end

-- 32-bit protected mode, no paging, flat segments.
function cpu_mode.protected(plan, entry)
    local code = segment { selector = CODE_SELECTOR, type = TYPE_CODE, db = 1 }
    local tss =
        segment { selector = TSS_SELECTOR, type = TYPE_TSS_BUSY, s = 0, limit = 0x67, g = 0 }
    set_state(plan, entry, code, tss, 1)
    local sregs = plan.sregs
    sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer = CR0_PE | CR0_ET, 0, 0, 0
end

-- Real mode. An entry below 64 KiB runs with all segments at 0 (as a boot sector does); one
-- above, up to 1 MiB, with all of them at its paragraph. The stack is the boot stack's.
function cpu_mode.real(plan, entry)
    local selector = entry > 0xffff and entry >> 4 or 0
    local function at(value, kind)
        return segment {
            base = value << 4,
            limit = 0xffff,
            selector = value,
            type = kind,
            g = 0,
        }
    end
    local data = at(selector, TYPE_DATA)
    plan.entry = entry
    plan.regs = {
        rip = entry - (selector << 4),
        rsp = layout.boot_stack,
        rflags = RFLAGS_FIXED,
    }
    plan.sregs = {
        cs = at(selector, TYPE_CODE),
        ds = data,
        es = data,
        fs = data,
        gs = data,
        ss = at(0, TYPE_DATA),
        cr0 = CR0_ET,
        cr2 = 0,
        cr3 = 0,
        cr4 = 0,
        efer = 0,
    }
end

return cpu_mode
