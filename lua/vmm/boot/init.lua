-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Boot flows by name, or chosen by the image.

local boot = {}

boot.flows = {
    linux64 = require "vmm.boot.linux64",
    pvh = require "vmm.boot.pvh",
    flat = require "vmm.boot.flat",
}

local BY_KIND = { elf = "linux64", bzimage = "linux64" }

-- Loads options.image by options.flow ("linux64", "pvh", "flat"; nil: by the image's kind);
-- all other options are the flow's. Returns a plan (vmm.boot.plan) or nil, message, code.
function boot.load(options)
    local image = options.image
    local name = options.flow or BY_KIND[image.kind]
    if not name then
        local format = "%s: neither an ELF file nor a bzImage; for raw code choose flow=flat"
        return nil, format:format(image.name), "ENOEXEC"
    end
    local flow = boot.flows[name]
    if not flow then
        return nil, ("flow %s: must be linux64, pvh or flat"):format(name), "EINVAL"
    end
    return flow.load(options)
end

-- Gives the first vCPU the state that the plan asks for.
function boot.apply(plan, vcpu)
    vcpu.sregs = plan.sregs
    vcpu.regs = plan.regs
end

return boot
