-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Guest memory on huge pages. In a lab, which is a throwaway host, the pool is filled for it.

local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

local POOL = "/proc/sys/vm/nr_hugepages"
local PAGES = 64

local function pool()
    local file = io.open(POOL, "r")
    local count = file and file:read("n") or 0
    if file then file:close() end
    return count
end

-- MiB of this process's memory that lie on pages of 2 MiB.
local function huge_mib()
    local sum, size = 0, 0
    for line in io.lines "/proc/self/smaps" do
        size = tonumber(line:match "^Size:%s+(%d+) kB") or size
        if line:find "^KernelPageSize:%s+2048 kB" then sum = sum + size // 1024 end
    end
    return sum
end

describe("huge pages", function()
    setup(function()
        if os.getenv "VMM_LAB" and pool() < PAGES then
            local file <close> = assert(io.open(POOL, "w"))
            file:write(PAGES)
        end
    end)

    for name, shared in pairs { private = false, shared = true } do
        it("back " .. name .. " guest memory that asks for them", function()
            if pool() < PAGES then pending "the host's pool of huge pages is empty" end
            local before = huge_mib()
            local memory = assert(vmm.memory {
                ranges = { { 0, 32 << 20 } }, huge_pages = true, shared = shared,
            })
            for gpa = 0, (32 << 20) - 4096, 1 << 20 do
                assert(memory:u64(gpa, gpa + 1))
                assert.equal(gpa + 1, memory:u64(gpa))
            end
            assert.equal(32, huge_mib() - before)
            memory:close()
            assert.equal(before, huge_mib())
        end)

        it("run a guest on " .. name .. " memory", function()
            if pool() < PAGES then pending "the host's pool of huge pages is empty" end
            local stop, output = tiny.run("hello", {
                memory = { size_mib = 32, huge_pages = true, shared = shared },
            })
            assert.equal("reboot", stop.reason)
            assert.matches("PASS", output)
        end)
    end
end)
