-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The scenario "mem" of rust-vmm's vmm-reference: how much memory Linux finds, below the hole of
-- devices and above it.

local linux = require "tests.spec.support.linux"

local MIB = 1024 -- KiB

describe("vmm-reference", function()
    for _, size in ipairs { 512, 3327, 3328, 3329, 8192 } do
        it(("mem: the guest has %d MiB"):format(size), function()
            local vm <close> = linux.boot { memory = { size_mib = size } }
            local line = linux.run(vm, "dmesg | grep Memory:")
            local total = tonumber(line:match "/(%d+)K available")
            -- The first page and the hole below 1 MiB are not RAM to Linux.
            local missing = size * MIB - total
            assert.is_true(missing >= 0 and missing <= math.max(388, size * MIB // 1000), line)
        end)
    end
end)
