-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Boot flows by name, or chosen by the image.

local features = require "vmm.features"

local boot = {}

boot.flows = {
    flat = require "vmm.boot.flat",
}

-- What each flow needs to be built in.
local NEEDS = { linux64 = { "elf" }, pvh = { "elf" } }

for name, needs in pairs(NEEDS) do
    if not features.lacking(needs) then
        boot.flows[name] = require("vmm.boot." .. name)
    end
end

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
    if not flow and NEEDS[name] then
        return nil, ("flow %s: %s"):format(name, features.lacking(NEEDS[name])), "ENOTSUP"
    end
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
