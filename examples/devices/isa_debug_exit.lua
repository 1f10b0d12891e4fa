-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- QEMU's isa-debug-exit: the guest ends the VM, and its test run, with an exit code.

-- options: port (0x501), size (2), as QEMU's iobase and iosize.
-- Returns the device. Once the guest has written a value, its field code is (value << 1) | 1, of
-- which a process's exit code has eight bits; the VM ends with reason "poweroff".
return function(vm, _, options)
    options = options or {}
    return assert(vm:device {
        name = "isa-debug-exit",
        pio = { options.port or 0x501, options.size or 2 },
        read = function()
            return 0
        end,
        write = function(dev, _, _, value)
            dev.code = (value << 1 | 1) & 0xff
            vm:stop("poweroff", ("isa-debug-exit: exit code %d"):format(dev.code))
        end,
    })
end
