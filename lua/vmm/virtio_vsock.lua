-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The option vsock: sockets between a guest and the host.

local core = require "vmm.core"
local virtio = require "vmm.virtio"

local virtio_vsock = {}

--- Adds the device to a machine: vm.vsock = { cid =, path =, device = }.
-- @return true; or nil, message, code
function virtio_vsock.add(vm, parts, options)
    local device, message, code = core.virtio_vsock {
        vm = vm, cid = options.cid, path = options.path,
    }
    if not device then return nil, message, code end
    vm.vsock = { cid = options.cid, path = options.path, device = device }
    return virtio.add(vm, parts, device)
end

return virtio_vsock
