-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Boots the tiny guests of tests/guest for specs.

local vmm = require "vmm"

local tiny = {}

local DIRECTORY = ".build/guest/"

-- The path of a guest: tiny.path("hello", "elf").
function tiny.path(name, form)
    return DIRECTORY .. name .. "." .. (form or "elf")
end

-- A started VM that runs a tiny guest. options: form ("elf", "bin", "bzimage"), kernel (more
-- kernel parameters), and anything that vmm.vm takes.
function tiny.start(name, options)
    local config = { console = "capture", memory = { size_mib = 16 } }
    local kernel = { path = tiny.path(name, options and options.form) }
    for key, value in pairs(options or {}) do
        if key == "kernel" then
            for k, v in pairs(value) do
                kernel[k] = v
            end
        elseif key ~= "form" then
            config[key] = value
        end
    end
    config.kernel = kernel
    local vm = assert(vmm.vm(config))
    assert(vm:start())
    return vm
end

-- Runs a tiny guest to its end: how it ended, and what it printed.
function tiny.run(name, options)
    local vm <close> = tiny.start(name, options)
    local stop = assert(vm:wait { timeout = 20 })
    return stop, (vm.console:output():gsub("\r", ""))
end

-- A PC, started, whose only vCPU (or as many as vcpus says) spins, with interrupts off; the first.
function tiny.spinning(vcpus)
    local vm = tiny.start("spin", { vcpus = { num = vcpus or 1 } })
    return vm, vm.vcpus[1]
end

-- A VM without devices whose vCPU is about to run code at 0x1000 in real mode, for run_once.
-- kvm: a new one.
function tiny.bare(code, kvm)
    kvm = kvm or assert(vmm.kvm())
    local vm = assert(kvm:create_vm { name = "bare" })
    local memory = assert(vmm.memory { ranges = { { 0, 0x10000 } } })
    assert(vm:map(memory))
    assert(memory:write(0x1000, code))
    local vcpu = assert(vm:create_vcpu(0))
    vcpu.sregs = { cs = { base = 0, selector = 0 } }
    vcpu.regs = { rip = 0x1000, rflags = 2 }
    vm.memory, vm.first = memory, vcpu
    return vm, vcpu
end

return tiny
