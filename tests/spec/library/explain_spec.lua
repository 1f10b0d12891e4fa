-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What errors say of the VM that they are about.

local explain = require "vmm.scenario.explain"
local fake_vm = require "tests.spec.support.fake_vm"

-- A VM that runs, whose vCPUs are at these addresses.
local function at(...)
    local vm = fake_vm.new(select("#", ...))
    for i, vcpu in ipairs(vm.vcpus) do
        vcpu.state = "paused"
        vcpu.sregs.cs.dpl, vcpu.sregs.cs.base = 0, 0
        vcpu.regs.rip = select(i, ...)
        vcpu.state = "running"
    end
    function vm.load_symbols() return nil end
    return vm
end

local function with_symbols(vm)
    vm.symbols = {}
    function vm.symbolize(_, address)
        if address < 0x1000 then return nil, "no symbol", "ENOENT" end
        return ("function+0x%x"):format(address - 0x1000)
    end
    return vm
end

local SILENT = "last lines:\n(the console is silent)"

describe("A VM's state in words", function()
    it("says where its vCPUs are, together those that are at the same place", function()
        assert.equal("the VM is running; vCPUs 1, 3 at 0x2000; vCPU 2 at 0x3000; " .. SILENT,
            explain.state(at(0x2000, 0x3000, 0x2000)))
    end)

    it("names the functions that they are in, where symbols are known", function()
        assert.equal("the VM is running; vCPU 1 at function+0x10; vCPU 2 at 0x10; " .. SILENT,
            explain.state(with_symbols(at(0x1010, 0x10))))
    end)

    it("does not name what a process does", function()
        local vm = with_symbols(at(0x1010))
        vm:pause()
        vm.vcpus[1].sregs.cs.dpl = 3
        assert.equal("the VM is paused; vCPU 1 at user 0x1010; " .. SILENT, explain.state(vm))
    end)

    it("pauses a VM for a moment, and leaves alone one that is paused", function()
        local vm = at(0x2000)
        explain.state(vm)
        assert.same({ "pause", "resume" }, vm.calls)
        assert.equal("running", vm.vcpus[1].state)
        vm:pause()
        explain.state(vm)
        assert.same({ "pause", "resume", "pause" }, vm.calls)
    end)

    it("says which vCPUs do not stop, and withdraws the request", function()
        local vm = at(0x2000, 0x3000)
        function vm.pause()
            vm.vcpus[1].state = "paused"
            return nil, "the vCPUs did not pause", "ETIMEDOUT"
        end
        assert.equal("the VM is running; vCPU 1 at 0x2000; vCPU 2 does not stop; " .. SILENT,
            explain.state(vm))
        assert.same({ "resume" }, vm.calls)
    end)

    it("has what vCPUs have exited for since a mark, the most first", function()
        local vm = at(0x2000)
        local counts = { pio_write = 10, hlt = 3, mmio_read = 1 }
        function vm.exit_counts()
            local copy = {}
            for reason, count in pairs(counts) do copy[reason] = count end
            return copy
        end
        local mark = explain.mark(vm)
        assert.is_truthy(explain.state(vm, mark):find("; exits meanwhile: none; ", 1, true))
        counts.hlt, counts.pio_write, counts.pio_read = 300, 17, 7
        assert.is_truthy(explain.state(vm, mark)
            :find("; exits meanwhile: 297 hlt, 7 pio_read, 7 pio_write; ", 1, true))
    end)

    it("is there for one that has ended or is closed", function()
        local vm = at(0x2000)
        vm.end_of_it = { reason = "triple_fault", text = "vCPU 1" }
        vm.vcpus[1].state = "finished"
        assert.equal("the VM is ended: triple_fault (vCPU 1); vCPU 1 at 0x2000; " .. SILENT,
            explain.state(vm))
        vm.closed = true
        assert.equal("the VM is closed; " .. SILENT, explain.state(vm, explain.mark(vm)))
    end)

    it("is there whatever can't be had", function()
        local vm = at(0x2000)
        function vm.pause() error "no" end
        local ok, text = pcall(explain.state, vm)
        assert.is_true(ok, text)
        vm = at(0x2000)
        function vm.symbolize() error "no" end
        vm.symbols = {}
        assert.equal("the VM is running; vCPU 1 at 0x2000; " .. SILENT, explain.state(vm))
    end)
end)

describe("The calls that vCPUs are in", function()
    it("are told of those whose stack can be followed", function()
        assert.equal("vCPU 1:  do_one+0x1/0x20",
            explain.backtrace(with_symbols(at(0x2000, 0x3000))))
    end)

    it("are nil where there are none, or no symbols", function()
        assert.is_nil(explain.backtrace(at(0x2000)))
        local vm = with_symbols(at(0x2000))
        function vm.backtrace() error "no" end
        assert.is_nil(explain.backtrace(vm))
        vm.closed = true
        assert.is_nil(explain.backtrace(vm))
    end)
end)

describe("The calls that a process is in", function()
    it("are told of the one that has the number", function()
        local vm = with_symbols(at(0x2000))
        local tasks = { { pid = 1 }, { pid = 7 } }
        function vm.tasks() return tasks end
        function vm.backtrace(_, task) return task == tasks[2] and "Call Trace:\n schedule" end
        assert.equal("task 7: Call Trace:\n schedule", explain.task_backtrace(vm, 7))
        assert.is_nil(explain.task_backtrace(vm, 1))
        assert.is_nil(explain.task_backtrace(vm, 8))
    end)
end)

describe("A line of a kernel without symbols", function()
    local function symbolized(line)
        return explain.symbolize(line, function(address)
            return address == 0xffffffff81000010 and "function+0x10" or nil
        end)
    end

    it("gets names beside its addresses", function()
        assert.equal(" 0xffffffff81000010 (function+0x10)", symbolized " 0xffffffff81000010")
        assert.equal("RIP: 0010:0xffffffff81000010 (function+0x10)",
            symbolized "RIP: 0010:0xffffffff81000010")
    end)

    it("stays as it is when it has names, or no address that has one", function()
        for _, line in ipairs { " panic+0x118/0x2ed", " 0xffffffff81000011", "0x1234",
            " 0xffffffff8100001000000000000000" } do
            assert.equal(line, symbolized(line))
        end
    end)

    it("is asked about so many addresses only", function()
        local vm, asked = at(0x2000), 0
        vm.symbols = {}
        function vm.symbolize()
            asked = asked + 1
            return "x"
        end
        local name_of = explain.namer(vm)
        for _ = 1, 1000 do name_of(1) end
        assert.equal(64, asked)
    end)
end)
