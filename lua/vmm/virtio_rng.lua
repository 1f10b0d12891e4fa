-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The entropy device of a machine: the option rng.

local core = require "vmm.core"
local virtio = require "vmm.virtio"

local rng = {}

--- Adds an entropy device to a machine that is being built.
-- @param options  { rate = bytes a second, 0: no limit }
-- @return true; or nil, message, code
function rng.add(vm, parts, options)
    local device, message, code = core.virtio_rng { vm = vm, rate = options.rate }
    if not device then return nil, message, code end
    return virtio.add(vm, parts, device)
end

return rng
