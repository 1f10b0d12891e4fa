-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A table of symbols as an ELF file, for tools that want one: gdb's "file", perf, objdump.
--
-- Each run of symbols of one kind is a section of its own without contents, so that the tool knows
-- code from data, and takes the contents from the running guest.

local argument = require "vmm.argument"
local core = require "vmm.core"
local files = require "vmm.file"

local methods = core.classes["vmm.vm"]

local symbol_file = {}

-- Sizes and numbers of ELF (System V ABI, AMD64 supplement).
local EHDR_BYTES, SHDR_BYTES, SYM_BYTES = 64, 64, 24
local ET_EXEC, EM_X86_64 = 2, 62
local SHT_SYMTAB, SHT_STRTAB, SHT_NOBITS = 2, 3, 8
local SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR = 1, 2, 4
local STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
local STT_NOTYPE, STT_OBJECT, STT_FUNC = 0, 1, 2
local SHN_ABS = 0xfff1

local GAP = 1 << 24 -- what lies so far apart is not one section
local LAST_BYTES = 4096 -- of a section's last symbol, where its size is not known
local SECTIONS_MAX = 4000

-- By nm's letters.
local function kind_of(letter)
    local lower = letter:lower()
    if lower == "a" then return "absolute" end
    return (lower == "t" or lower == "w" or lower == "i") and "code" or "data"
end

-- Adds a symbol's place to the sections that there are so far.
local function place(sections, kind, address, size)
    local last = sections[#sections]
    local far = last and math.ult(GAP, address - last.last) -- addresses are unsigned
    if not last or (last.kind ~= kind or far) and #sections < SECTIONS_MAX then
        if last then last.finish = far and last.last + LAST_BYTES or address end
        last = { kind = kind, base = address }
        sections[#sections + 1] = last
    end
    last.last, last.finish = address, address + math.max(size, 1)
    return #sections
end

local BINDING = { v = STB_WEAK, V = STB_WEAK, w = STB_WEAK, W = STB_WEAK }
local TYPES = { code = STT_FUNC, data = STT_OBJECT, absolute = STT_NOTYPE }

-- What the file is made of: sections, the symbols' table as local and global pieces, and names,
-- the next of which is at the offset `at`.
local function add(file, symbols)
    for i = 1, symbols:count() do
        local name, address, letter, size = symbols:get(i)
        local kind = kind_of(letter)
        local section = kind == "absolute" and SHN_ABS
            or place(file.sections, kind, address, size)
        local binding = BINDING[letter] or letter:find "%u" and STB_GLOBAL or STB_LOCAL
        local list = binding == STB_LOCAL and file.locals or file.globals
        list[#list + 1] = ("<I4BBI2i8i8"):pack(file.at, binding << 4 | TYPES[kind], 0, section,
            address, kind == "absolute" and 0 or size)
        file.names[#file.names + 1] = name
        file.at = file.at + #name + 1
    end
end

local function collect(tables)
    local file = {
        sections = {}, locals = { ("\0"):rep(SYM_BYTES) }, globals = {}, names = { "" }, at = 1,
    }
    for _, symbols in ipairs(tables) do
        add(file, symbols)
    end
    file.names[#file.names + 1] = ""
    return file.sections, file.locals, file.globals, table.concat(file.names, "\0")
end

local function section_header(name, fields)
    return ("<I4I4i8i8i8i8I4I4i8i8"):pack(name, fields.type, fields.flags or 0, fields.base or 0,
        fields.offset or 0, fields.size, fields.link or 0, fields.info or 0, fields.align or 1,
        fields.entry or 0)
end

local FLAGS = { code = SHF_ALLOC | SHF_EXECINSTR, data = SHF_ALLOC | SHF_WRITE }

-- The names of the sections: .text, .data, .text.2, ...
local function name_of(section, index)
    local name = section.kind == "code" and ".text" or ".data"
    return index > 2 and ("%s.%d"):format(name, index) or name
end

local function file_header(sections_offset, count)
    return "\x7fELF\2\1\1" .. ("\0"):rep(9) .. ("<I2I2I4i8i8i8I4I2I2I2I2I2I2"):pack(ET_EXEC,
        EM_X86_64, 1, 0, 0, sections_offset, 0, EHDR_BYTES, 0, 0, SHDR_BYTES, count, count - 1)
end

-- The ELF file's bytes. tables: an array of tables of symbols, each ascending by address, with
-- :count() and :get(index) -> name, address, nm's letter, size.
function symbol_file.image(tables)
    local sections, locals, globals, names = collect(tables)
    local first_global = #locals
    table.move(globals, 1, #globals, #locals + 1, locals)
    local table_of = table.concat(locals)
    local headers, titles, at = { ("\0"):rep(SHDR_BYTES) }, { "" }, 1
    local function add_section(title, fields)
        headers[#headers + 1] = section_header(at, fields)
        titles[#titles + 1] = title
        at = at + #title + 1
    end
    for index, section in ipairs(sections) do
        add_section(name_of(section, index), {
            type = SHT_NOBITS, flags = FLAGS[section.kind], base = section.base,
            offset = EHDR_BYTES, size = section.finish - section.base,
        })
    end
    local names_at = EHDR_BYTES + #table_of
    add_section(".symtab", {
        type = SHT_SYMTAB, offset = EHDR_BYTES, size = #table_of, link = #sections + 2,
        info = first_global, align = 8, entry = SYM_BYTES,
    })
    add_section(".strtab", { type = SHT_STRTAB, offset = names_at, size = #names })
    local titles_size = at + #".shstrtab" + 1
    add_section(".shstrtab", { type = SHT_STRTAB, offset = names_at + #names, size = titles_size })
    titles[#titles + 1] = ""
    return table.concat {
        file_header(names_at + #names + titles_size, #headers),
        table_of, names, table.concat(titles, "\0"), table.concat(headers),
    }
end

-- Writes the file; true, or nil, message, code.
function symbol_file.write(path, tables)
    return files.write(path, function(put)
        put(symbol_file.image(tables))
    end)
end

-- vm:write_symbols(path) -> true, or nil, message, code: the symbols of the guest's kernel and its
-- modules, where they are in this run, as a file for gdb. Of a VM that runs, as they are just now.
function methods.write_symbols(vm, path)
    argument.type("vm:write_symbols: path", path, "string")
    local symbols, message, code = vm.symbols, nil, nil
    if not symbols then
        symbols, message, code = vm:load_symbols()
    end
    if not symbols then return nil, message, code end
    local tables = { symbols }
    for _, module in ipairs(vm:modules { fresh = true } or {}) do
        tables[#tables + 1] = module:symbols()
    end
    return symbol_file.write(path, tables)
end

return symbol_file
