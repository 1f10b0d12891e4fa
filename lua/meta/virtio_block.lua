---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Disks.

---A disk is a file or a block device, byte by byte: no image format is ever looked for.  While the
---machine lives the file is locked: one writer, or any number of readers (EBUSY).
---With another format than raw, qemu-storage-daemon serves the disk, as vmm.vhost_user says: it reads
---and writes the format that is given, and files that the image names (a backing file) with it.
---One of path and socket.
---@class vmm.config.block
---@field path? string       a size that is no multiple of 512 bytes is refused
---@field readonly? boolean  (false)
---@field serial? string     up to 20 bytes; the guest's /sys/block/vda/serial
---@field direct? boolean    O_DIRECT, past the host's page cache (false)
---@field queues? integer    1 to 16 (1)
---@field io_uring? boolean  false: threads, also where the host has io_uring (true)
---@field format? "raw"|"qcow2"|"vmdk"|"vdi"|"vhdx"|"vpc"  ("raw"); serial and io_uring are of raw
---@field socket? string     of a daemon (vhost-user-blk) that runs already

---@class vmm.config
---@field block? vmm.config.block[]  the guest's /dev/vda, /dev/vdb and so on

---@class vmm.vm
---@field disks? vmm.disk[]  in the order of the option `block`

---A disk of a machine. One that a daemon serves has path, readonly and nothing of what follows.
---@class vmm.disk: vmm.virtio
---@field path string
---@field readonly boolean
local disk = {}

---How many bytes the guest sees.
---@return integer
function disk:size() end

---Makes the file so long, and tells the guest.  What is cut off is lost; the guest's file system has
---to be made smaller before, and is made larger by the guest.  Without bytes: the file, or the block
---device, may have another length than before: look.
---@param bytes? integer  a multiple of 512 (of the host's block size, where that is larger)
---@return integer? bytes  what the guest sees now
---@return string? message
---@return string? code  EINVAL, EROFS, ENOTSUP: a block device has the size it has
function disk:resize(bytes) end

---What carries requests out.
---@return "io_uring"|"threads"
function disk:engine() end

---A disk for a VM of one's own making, to be given a transport.  Options as in `vmm.config.block`.
---@param options { vm: vmm.vm, path: string }
---@return vmm.disk?
---@return string? message
---@return string? code  ENOENT, EACCES, EBUSY, EINVAL, ...
function vmm.virtio_block(options) end
