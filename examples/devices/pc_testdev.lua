-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- QEMU's pc-testdev, which the tests of kvm-unit-tests drive: ports and memory that remember, and
-- interrupt lines that the guest raises itself.
--
--   0xe0, 4 bytes        a register of 32 bits
--   0xe8, 4 bytes        the same register, served a byte at a time
--   0x2000, 24 bytes     a line each: writing 0 or another value to 0x2000 + n lowers or raises n
--   0xff000000, 64 KiB   memory behind exits
--
-- Its port 0xe4, which makes QEMU unmap a page of the guest, is left out: what it tests is QEMU's
-- own page tables.

local REGISTER, BYTES, LINES = 0xe0, 0xe8, 0x2000
local LINE_COUNT = 24
local MEMORY, MEMORY_SIZE = 0xff000000, 0x10000

-- A store of bytes, little-endian, of which those are kept that are not 0.
local function get(bytes, offset, size)
    local value = 0
    for i = 0, size - 1 do
        value = value | (bytes[offset + i] or 0) << 8 * i
    end
    return value
end

local function set(bytes, offset, size, value)
    for i = 0, size - 1 do
        local byte = value >> 8 * i & 0xff
        bytes[offset + i] = byte ~= 0 and byte or nil
    end
end

local function storage(vm, name, place)
    place.name = name
    place.reset = function(dev)
        dev.bytes = dev.bytes or {}
    end
    place.read = function(dev, offset, size)
        return get(dev.bytes, offset, size)
    end
    place.write = function(dev, offset, size, value)
        set(dev.bytes, offset, size, value)
    end
    return assert(vm:device(place))
end

-- For a VM with an irqchip. Returns its parts by name: register, bytes, lines, memory.
return function(vm)
    local irqs = {}
    for line = 0, LINE_COUNT - 1 do
        irqs[line] = vm:irq(line)
    end
    local register = storage(vm, "pc-testdev", { pio = { REGISTER, 4 } })
    return {
        register = register,
        bytes = storage(vm, "pc-testdev-byte", { pio = { BYTES, 4 }, bytes = register.bytes }),
        lines = assert(vm:device {
            name = "pc-testdev-irq",
            pio = { LINES, LINE_COUNT },
            write = function(_, offset, _, value)
                if value ~= 0 then
                    irqs[offset]:assert()
                else
                    irqs[offset]:deassert()
                end
            end,
        }),
        memory = storage(vm, "pc-testdev-iomem", { mmio = { MEMORY, MEMORY_SIZE } }),
    }
end
