-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The Linux in a guest, found in its memory by the VMCOREINFO note that the kernel keeps for crash
-- dumps: release, KASLR slide, page tables, where kallsyms is.

local linux = {}

local PAGE = 4096
-- An ELF note: sizes of name and text, type 0, the name padded to 12 bytes, the text.
local NAME_BYTES = 11
local NAME_AT = 8 -- of the type, where the search begins
local PATTERN = "\0\0\0\0VMCOREINFO\0"
local HEADER_BYTES = 24
local TEXT_BYTES_MAX = PAGE
local RELEASE_BYTES = 64 -- of struct new_utsname, its end included

local KERNEL_MAP = 0xffffffff80000000 -- __START_KERNEL_map: where the image is, before any slide

-- The text of the note at gpa, or nil when it is none.
local function note_text(memory, gpa)
    local header = memory:read(gpa, HEADER_BYTES)
    if not header then return nil end
    local name_bytes, text_bytes = ("<I4I4"):unpack(header)
    if name_bytes ~= NAME_BYTES or text_bytes > TEXT_BYTES_MAX then return nil end
    local text = memory:read(gpa + HEADER_BYTES, text_bytes)
    return text and text:find("^OSRELEASE=") and text
end

local function find_note(memory)
    local from = NAME_AT
    while true do
        local at = memory:find(PATTERN, from, nil, PAGE)
        if not at then return nil end
        local text = note_text(memory, at - NAME_AT)
        if text then return text end
        from = at + PAGE
    end
end

-- "KERNELOFFSET=10c00000", "SYMBOL(_stext)=ffffffff81000000", "NUMBER(phys_base)=-4096".
local function parse(text)
    -- The release gets into messages: a terminal shall not obey it.
    local release = text:match("^OSRELEASE=([^\n]*)"):sub(1, RELEASE_BYTES):gsub("[^ -~]", "?")
    local info = { symbols = {}, numbers = {}, release = release }
    for name, value in text:gmatch("SYMBOL%(([%w_]+)%)=(%x+)\n") do
        info.symbols[name] = tonumber(value, 16)
    end
    for name, value in text:gmatch("NUMBER%(([%w_]+)%)=(%-?%d+)\n") do
        info.numbers[name] = math.tointeger(tonumber(value))
    end
    info.slide = tonumber(text:match("\nKERNELOFFSET=(%x+)\n") or "0", 16)
    return info
end

-- The kernel's own page tables, which have all of it whatever process runs.
local function kernel_space(info)
    local root, base = info.symbols.swapper_pg_dir, info.numbers.phys_base
    if not root or not base then return nil end
    return { root - KERNEL_MAP + base, info.numbers.pgtable_l5_enabled == 1 and 5 or 4 }
end

-- What is known of the guest's kernel: { release =, slide =, symbols =, numbers =, space = }, kept
-- in vm.linux; or nil, message, "ENOENT".
function linux.find(vm)
    if vm.linux then return vm.linux end
    if not vm.memory then return nil, "the VM has no memory (vm.memory is not set)", "ENXIO" end
    local text = find_note(vm.memory)
    if not text then
        return nil, "no VMCOREINFO in the guest's memory: it runs no Linux that keeps one, or that "
            .. "has not come so far yet", "ENOENT"
    end
    local info = parse(text)
    info.space = kernel_space(info)
    vm.linux = info
    vm.kernel_space = info.space
    return info
end

-- Have the note looked for anew: the guest may have started another kernel (kexec).
function linux.forget(vm)
    vm.linux, vm.kernel_space = nil, nil
    vm.kernel_types, vm.orc_table, vm.module_list = nil, nil, nil
end

return linux
