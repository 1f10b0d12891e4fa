-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Text of guests and tests made fit for a report: nothing in it is a command of a terminal, of XML
-- or of HTML, all of it is UTF-8, and none of it is endless.

local clean = {}

local REPLACEMENT = "\u{FFFD}"

-- Control sequences of terminals: CSI, OSC and its kin (with or without their end), others.
local function without_sequences(text)
    if not text:find "\27" then return text end
    text = text:gsub("\27%[[0-?]*[ -/]*[@-~]?", "")
    text = text:gsub("\27[%]PX^_][^\7\27]*\7?\27?\\?", "")
    return (text:gsub("\27[ -/]*[0-~]?", ""))
end

-- Each byte that no UTF-8 has, as one sign; time is linear in the text's length.
local function as_utf8(text)
    local _, bad = utf8.len(text)
    if not bad then return text end
    local parts, from = {}, 1
    while bad do
        parts[#parts + 1] = text:sub(from, bad - 1)
        if parts[#parts] ~= "" or parts[#parts - 1] ~= REPLACEMENT then
            parts[#parts + 1] = REPLACEMENT
        end
        from = bad + 1
        _, bad = utf8.len(text, from)
    end
    parts[#parts + 1] = text:sub(from)
    return table.concat(parts)
end

-- C1 controls, marks and overrides of direction (text that reads otherwise than it is), separators
-- of lines, and what XML does not have.
local HIDDEN = {
    { 0x80, 0x9F }, { 0x200E, 0x200F }, { 0x2028, 0x202E }, { 0x2066, 0x2069 },
    { 0xFEFF, 0xFEFF }, { 0xFFFE, 0xFFFF },
}

-- "" for a character that is not to be shown, nil for all others.
local function hide(char)
    local code = utf8.codepoint(char)
    for _, range in ipairs(HIDDEN) do
        if code >= range[1] and code <= range[2] then return "" end
    end
    return nil
end

-- Lines of plain text: tabs and newlines are the only control characters.
function clean.text(text)
    if text:find "[%c\128-\255]" then
        text = without_sequences(text):gsub("\r\n", "\n")
        text = as_utf8(text:gsub("[%c]", function(char)
            return (char == "\n" or char == "\t") and char or char == "\r" and "\n" or ""
        end))
        if text:find "[\xC2\xE2\xEF]" then
            text = text:gsub("[\xC2\xE2\xEF][\x80-\xBF]+", hide)
        end
    end
    return text
end

-- One line.
function clean.line(text)
    return (clean.text(text):gsub("[\n\t]+", " "))
end

-- The beginning of a text, whole characters, and how many bytes were left out.
function clean.head(text, bytes)
    if #text <= bytes then return text, 0 end
    while bytes > 0 and (text:byte(bytes + 1) & 0xC0) == 0x80 do
        bytes = bytes - 1
    end
    return text:sub(1, bytes), #text - bytes
end

-- A text of at most some bytes, which says what it lacks.
function clean.bounded(text, bytes)
    local head, lacking = clean.head(clean.text(text), bytes)
    if lacking == 0 then return head end
    return ("%s ... (%d more bytes)"):format(head, lacking)
end

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;",
    ["'"] = "&#39;" }

-- The first items of a list of texts, at most some, and how many more there are.
function clean.list(list, most)
    local shown = table.concat(list, ", ", 1, math.min(#list, most))
    local more = #list - most
    return more > 0 and ("%s and %d more"):format(shown, more) or shown
end

-- Any text as content of an element or in quotes, of XML and HTML; control characters are gone.
function clean.xml(text)
    return (clean.text(text):gsub("[&<>\"']", ENTITIES))
end

-- Seconds as people read them: "0.4 ms", "12 ms", "3.21 s", "2 min 05 s".
function clean.duration(seconds)
    if seconds < 0.01 then
        return ("%.1f ms"):format(seconds * 1e3)
    elseif seconds < 1 then
        return ("%.0f ms"):format(seconds * 1e3)
    elseif seconds < 60 then
        return ("%.2f s"):format(seconds)
    elseif seconds < 3600 then
        return ("%d min %02d s"):format(seconds // 60, seconds // 1 % 60)
    end
    return ("%d h %02d min"):format(seconds // 3600, seconds // 60 % 60)
end

-- Bytes in units of 1024.
function clean.bytes(count)
    if count < 1024 then return ("%d B"):format(count // 1) end
    local units, at = { "KiB", "MiB", "GiB", "TiB" }, 0
    repeat
        count, at = count / 1024, at + 1
    until count < 1023.95 or at == #units
    return ("%.1f %s"):format(count, units[at])
end

return clean
