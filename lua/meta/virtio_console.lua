---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The virtio console: hvc0 and named ports, each with a console of its own.

---@class vmm
local vmm = {}

---@class vmm.config
---@field virtio_console? vmm.config.virtio_console

---A port without a place is captured.  A guest that prints to hvc0 spins until it is taken: a sink
---that does not move holds it up for a second, then what it prints is dropped until there is room.
---A named port waits for its sink without limit, and gets input once the guest has opened it.
---@class vmm.config.virtio_console
---@field to? vmm.place     of hvc0 ("capture")
---@field ports? (string | { name: string, to?: vmm.place })[]  up to 30; letters, digits and . _ -
---@field cols? integer     of hvc0; the terminal's, when that is its place
---@field rows? integer

---@class vmm.vm
---@field hvc? vmm.console                  of vmm.vm with a virtio console: its hvc0
---@field ports? table<string, vmm.console> its named ports, /dev/virtio-ports/NAME in the guest

---@class vmm.console
local console = {}
---Tells the guest the size of its terminal: of vm.hvc; others answer "ENOTSUP".
---@param cols integer
---@param rows integer
---@return true? ok, string? message, string? code
function console:resize(cols, rows) end

---The device (virtio 1.2, section 5.3), for vmm.virtio_mmio. The first port is hvc0. A console has
---one device.  cols, rows: 0, not known.
---@param options { vm: vmm.vm, ports: { console: vmm.console.core, name?: string }[], cols?: integer, rows?: integer }
---@return vmm.virtio? device, string? message, string? code
function vmm.virtio_console(options) end
---@param device vmm.virtio  a virtio console
---@param cols integer
---@param rows integer
---@return true
function vmm.virtio_console_resize(device, cols, rows) end
