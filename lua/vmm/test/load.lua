-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Is the host too busy, or too short of memory, for one more test process?

local load = {}

local BUSY = 2 -- times the CPUs: the load average beyond which nothing is added
local RESERVE_MIB = 512 -- of memory, or a tenth where that is less

-- load.reason(text of /proc/loadavg, text of /proc/meminfo, CPUs) -> why not, in words; or nil.
function load.reason(loadavg, meminfo, cpus)
    local average = tonumber(loadavg:match "^[%d.]+")
    if average and average > BUSY * cpus then
        return ("load %.1f on %d CPUs"):format(average, cpus)
    end
    local total = tonumber(meminfo:match "MemTotal:%s*(%d+)")
    local free = tonumber(meminfo:match "MemAvailable:%s*(%d+)")
    if total and free and free < math.min(RESERVE_MIB * 1024, total // 10) then
        return ("%d MiB of memory left"):format(free // 1024)
    end
end

local function read(path)
    local file <close> = io.open(path)
    return file and file:read "a" or ""
end

local function count_cpus()
    return select(2, read("/proc/stat"):gsub("\ncpu%d", ""))
end

-- The same of this host.
function load.now()
    return load.reason(read "/proc/loadavg", read "/proc/meminfo", math.max(count_cpus(), 1))
end

return load
