-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What Debian's kernel does, measured and traced.

local linux = require "tests.spec.support.linux"
local prometheus = require "tests.spec.support.prometheus"
local vmm = require "vmm"

it("Linux on two vCPUs is counted, timed and traced", function()
    local vm <close> = linux.boot { vcpus = { num = 2 } }
    assert(vm:measure(true))
    local trace <close> = assert(vm:trace { events = 50000 })
    local before = vm:metrics()
    local text = linux.run(vm, "seq 1 200")
    local after = vm:metrics()

    local written = after.console.output_bytes - before.console.output_bytes
    assert.is_true(written > #text)
    local sent = 0
    for _, vcpu in ipairs(after.vcpus) do
        for _, access in ipairs(vcpu.accesses) do
            if access.direction == "write" and access.address == 0x3f8 then
                assert.truthy(access.device:find "serial")
                sent = sent + access.bytes
            end
        end
    end
    assert.is_true(sent >= #text, sent .. " of " .. #text)

    local handled, events = 0, 0
    for i, vcpu in ipairs(after.vcpus) do
        assert.is_true(vcpu.cpu > before.vcpus[i].cpu)
        for _, histogram in pairs(vcpu.handling) do
            handled = handled + histogram.count
        end
        events = events + #trace:events(i)
    end
    assert.is_true(events > 0)
    assert.is_true(handled > 0)
    assert.equal(0, after.vcpus[1].other_accesses.count)
    assert.is_true(after.vcpus[1].kvm.exits > 0)
    prometheus.parse(vmm.metrics.prometheus(after))
    assert.truthy(vmm.metrics.top(after, before):find("0x3f8/1 serial", 1, true))
    local path = os.tmpname()
    assert(trace:write(path))
    local file <close> = assert(io.open(path))
    assert(vmm.json.decode(file:read "a"))
    os.remove(path)
end)
