-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Bits of real-mode code for tiny.bare, and what specs do around such a VM.

local bare = {}

bare.HLT = "\xf4"
bare.SPIN = "\xeb\xfe" -- jmp to itself
bare.OUT_43 = "\xe6\x43" -- out 0x43, al

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

-- A function that appends these values to a list.
function bare.append(list, ...)
    local what = { ... }
    return function()
        table.move(what, 1, #what, #list + 1, list)
    end
end

return bare
