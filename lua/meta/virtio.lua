---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Virtio devices, apart from their transport.

---@class vmm
local vmm = {}

---@class vmm.config
---@field rng? { rate?: integer }  an entropy device; bytes a second, 0: no limit (0)
---@field transport? "mmio"|"pci"  how virtio devices are connected ("mmio")

---A virtio device without a transport. The VM closes it.
---@class vmm.virtio
---@field name string
---@field queues integer  how many it has
local virtio = {}
---4-byte writes of a queue's number to that address notify it, and stop no vCPU (KVM_IOEVENTFD).
---@param address integer
---@return true? ok, string? message, string? code
function virtio:notify_at(address) end

---An entropy device (virtio 1.2, section 5.4). rate: bytes a second at the most, 0: no limit.
---@param options { vm: vmm.vm, rate?: integer }
---@return vmm.virtio? device, string? message, string? code
function vmm.virtio_rng(options) end
---The transport virtio-mmio, version 2: a device for vm:attach, with one region of memory. gsi: its
---interrupt, edge-triggered.
---@param options { virtio: vmm.virtio, gsi: integer }
---@return vmm.device? device, string? message, string? code
function vmm.virtio_mmio(options) end
