-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The checksum of ACPI and MP tables.

-- The byte which, added to them, makes the bytes of a string sum up to 0 modulo 256.
return function(bytes)
    local sum = 0
    for i = 1, #bytes do
        sum = sum + bytes:byte(i)
    end
    return -sum & 0xff
end
