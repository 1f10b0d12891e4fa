---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- PCI: the host bridge, and virtio devices on its bus.

---@class vmm
local vmm = {}

---A PCI host bridge with bus 0: a device for vm:attach with two regions, the ports 0xcf8 to 0xcff (0)
---and the memory-mapped configuration space, 1 MiB (1). A BAR is decoded only within one of the
---windows, and where nothing else is. gsis: the legacy interrupts, level-triggered; slot n has number
---n % #gsis of them.
---@param options { vm: vmm.vm, windows: integer[][], gsis: integer[] }
---@return vmm.device? device, string? message, string? code
function vmm.pci_host(options) end
---The transport virtio-pci: puts a device into a slot (1 to 31) of a bridge, with a BAR of 32 KiB.
---bar: where firmware would have put it (0: nowhere). gsi: the first of virtio.queues + 1 GSIs, from
---24 on, for its messages. irq: what its interrupt line register says (0). "EBUSY": the slot or a GSI
---is taken.
---@param options { virtio: vmm.virtio, host: vmm.device, slot: integer, bar?: integer, gsi: integer, irq?: integer }
---@return true? ok, string? message, string? code
function vmm.virtio_pci(options) end
