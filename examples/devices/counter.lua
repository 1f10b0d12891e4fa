-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A counter behind four ports: a write sets it, each read gives it and counts one up.

-- options: port (0x510). Returns the device; its field count is the counter.
return function(vm, _, options)
    return assert(vm:device {
        name = "counter",
        pio = { options and options.port or 0x510, 4 },
        reset = function(dev)
            dev.count = 0
        end,
        read = function(dev)
            local count = dev.count
            dev.count = count + 1 & 0xffffffff
            return count
        end,
        write = function(dev, _, _, value)
            dev.count = value
        end,
    })
end
