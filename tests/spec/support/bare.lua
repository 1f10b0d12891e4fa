-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Bits of real-mode code for tiny.bare, and what specs do around such a VM.

local vmm = require "vmm"

local bare = {}

bare.HLT = "\xf4"
bare.SPIN = "\xeb\xfe" -- jmp to itself
bare.OUT_43 = "\xe6\x43" -- out 0x43, al
bare.POLL = "\xba\x00\x05\xec\xe6\x43\xeb\xfb" -- mov dx, 0x500; again: in; out 0x43, al; jmp again

-- Starts a bare VM and waits for its end.
function bare.run(vm)
    assert(vm:start())
    return assert(vm:wait { timeout = 10 })
end

-- The values that the guest writes to port 0x43 come into the list returned.
function bare.result_of(vm)
    local result = {}
    assert(vm:device {
        pio = { 0x43, 1 },
        write = function(_, _, _, value)
            result[#result + 1] = value
        end,
    })
    return result
end

-- The guest tells by port 0x43 what it has read: a function that lets it run until that is a value.
-- seen (optional): becomes the set of all values.
function bare.await_told(vm, seen)
    local last
    assert(vm:device {
        name = "tell",
        pio = { 0x43, 1 },
        write = function(_, _, _, value)
            last = value
            if seen then seen[value] = true end
        end,
    })
    return function(value)
        local deadline = vmm.now() + 10
        last = nil
        while last ~= value and vmm.now() < deadline do
            vmm.step(0.001)
        end
        assert(last == value, ("the guest told %s, not %s"):format(last, value))
    end
end

-- A function that appends these values to a list.
function bare.append(list, ...)
    local what = { ... }
    return function()
        table.move(what, 1, #what, #list + 1, list)
    end
end

return bare
