-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a name that is half typed may become: found by looking, never by calling what is typed.

local complete = {}

local CLASSES = "^vmm%." -- whose getters may be called: they only look
local CHAIN = 10 -- of __index tables

local KEYWORDS = {
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in",
    "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
}

local function set_of(text)
    local set = {}
    for name in text:gmatch "%S+" do
        set[name] = 0
    end
    return set
end

-- What a vCPU's getters would give if it were not running.
local REGS = set_of(
    "rax rbx rcx rdx rsi rdi rsp rbp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags")
local SREGS = set_of "cr0 cr2 cr3 cr4 cr8 efer apic_base"
do
    local segment = set_of "base limit selector type present dpl db s l g avl unusable"
    for name in pairs(set_of "cs ds es fs gs ss tr ldt") do
        SREGS[name] = segment
    end
    SREGS.gdt, SREGS.idt = set_of "base limit", set_of "base limit"
end
local WHILE_RUNNING = { regs = REGS, sregs = SREGS }

-- Methods of a VM by which the library's own parts work together: not what a user looks for, and
-- not in lua/meta.
complete.INNER = set_of [[
    add_break forget_breaks happened hook_breaks on_last_words pause_vcpus probe_debug read_metrics
    remove_break resume_vcpus start_vcpus step_vcpu take_events tell_breaks tell_end trace_begin
    trace_end trace_take
]]

-- ---- looking ----------------------------------------------------------------------------

local function metatable_of(value)
    local metatable = debug.getmetatable(value)
    return type(metatable) == "table" and metatable or {}
end

-- Is this an object of the core, whose __index is its class's?
local function is_object(value, metatable)
    local name = rawget(metatable, "__name")
    return type(value) == "userdata" and type(name) == "string" and name:find(CLASSES) ~= nil
        and type(rawget(metatable, "__index")) == "function"
end

local function get_property(object, key)
    local ok, value = pcall(function()
        return object[key]
    end)
    if ok then return value end
    return WHILE_RUNNING[key]
end

local function look_up(value, key, links)
    if type(value) == "table" then
        local found = rawget(value, key)
        if found ~= nil then return found end
    end
    local metatable = metatable_of(value)
    if is_object(value, metatable) then return get_property(value, key) end
    local index = rawget(metatable, "__index")
    if type(index) == "table" and links > 0 then return look_up(index, key, links - 1) end
end

-- names[name] = true where it can be called, false where not
local function add_table(names, fields)
    if type(fields) ~= "table" then return end
    for name, value in next, fields do
        if type(name) == "string" and names[name] == nil then
            names[name] = type(value) == "function"
        end
    end
end

-- A class keeps its getters and methods as the upvalues of its __index, what Lua code has set as
-- a user value (src/lua/box.h).
local function add_object(names, object, index)
    local _, getters = debug.getupvalue(index, 1)
    for name in next, type(getters) == "table" and getters or {} do
        names[name] = false
    end
    add_table(names, (debug.getuservalue(object, 2)))
    local _, methods = debug.getupvalue(index, 2)
    add_table(names, methods)
    for name in pairs(complete.INNER) do
        names[name] = nil
    end
end

local function add_names(names, value, links)
    if type(value) == "table" then add_table(names, value) end
    local metatable = metatable_of(value)
    local index = rawget(metatable, "__index")
    if is_object(value, metatable) then
        add_object(names, value, index)
    elseif type(index) == "table" and links > 0 then
        add_names(names, index, links - 1)
    end
    -- What an __index function would bring.
    for name in next, rawget(metatable, "__names") or {} do
        names[name] = names[name] or false
    end
end

-- ---- what is typed ----------------------------------------------------------------------

-- One [key] at the end of a text: the text before it and the key; nil when it is anything else.
local function index_at_end(text)
    local head, number = text:match "^(.*)%[%s*(%-?%d+)%s*%]$"
    if head then return head, math.tointeger(tonumber(number)) end
    local quote, key
    head, quote, key = text:match "^(.*)%[%s*([\"'])([^\"'\\]*)%2%s*%]$"
    if head then return head, key, quote end
end

local function name_at_end(text)
    local head, name = text:match "^(.-)([%w_]*)$"
    if name:find "^[%a_]" then return head, name end
end

-- The separator that a text ends in: "." or ":"; but not "..", nor that of a number.
local function separator_at_end(text)
    return text:match "[%w_%]]([.:])$"
end

-- The names and indices that a text ends in, first to last: { "vm", "vcpus", 1 }; nil where
-- something else is, a call for instance.
local function path_at_end(text)
    local path = {}
    while true do
        local head, key = index_at_end(text)
        if not head then
            head, key = name_at_end(text)
            if not head then return nil end
            table.insert(path, 1, key)
            local separator = separator_at_end(head)
            if not separator then return path end
            if separator == ":" then return nil end
            text = head:sub(1, -2)
        else
            table.insert(path, 1, key)
            text = head
        end
    end
end

-- What is typed, apart: { path =, separator = "." | ":" | "[" | nil, partial =, quote = }.
local function parse(text)
    local head, quote, partial = text:match "^(.*[%w_%]])%[([\"'])([^\"'%[%]]*)$"
    if head then
        return { path = path_at_end(head), separator = "[", partial = partial, quote = quote }
    end
    head, partial = text:match "^(.-)([%w_]*)$"
    if partial:find "^%d" then return nil end
    local separator = separator_at_end(head)
    local path = separator and path_at_end(head:sub(1, -2)) or nil
    return { path = path, separator = separator, partial = partial }
end

-- ---- candidates -------------------------------------------------------------------------

local function begins(name, partial)
    return name:sub(1, #partial) == partial
end

-- Which of the names may follow the separator.
local function fits(typed, name, callable)
    if not begins(name, typed.partial) then return false end
    if typed.separator == "[" then return not name:find "[%c\"'\\%[%]]" end
    if not name:find "^[%a_][%w_]*$" then return false end
    if name:find "^_" and not typed.partial:find "^_" then return false end
    return typed.separator ~= ":" or callable
end

local function candidates(typed, names)
    local found = {}
    for name, callable in pairs(names) do
        if fits(typed, name, callable) then found[#found + 1] = name end
    end
    table.sort(found)
    return found
end

local function evaluate(path, globals)
    local value = globals
    for _, key in ipairs(path) do
        value = look_up(value, key, CHAIN)
        if value == nil then return nil end
    end
    return value
end

-- Of an object, what follows a dot are its properties; its methods only when no property is meant.
local function without_methods(names, value)
    if not is_object(value, metatable_of(value)) then return names end
    local properties = {}
    for name, callable in pairs(names) do
        if not callable then properties[name] = false end
    end
    return properties
end

-- The names that what is typed may go on with, sorted; the part of them that is typed, and the
-- quote that a key in brackets is in.
-- @param text  what stands before the cursor
-- @param globals  the environment of what is typed
function complete.find(text, globals)
    local typed = parse(text)
    if not typed or typed.separator and not typed.path then return {}, "" end
    local value = globals
    if typed.path then value = evaluate(typed.path, globals) end
    if value == nil then return {}, "" end
    local names = {}
    add_names(names, value, CHAIN)
    if not typed.separator then
        for _, word in ipairs(KEYWORDS) do
            names[word] = false
        end
    end
    local found = {}
    if typed.separator == "." then found = candidates(typed, without_methods(names, value)) end
    if not found[1] then found = candidates(typed, names) end
    return found, typed.partial, typed.quote
end

-- ---- answers ----------------------------------------------------------------------------

local LISTED = 200

local function common(names)
    local prefix = names[1]
    for _, name in ipairs(names) do
        while not begins(name, prefix) do
            prefix = prefix:sub(1, -2)
        end
    end
    return prefix
end

-- Names in columns, each read from top to bottom.
function complete.columns(names, width)
    local longest, shown = 0, math.min(#names, LISTED)
    for i = 1, shown do
        longest = math.max(longest, #names[i])
    end
    local columns = math.max(1, (width + 2) // (longest + 2))
    local rows = (shown + columns - 1) // columns
    local lines = {}
    for row = 1, rows do
        local line = {}
        for i = row, shown, rows do
            line[#line + 1] = names[i] .. (" "):rep(longest - #names[i])
        end
        lines[row] = table.concat(line, "  "):gsub(" +$", "") .. "\n"
    end
    if #names > shown then lines[#lines + 1] = ("... %d more\n"):format(#names - shown) end
    return table.concat(lines)
end

-- What Tab does: the text to insert at the cursor, and the text to show below the line.
function complete.answer(text, globals, width)
    if text:find "^%s*$" then return "    ", "" end -- it indents
    local names, partial, quote = complete.find(text, globals)
    if not names[1] then return "", "" end
    local insert = common(names):sub(#partial + 1)
    if not names[2] then return insert .. (quote and quote .. "]" or ""), "" end
    return insert, insert == "" and complete.columns(names, width) or ""
end

return complete
