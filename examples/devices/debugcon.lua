-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- QEMU's isa-debugcon, which Bochs has as well: a port to which the guest writes text.

local READ_BACK = 0xe9 -- by this a guest knows that it is there
local KEPT = 64 << 10

-- options: port (0xe9), to (function(byte as a string); none). Returns the device; without a
-- function its field text has the first 64 KiB of the text.
return function(vm, _, options)
    options = options or {}
    return assert(vm:device {
        name = "debugcon",
        pio = { options.port or 0xe9, 1 },
        reset = function(dev)
            dev.text = ""
        end,
        read = function()
            return READ_BACK
        end,
        write = function(dev, _, _, value)
            local byte = string.char(value)
            if options.to then
                options.to(byte)
            elseif #dev.text < KEPT then
                dev.text = dev.text .. byte
            end
        end,
    })
end
