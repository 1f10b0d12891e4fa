-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The kernel command line: added to, checked against what the kernel takes, put into memory.

local failure = require "vmm.boot.failure"
local layout = require "vmm.x86.layout"

local cmdline = {}

-- Bytes that Linux on x86 keeps of its command line (COMMAND_LINE_SIZE without the NUL), for
-- images that do not say themselves.
cmdline.LINUX_MAX = 2047

-- The words of a command line that are the kernel's, and what is for init: from "--" on, or "".
local function split(text)
    local before, after = (" " .. text .. " "):match "^(.-) (%-%- .*)$"
    if not before then return text, "" end
    return before:gsub("^ +", ""), (after:gsub(" +$", ""))
end

-- Is a word one of the kernel's? word: text that it equals, or, ending with "=", begins with.
function cmdline.has(text, word)
    local kernel = " " .. split(text) .. " "
    return kernel:find(" " .. word .. (word:sub(-1) == "=" and "" or " "), 1, true) ~= nil
end

-- text with words added to the kernel's.
function cmdline.add(text, words)
    local parts = {}
    local kernel, init = split(text)
    for _, part in ipairs { kernel, words, init } do
        if part ~= "" then parts[#parts + 1] = part end
    end
    return table.concat(parts, " ")
end

-- Writes text at its fixed address, NUL added. max: the longest the kernel takes, in bytes.
function cmdline.place(plan, text, max)
    max = math.min(max or cmdline.LINUX_MAX, layout.cmdline_size - 1)
    local nul = text:find("\0", 1, true)
    if nul then
        failure.raise("EINVAL", "kernel command line: NUL byte at offset %d", nul - 1)
    end
    if #text > max then
        local format = "kernel command line: %d bytes, but this kernel takes at most %d"
        failure.raise("E2BIG", format, #text, max)
    end
    plan:write("command line", layout.cmdline, text .. "\0")
end

return cmdline
