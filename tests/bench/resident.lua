-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Prints how much of a process with a started tiny guest is resident beside the guest's RAM, in
-- KiB: all, and what no other process shares. Argument: the guest's flat image.

local vmm = require "vmm"

-- No other mapping has this size, which leads to the guest's RAM in /proc/self/smaps.
local RAM_MIB = 37

local vm <close> = assert(vmm.vm {
    memory = { size_mib = RAM_MIB },
    kernel = { path = arg[1], flow = "flat" },
})
assert(vm:start())
vm.console:expect("PASS", { timeout = 20 })

local counts, is_ram = { Rss = 0, Private_Clean = 0, Private_Dirty = 0 }, false
for line in io.lines "/proc/self/smaps" do
    local key, kib = line:match "^([%w_]+):%s+(%d+) kB"
    if key == "Size" then is_ram = tonumber(kib) == RAM_MIB * 1024 end
    if counts[key] and not is_ram then counts[key] = counts[key] + tonumber(kib) end
end
print(counts.Rss, counts.Private_Clean + counts.Private_Dirty)
