---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Sockets between a guest and the host.

---@class vmm
local vmm = {}

---@class vmm.config
---@field vsock? { cid?: integer, path: string }  cid: the guest's (3); path: a unix socket, see vmm.virtio_vsock

---A socket device (virtio 1.2, section 5.10) for stream sockets. It listens at path: whoever connects,
---writes "CONNECT <port>\n" and gets "OK <port>\n" talks to the program that listens on the port in the
---guest. Connections of the guest to CID 2 go to the unix socket "<path>_<port>". cid: 3 to 2^32 - 2 (3).
---Code "EADDRINUSE" when something else is at path.
---@param options { vm: vmm.vm, cid?: integer, path: string }
---@return vmm.virtio? device, string? message, string? code
function vmm.virtio_vsock(options) end

---@class vmm.virtio
local virtio = {}
---Of a socket device: closes all connections and tells the guest's driver so.
---@return true
function virtio:reset_connections() end

---@class vmm.vm
---@field vsock? { cid: integer, path: string, device: vmm.virtio }  of a machine that has the option
local vm = {}
---Connects to a program in the guest; waits until the guest has a driver. Code "ECONNREFUSED" when
---nobody listens on the port, "timeout". Raises when the machine has no vsock device.
---@param port integer
---@param options? { timeout?: number }
---@return vmm.socket? socket, string? message, string? code
function vm:vsock_connect(port, options) end
---Listens for the guest's connections to CID 2 (the host) and a port.
---@param port integer
---@return vmm.socket? listener, string? message, string? code
function vm:vsock_listen(port) end
