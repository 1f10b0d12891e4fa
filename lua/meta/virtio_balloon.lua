---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The memory balloon: what a guest gives back to the host.

---@class vmm
local vmm = {}

---Not with memory of huge pages.
---@class vmm.config.balloon
---@field mib? integer              to be in it at first (0)
---@field deflate_on_oom? boolean   the guest may take memory back before it kills (true)
---@field reporting? boolean        memory that is free in the guest leaves the host's, too (true)

---@class vmm.config
---@field balloon? vmm.config.balloon

---@class vmm.vm
---@field balloon? vmm.balloon  of vmm.vm with one

---@class vmm.balloon
local balloon = {}
---How many MiB are to be in it.  The guest works towards that: actual, wait.
---@param mib integer
---@return true? ok, string? message, string? code  "EINVAL": more than the VM has; "closed"
function balloon:set(mib) end
---How many MiB are in it, as the guest says.
---@return number? mib, string? message, string? code
function balloon:actual() end
---Waits until so many MiB are in it.
---@param mib number
---@param options? { timeout?: number }  no limit; times VMM_TIMEOUT_SCALE
---@return number? mib, string? message, string? code  "timeout", "closed"
function balloon:wait(mib, options) end
---Asks the guest how its memory is: bytes, and numbers of faults and huge pages.  A guest need not tell
---all.
---@param options? { timeout?: number }  10 s, times VMM_TIMEOUT_SCALE
---@return { free?: integer, total?: integer, available?: integer, disk_caches?: integer, swap_in?: integer, swap_out?: integer, major_faults?: integer, minor_faults?: integer, hugetlb_allocations?: integer, hugetlb_failures?: integer }? stats, string? message, string? code
function balloon:stats(options) end

---The device (virtio 1.2, section 5.5), for vmm.virtio_mmio; pages of 4 KiB.  on_change: the size has
---changed, or statistics have come.
---@param options { vm: vmm.vm, pages?: integer, deflate_on_oom?: boolean, reporting?: boolean, on_change?: fun() }
---@return vmm.virtio? device, string? message, string? code  "ENOTSUP": huge pages
function vmm.virtio_balloon(options) end
---@param device vmm.virtio
---@param pages integer
---@return true
function vmm.virtio_balloon_set(device, pages) end
---@param device vmm.virtio
---@return integer pages
function vmm.virtio_balloon_actual(device) end
---@param device vmm.virtio
---@return true? ok, string? message, string? code  "EAGAIN": no driver, or it has been asked already
function vmm.virtio_balloon_ask(device) end
---@param device vmm.virtio
---@return integer count, table<string, integer> stats  how often it has told, and what it did last
function vmm.virtio_balloon_stats(device) end
