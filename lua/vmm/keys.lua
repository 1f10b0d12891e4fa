-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What the keys of a terminal send.

local keys = {}

-- As xterm and Linux's terminfo of vt220 have them.
local NAMED = {
    esc = "\27", tab = "\t", enter = "\r", backspace = "\x7f", space = " ",
    up = "\27[A", down = "\27[B", right = "\27[C", left = "\27[D",
    home = "\27[1~", insert = "\27[2~", delete = "\27[3~", ["end"] = "\27[4~",
    page_up = "\27[5~", page_down = "\27[6~",
    f1 = "\27OP", f2 = "\27OQ", f3 = "\27OR", f4 = "\27OS", f5 = "\27[15~", f6 = "\27[17~",
    f7 = "\27[18~", f8 = "\27[19~", f9 = "\27[20~", f10 = "\27[21~", f11 = "\27[23~",
    f12 = "\27[24~",
}

local function names()
    local list = {}
    for name in pairs(NAMED) do
        list[#list + 1] = ('"%s"'):format(name)
    end
    table.sort(list)
    return table.concat(list, ", ")
end

-- What keys.bytes takes, in words.
keys.WANTED = "a letter or one of @[\\]^_? (with Ctrl), or a key's name: " .. names()

-- What a key sends by its name, or Ctrl with a letter or sign; nil for what is neither.
function keys.bytes(key)
    if type(key) ~= "string" then return nil end
    if key == "?" then return "\x7f" end
    if key:find "^[%a@%[\\%]^_]$" then return string.char(key:upper():byte() & 0x1f) end
    return NAMED[key]
end

return keys
