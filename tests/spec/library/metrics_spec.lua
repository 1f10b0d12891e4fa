-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The texts that are made of tables of metrics: Prometheus, JSON, frames of the live view.

local json = require "vmm.json"
local metrics = require "vmm.metrics"
local prometheus = require "tests.spec.support.prometheus"

local function histogram(...)
    local buckets, count, sum, max = json.array { ... }, 0, 0.0, 0.0
    for _, bucket in ipairs(buckets) do
        count, sum, max = count + bucket[2], sum + bucket[2] * bucket[1], bucket[1]
    end
    return { count = count, sum = sum, max = max, buckets = buckets }
end

-- A table as vm:metrics() gives it, of a VM that has done n times this much.
local function sample(n, change)
    local writes = histogram({ 1.024e-06, 2 * n }, { 5.12e-06, n })
    local of = {
        vm = "one", time = 100.0 + n, uptime = 1.0 * n, measuring = true,
        memory_bytes = 256 << 20, resident_bytes = 30 << 20,
        console = { input_bytes = 0, output_bytes = 1500 * n },
        lua_handlers = { calls = 5 * n, ran = 0.01 * n, waited = 0.0 },
        kvm = { pages_4k = 7, some_hist = json.array { 1, 2 } },
        vcpus = json.array { {
            id = 0, cpu = 0.5 * n, kicks = 4 * n, pauses = 1,
            exits = { pio_write = 3 * n, halt = 1 },
            handling = { pio_write = writes },
            in_guest = histogram { 0.001024, 3 * n },
            accesses = json.array { {
                kind = "pio", direction = "write", address = 0x3f8, size = 1, bytes = 3 * n,
                device = "com1", handling = writes,
            } },
            other_accesses = histogram(),
            kvm = { halt_wait_ns = 12 },
        } },
    }
    for key, value in pairs(change or {}) do
        of[key] = value
    end
    return of
end

describe("a quantile", function()
    it("is the upper bound of the bucket that it lies in, the maximum at the most", function()
        local of = histogram({ 1.0, 98 }, { 2.0, 1 }, { 8.0, 1 })
        of.max = 7.5
        assert.equal(1.0, metrics.quantile(of, 0.5))
        assert.equal(2.0, metrics.quantile(of, 0.99))
        assert.equal(7.5, metrics.quantile(of, 1))
        assert.equal(0.0, metrics.quantile(histogram(), 0.99))
    end)

    it("raises for what is no share", function()
        assert.has_error(function()
            metrics.quantile(histogram(), 50)
        end, "vmm.metrics.quantile: q must be a number from 0 to 1, not 50")
    end)
end)

describe("Prometheus' text", function()
    it("is well formed", function()
        prometheus.parse(metrics.prometheus(sample(2)))
    end)

    it("has counts, seconds and cumulative buckets", function()
        local families = prometheus.parse(metrics.prometheus(sample(2)))
        local labels = { vm = "one", vcpu = "0", reason = "pio_write" }
        assert.equal("counter", families.vmm_vcpu_exits_total.type)
        assert.equal(6, prometheus.value(families, "vmm_vcpu_exits_total", labels))
        local name = "vmm_vcpu_exit_handling_seconds"
        labels.le = "1.024e-06"
        assert.equal(4, prometheus.value(families, name .. "_bucket", labels))
        labels.le = "1.6384e-05"
        assert.equal(6, prometheus.value(families, name .. "_bucket", labels))
        labels.le = nil
        assert.equal(6, prometheus.value(families, name .. "_count", labels))
        assert.near(1.4336e-05, prometheus.value(families, name .. "_sum", labels), 1e-12)
        assert.equal(6, prometheus.value(families, "vmm_access_bytes_total", {
            kind = "pio", address = "0x3f8", direction = "write", size = "1", device = "com1",
        }))
        assert.equal(12, prometheus.value(families, "vmm_kvm_vcpu_halt_wait_ns", { vcpu = "0" }))
        assert.is_nil(families.vmm_kvm_some_hist)
    end)

    it("escapes what a name has in it", function()
        local of = sample(1)
        of.vcpus[1].accesses[1].device = 'a"b\\c\nd'
        local families = prometheus.parse(metrics.prometheus(of))
        assert.equal(3, prometheus.value(families, "vmm_access_bytes_total",
            { device = 'a"b\\c\nd' }))
    end)

    it("has several VMs in each family", function()
        local both = { sample(1), sample(2, { vm = "two" }) }
        local families = prometheus.parse(metrics.prometheus(both))
        assert.equal(1, prometheus.value(families, "vmm_uptime_seconds", { vm = "one" }))
        assert.equal(2, prometheus.value(families, "vmm_uptime_seconds", { vm = "two" }))
        assert.equal(30 << 20, prometheus.value(families, "vmm_process_resident_bytes", {}))
    end)
end)

it("JSON has the whole table", function()
    assert.same(sample(3), json.decode(metrics.json(sample(3))))
end)

describe("a frame", function()
    local function line_of(text, pattern)
        for line in text:gmatch "[^\n]+" do
            if line:find(pattern) then return (line:gsub("%s+", " ")) end
        end
        error("no line " .. pattern .. " in\n" .. text)
    end

    it("tells what happened between two tables, by the second", function()
        local text = metrics.top(sample(3), sample(1))
        assert.equal("one: up 3.0 s, 1 vCPU, guest memory 256.0 MiB, resident 30.0 MiB",
            line_of(text, "^one"))
        assert.equal("console out 1.5k B/s, in 0 B/s; Lua handlers 5/s, 1.0 %",
            line_of(text, "^console"))
        assert.equal("0 3 50.0 50.0 0.0 4 1", line_of(text, "^0 "))
        assert.equal("pio_write 3 0.0 2.4 5.1 5.1", line_of(text, "^pio_write"))
        assert.equal("pio write 0x3f8/1 com1 3 0.0 2.4 5.1 5.1 3", line_of(text, "0x3f8"))
        assert.is_nil(text:find "halt")
    end)

    it("tells what happened since the start when there is one table", function()
        assert.equal("console out 1.5k B/s, in 0 B/s; Lua handlers 5/s, 1.0 %",
            line_of(metrics.top(sample(4)), "^console"))
    end)

    it("says how the VM ended, and that times are not measured", function()
        local text = metrics.top(sample(1, { stopped = { reason = "reboot" }, measuring = false }))
        assert.truthy(text:find(", ended: reboot\n", 1, true))
        assert.truthy(text:find("; times are not measured\n", 1, true))
    end)

    it("is bounded, whatever the guest accesses", function()
        local of = sample(1)
        for i = 1, 300 do
            of.vcpus[1].accesses[i] = {
                kind = "mmio", direction = "read", address = i << 12, size = 8, bytes = 8,
                device = ("\27[2J"):rep(40), handling = histogram { 1e-6, i },
            }
        end
        local text = metrics.top(of)
        local _, lines = text:gsub("\n", "")
        assert.is_true(lines < 40, lines)
        assert.truthy(text:find "and %d+ more")
        assert.is_nil(text:find "\27")
        for line in text:gmatch "[^\n]+" do
            assert.is_true(#line <= 100, line)
        end
    end)
end)
