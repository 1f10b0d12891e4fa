-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What a script does to the disks of a machine that does not run: limits and faults.

local vmm = require "vmm"

local vm, disk

setup(function()
    vm = assert(vmm.vm { block = {
        vmm.block { read = print, size = 4096, serial = "lua", iops = 7 },
        vmm.block { read = print, write = print, size = 1 << 40 },
    } })
    disk = vm.disks[1]
end)
teardown(function() vm:close() end)

-- What a call raises, with the place where it was made.
local function raised(fn, ...)
    local ok, message = pcall(fn, ...)
    assert.is_false(ok)
    return message
end

describe("a disk made of functions", function()
    it("has the size and the rights that it was given", function()
        assert.same({ 4096, "backend", true }, { disk:size(), disk:engine(), disk.readonly })
        assert.same({ 1 << 40, false }, { vm.disks[2]:size(), vm.disks[2].readonly })
        assert.equal(8192, vm.disks[2]:resize(8192))
        assert.same({ nil, "1000 bytes are no multiple of 512", "EINVAL" },
            { vm.disks[2]:resize(1000) })
    end)
end)

describe("disk:limit", function()
    it("changes what it names, and tells all", function()
        assert.same({ bandwidth = 0, iops = 7, burst = 1 }, disk:limit())
        assert.same({ bandwidth = 1000, iops = 7, burst = 0.25 },
            disk:limit { bandwidth = 1000, burst = 0.25 })
        assert.same({ bandwidth = 0, iops = 7, burst = 0.25 }, disk:limit { bandwidth = 0 })
        assert.same({ bandwidth = 0, iops = 7, burst = 0.25 }, disk:limit())
        assert.same({ bandwidth = 0, iops = 0, burst = 1 }, vm.disks[2]:limit())
    end)

    it("says what is wrong, at the caller's line", function()
        for message, given in pairs {
            ["unknown option \"iop\", did you mean \"iops\"? valid: bandwidth, iops, burst"] =
                { iop = 1 },
            ["iops must be 0 to 9223372036854775807, not -1"] = { iops = -1 },
            ["bandwidth must be an integer, not 1.5"] = { bandwidth = 1.5 },
            ["burst must be 0 to 3600 seconds, not -1"] = { burst = -1 },
        } do
            local text = raised(function() disk:limit(given) end)
            assert.matches(message, text, 1, true)
            assert.matches("virtio_block_spec.lua:", text, 1, true)
        end
    end)
end)

describe("disk:fault", function()
    it("gives an object that counts, until it is removed", function()
        local fault = assert(disk:fault { op = { "read", "write" }, sector = { 0, 7 }, nth = 3,
            status = "ioerr", delay_ms = 0.5 })
        assert.same({ 0, 0, false }, { fault.hits, fault.matches, fault.removed })
        assert.equal("vmm.fault: 0 hits", tostring(fault))
        fault:remove()
        fault:remove()
        assert.same({ 0, 0, true }, { fault.hits, fault.matches, fault.removed })
        assert.equal("vmm.fault: 0 hits, removed", tostring(fault))
        do
            local closed <close> = disk:fault(function() end)
            fault = closed
        end
        assert.is_true(fault.removed)
    end)

    it("says what is wrong, at the caller's line", function()
        for message, given in pairs {
            ["disk:fault: op: \"reed\", did you mean \"read\"? valid: read, write, flush, discard, "
                .. "write_zeroes"] = { op = "reed" },
            ["disk:fault: op must be a name or a list of names, not a table"] = { op = {} },
            ["disk:fault: sector must be { first, last }, not a table"] = { sector = { 5, 4 } },
            ["disk:fault: nth must be 1 to 9223372036854775807, not 0"] = { nth = 0 },
            ["disk:fault: times must be an integer, not \"2\""] = { times = "2" },
            ["disk:fault: status: \"io\"; valid: ioerr, unsupp"] = { status = "io" },
            ["disk:fault: delay_ms must be 0 to 1e9 milliseconds, not -1"] = { delay_ms = -1 },
            ["disk:fault: unknown option \"sectors\", did you mean \"sector\"? valid: op, "] =
                { sectors = 1 },
            ["disk:fault: fault must be a function, not 5"] = 5,
        } do
            local text = raised(function() disk:fault(given) end)
            assert.matches(message, text, 1, true)
            assert.matches("virtio_block_spec.lua:", text, 1, true)
        end
    end)

    it("is no other device's", function()
        local rng = assert(vmm.virtio_rng { vm = vm })
        assert.matches("not a block device", raised(rng.limit, rng))
        assert.matches("not a block device", raised(rng.fault, rng, {}))
    end)

    it("may outlive its machine", function()
        local short <close> = assert(vmm.vm { block = { vmm.block { read = print, size = 512 } } })
        local rule, fn = short.disks[1]:fault {}, short.disks[1]:fault(print)
        short:close()
        assert.same({ 0, 0 }, { rule.hits, fn.hits })
        rule:remove()
        fn:remove()
        assert.is_true(rule.removed and fn.removed)
        for _, name in ipairs { "fault", "limit" } do
            local disk_of_closed = short.disks[1]
            assert.matches("virtio_block_spec.lua:%d+: disk:" .. name .. ": the VM is closed",
                raised(function() disk_of_closed[name](disk_of_closed, {}) end))
        end
    end)
end)
