-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A raw image: copied to an address and entered there in 16, 32 or 64-bit mode.

local cpu_mode = require "vmm.boot.cpu_mode"
local failure = require "vmm.boot.failure"
local plan = require "vmm.boot.plan"

local flat = {}

local function enter_real(new, entry)
    if entry > 0xfffff or (entry > 0xffff and entry % 16 ~= 0) then
        local format = "entry 0x%x: in 16-bit mode must be below 0x10000, or a multiple of "
            .. "16 below 0x100000"
        failure.raise("EINVAL", format, entry)
    end
    cpu_mode.real(new, entry)
end

local ENTER = {
    [16] = enter_real,
    [32] = cpu_mode.protected,
    [64] = function(new, entry)
        cpu_mode.long(new, entry, entry)
    end,
}

-- options:
--   mem, load   guest memory; the loaders (vmm.load)
--   image       what to copy, whatever it is
--   address     where to (0x100000; 0x7c00 in 16-bit mode)
--   mode        16, 32 or 64 (64)
--   entry       the address of its first instruction (address)
-- Returns a plan or nil, message, code.
flat.load = failure.catch(function(options)
    local mode = options.mode or 64
    local enter = ENTER[mode]
    if not enter then
        failure.raise("EINVAL", "mode %s: must be 16, 32 or 64", tostring(mode))
    end
    local address = options.address or (mode == 16 and 0x7c00 or 0x100000)
    local new = plan.new("flat", options)
    failure.check(options.load.raw(options.mem, options.image, address))
    new:note("image", address, options.image.size)
    enter(new, options.entry or address)
    return new
end)

return flat
