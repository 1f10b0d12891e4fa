-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The error objects of the verbs that act in a guest: what was asked, why not, what it printed.

local refusal = {}

local Refusal = { __name = "vmm.command_error" }

local COMMAND_SHOWN = 200
local LINES_SHOWN, BYTES_SHOWN = 20, 4096

-- A command as messages show it: the begin of its first line.
function refusal.show(command)
    local first = command:match "^[^\n]*":sub(1, COMMAND_SHOWN)
    return ("`%s%s`"):format(first, #first < #command and " ..." or "")
end

-- The last lines of an output, printable.
local function last_lines(output)
    local text = output:sub(-BYTES_SHOWN):gsub("\r\n", "\n")
    text = text:gsub("[^\n\t\x20-\x7e\x80-\xff]", "?"):gsub("\n+$", "")
    local lines = {}
    for line in (text .. "\n"):gmatch "([^\n]*)\n" do
        lines[#lines + 1] = line
    end
    return table.concat(lines, "\n", math.max(1, #lines - LINES_SHOWN + 1))
end

function Refusal:__tostring()
    local text = ("%s: %s %s"):format(self.vm, self.subject or refusal.show(self.command), self.why)
    if self.output then
        local shown = last_lines(self.output)
        text = text .. (shown == "" and "; it printed nothing" or "; its last output:\n" .. shown)
    end
    return text .. (self.state and "\n" .. self.state or "")
end

-- What a verb returns in vain: nil, error object, code. fields:
--   code, why  always
--   command    or subject: what was asked, in words
--   output     what it printed; state: of the VM, in words; and what else a script may want
function refusal.new(vm, fields)
    fields.vm = vm.name
    return nil, setmetatable(fields, Refusal), fields.code
end

return refusal
