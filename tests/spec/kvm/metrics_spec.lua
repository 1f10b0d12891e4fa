-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What tiny guests do, counted and timed: exactly that, by reason, address and vCPU.

local bare = require "tests.spec.support.bare"
local prometheus = require "tests.spec.support.prometheus"
local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

local WRITES = 100
-- mov dx, 0x500; mov cx, 100; 1: out dx, al; loop 1b; in ax, dx; hlt
local CODE = "\xba\x00\x05\xb9\x64\x00\xee\xe2\xfd\xed\xf4"
-- mov dx, 0x500; 1: out dx, al; jmp 1b
local ENDLESS = "\xba\x00\x05\xee\xeb\xfd"

local function make(code)
    local vm, vcpu = tiny.bare(code)
    assert(vm:attach(vmm.debug_port { name = "probe", value = 0x21 }, { pio = 0x500 }))
    return vm, vcpu
end

-- Lets things go on until fn() is true, ten seconds at the most.
local function await(what, fn)
    local deadline = vmm.now() + 10
    while not fn() do
        assert(vmm.now() < deadline, what)
        vmm.step(0.001)
    end
end

local function find(vcpu, direction, address)
    for _, access in ipairs(vcpu.accesses) do
        if access.direction == direction and access.address == address then return access end
    end
end

describe("a VM that measures", function()
    it("counts by reason and by address exactly what the guest did", function()
        local vm <close> = make(CODE)
        assert(vm:measure(true))
        assert.equal("halt", bare.run(vm).reason)
        local of = vm:metrics()
        local vcpu = of.vcpus[1]
        assert.same({ pio_write = WRITES, pio_read = 1, halt = 1 }, vcpu.exits)
        assert.equal(WRITES, vcpu.handling.pio_write.count)
        assert.equal(1, vcpu.handling.pio_read.count)
        assert.equal(2, #vcpu.accesses)
        local writes, reads = find(vcpu, "write", 0x500), find(vcpu, "read", 0x500)
        assert.same({ "pio", 1, WRITES, "probe", WRITES },
            { writes.kind, writes.size, writes.bytes, writes.device, writes.handling.count })
        assert.same({ "pio", 2, 2, "probe", 1 },
            { reads.kind, reads.size, reads.bytes, reads.device, reads.handling.count })
        assert.equal(0, vcpu.other_accesses.count)
        assert.equal(0x10000, of.memory_bytes)
        assert.equal("bare", of.vm)
    end)

    it("takes times that fit into the time that passed", function()
        local vm <close> = make(CODE)
        assert(vm:measure(true))
        bare.run(vm)
        local of = vm:metrics()
        local vcpu = of.vcpus[1]
        local handled = 0
        for _, histogram in pairs(vcpu.handling) do
            handled = handled + histogram.sum
            assert.is_true(histogram.max <= histogram.sum)
        end
        assert.is_true(handled > 0)
        assert.equal(WRITES + 2, vcpu.in_guest.count)
        assert.is_true(handled + vcpu.in_guest.sum <= of.uptime)
        assert.is_true(vcpu.cpu > 0)
    end)

    it("has as many durations in the buckets as it counts, their bounds ascending", function()
        local vm <close> = make(CODE)
        assert(vm:measure(true))
        bare.run(vm)
        local histogram = vm:metrics().vcpus[1].in_guest
        local count, bound = 0, 0
        for _, bucket in ipairs(histogram.buckets) do
            assert.is_true(bucket[1] > bound)
            bound, count = bucket[1], count + bucket[2]
        end
        assert.equal(histogram.count, count)
        assert.is_true(histogram.max <= bound)
    end)

    it("counts each vCPU on its own", function()
        local vm <close> = make(CODE:sub(1, -2) .. bare.SPIN)
        local second = assert(vm:create_vcpu(1))
        second.sregs = { cs = { base = 0, selector = 0 } }
        second.regs = { rip = 0x1009, rdx = 0x500, rflags = 2 } -- in ax, dx
        assert(vm:measure(true))
        assert(vm:start())
        await("both read", function()
            local vcpus = vm:metrics().vcpus
            return vcpus[1].exits.pio_read == 1 and vcpus[2].exits.pio_read == 1
        end)
        local vcpus = vm:metrics().vcpus
        assert.equal(WRITES, vcpus[1].exits.pio_write)
        assert.is_nil(vcpus[2].exits.pio_write)
        assert.equal(1, vcpus[2].id)
    end)

    it("bounds what it keeps of a guest that accesses ever more", function()
        -- mov dx, 0x1000; mov cx, 300; 1: out dx, al; inc dx; loop 1b; hlt
        local vm <close> = make "\xba\x00\x10\xb9\x2c\x01\xee\x42\xe2\xfc\xf4"
        assert(vm:measure(true))
        bare.run(vm)
        local vcpu = vm:metrics().vcpus[1]
        assert.equal(300, vcpu.exits.pio_write)
        assert.equal(256, #vcpu.accesses)
        assert.equal(0x1000 + 255, vcpu.accesses[256].address)
        assert.is_nil(vcpu.accesses[256].device)
        assert.equal(300 - 256, vcpu.other_accesses.count)
    end)

    it("tells the time of handlers in Lua", function()
        local vm <close> = tiny.bare(CODE)
        local calls = 0
        assert(vm:device { name = "lua", pio = { 0x500, 2 },
            write = function() calls = calls + 1 end,
            read = function() return 1 end,
        })
        assert(vm:measure(true))
        bare.run(vm)
        local handlers = vm:metrics().lua_handlers
        assert.equal(WRITES + 1, handlers.calls)
        assert.equal(WRITES, calls)
        assert.is_true(handlers.ran > 0)
        assert.equal("lua", find(vm:metrics().vcpus[1], "write", 0x500).device)
    end)

    it("tells of pauses and kicks", function()
        local vm <close> = make(ENDLESS)
        assert(vm:measure(true))
        assert(vm:start())
        for _ = 1, 3 do
            assert(vm:pause(10))
            vm:resume()
        end
        local vcpu = vm:metrics().vcpus[1]
        assert.same({ 3, 0 }, { vcpu.pauses, vcpu.kicks })
        local from = vcpu.exits.pio_write or 0
        await("the guest to go on", function()
            return (vm:metrics().vcpus[1].exits.pio_write or 0) > from
        end)
        assert(vm.first:nmi())
        await("the kick", function() return vm:metrics().vcpus[1].kicks == 1 end)
    end)

    it("gives KVM's own statistics of VM and vCPU", function()
        local vm <close> = make(CODE)
        assert(vm:measure(true))
        bare.run(vm)
        local of = vm:metrics()
        if not of.kvm then pending "this KVM has no statistics" end
        assert.equal("integer", math.type(of.kvm.remote_tlb_flush))
        assert.is_true(of.vcpus[1].kvm.exits >= WRITES)
        assert.equal(32, #of.vcpus[1].kvm.halt_wait_hist)
    end)
end)

describe("a VM that does not measure", function()
    it("counts exits, and takes no times", function()
        local vm <close> = make(CODE)
        bare.run(vm)
        local of = vm:metrics()
        assert.is_false(of.measuring)
        assert.equal(WRITES, of.vcpus[1].exits.pio_write)
        assert.same({}, of.vcpus[1].handling)
        assert.equal(0, #of.vcpus[1].accesses)
        assert.equal(0, of.vcpus[1].in_guest.count)
        assert.equal(0, of.lua_handlers.calls)
    end)

    it("begins to while it runs, and ends it", function()
        local vm <close> = make(ENDLESS)
        local function writes()
            local vcpu = vm:metrics().vcpus[1]
            return vcpu.exits.pio_write or 0, (vcpu.handling.pio_write or { count = 0 }).count
        end
        assert(vm:start())
        await("writes", function() return writes() > 0 end)
        assert(vm:measure(true))
        await("measured writes", function() return select(2, writes()) > 10 end)
        assert(vm:measure(false))
        local from = writes()
        -- One exit may be on its way through.
        await("a write", function() return writes() > from + 1 end)
        local exits, measured = writes()
        await("more writes", function() return writes() > exits + 100 end)
        assert.equal(measured, select(2, writes()))
        assert.is_true(measured < writes())
    end)

    it("opens KVM's statistics of a vCPU when it begins to while it runs", function()
        local vm <close> = make(ENDLESS)
        assert(vm:start())
        if not vm:metrics().kvm then pending "this KVM has no statistics" end
        assert.is_nil(vm:metrics().vcpus[1].kvm)
        assert(vm:measure(true))
        await("statistics", function() return vm:metrics().vcpus[1].kvm end)
    end)
end)

it("metrics of a guest with a console tell its bytes, and Prometheus reads them", function()
    local vm <close> = tiny.start("hello")
    assert(vm:measure(true))
    assert(vm:wait { timeout = 20 })
    local of = vm:metrics()
    assert.equal(#vm.console:output(), of.console.output_bytes)
    local families = prometheus.parse(vmm.metrics.prometheus(of))
    assert.equal(of.console.output_bytes,
        prometheus.value(families, "vmm_console_bytes_total", { direction = "output" }))
end)

it("metrics of a closed VM raise", function()
    local vm = make(CODE)
    vm:close()
    assert.error_matches(function() vm:metrics() end, "the VM is closed")
    assert.error_matches(function() vm:measure(true) end, "the VM is closed")
end)

it("metrics that cannot be written for once are written the next time", function()
    local file, path = require "vmm.file", os.tmpname()
    local write, failed = file.write, 0
    finally(function()
        file.write = write
        os.remove(path)
    end)
    local vm <close> = assert(vmm.vm {
        memory = { size_mib = 16 },
        kernel = { path = tiny.path("spin", "bin"), flow = "flat" },
        metrics = { path = path, every = 0.1 },
    })
    function file.write(...)
        failed = failed + 1
        if failed > 2 then return write(...) end
        return nil, "cannot write: No space left on device", "EIO"
    end
    assert(vm:start())
    local function read()
        local handle <close> = assert(io.open(path))
        return assert(vmm.json.decode(handle:read "a"))
    end
    local time = read().time
    await("a turn", function() return read().time ~= time end)
    assert.is_true(failed > 2)
end)

it("a forgotten VM with a metrics file is collected, which writes the last of it", function()
    local path = os.tmpname()
    local weak = setmetatable({}, { __mode = "v" })
    local kept = { assert(vmm.vm {
        memory = { size_mib = 16 },
        kernel = { path = tiny.path("spin", "bin"), flow = "flat" },
        metrics = { path = path, every = 0.1 },
    }) }
    weak.vm = kept[1]
    assert(kept[1]:start())
    local function read()
        local file <close> = assert(io.open(path))
        return assert(vmm.json.decode(file:read "a"))
    end
    for _ = 1, 2 do
        local time = read().time
        await("a turn", function() return read().time ~= time end)
    end
    kept[1] = nil
    local deadline = vmm.now() + 10
    repeat
        assert(vmm.now() < deadline, "it is still there")
        collectgarbage()
    until not weak.vm
    assert.equal("closed", read().stopped.reason)
    os.remove(path)
end)
