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
---@field bandwidth? integer  bytes a second at the most, of all queues; 0: no limit (0)
---@field iops? integer       requests a second at the most; 0: no limit (0)
---@field burst? number       how many seconds' worth of both may come at once, after a rest; 0 to 3600 (1)

---@class vmm.config
---@field block? (vmm.config.block|vmm.block)[]  the guest's /dev/vda, /dev/vdb and so on

---@class vmm.vm
---@field disks? vmm.disk[]  in the order of the option `block`

---A disk of a machine. One that a daemon serves has path, readonly and nothing of what follows.
---@class vmm.disk: vmm.virtio
---@field path? string
---@field readonly boolean
---@field vm vmm.vm
local disk = {}

---How many bytes the guest sees.
---@return integer
function disk:size() end

---Makes the file so long, and tells the guest.  What is cut off is lost; the guest's file system has
---to be made smaller before, and is made larger by the guest.  Without bytes: the file, or the block
---device, may have another length than before: look.  Of a disk made of functions, only the size that
---the guest sees is changed.
---@param bytes? integer  a multiple of 512 (of the host's block size, where that is larger)
---@return integer? bytes  what the guest sees now
---@return string? message
---@return string? code  EINVAL, EROFS, ENOTSUP: a block device has the size it has
function disk:resize(bytes) end

---What carries requests out.
---@return "io_uring"|"threads"|"backend"
function disk:engine() end

---Changes limits, also while the guest waits for them; those that are not named stay as they are.
---They count the bytes that are read, written and made zero, and all requests.  A request is never
---divided: one that is larger than what is left is done, and what follows waits the longer.
---@param limits? { bandwidth?: integer, iops?: integer, burst?: number }  as in vmm.config.block
---@return { bandwidth: integer, iops: integer, burst: number }  what they are now
function disk:limit(limits) end

---@alias vmm.block.op "read"|"write"|"flush"|"discard"|"write_zeroes"
---@alias vmm.block.status "ioerr"|"unsupp"  the guest gets EIO or EOPNOTSUPP

---Which requests a fault hits, and what becomes of them; without status and delay_ms it only counts.
---@class vmm.fault.rule
---@field op? vmm.block.op|vmm.block.op[]  (all)
---@field sector? integer[]|integer  { first, last }, sectors of 512 bytes: what touches one of them. Flushes have none (all)
---@field nth? integer       the first of those that it hits, from 1 (1)
---@field times? integer     how many it hits from there on (1 with nth, else all)
---@field status? vmm.block.status  the request is not carried out, and answered so
---@field delay_ms? number   it is carried out, or refused, that much later; others overtake it

---What a guest asks of a disk is refused, or answered late, until the fault is removed. It sits in
---front of whatever the disk is made of. Of several faults the oldest one that has a status decides
---that, the longest delay counts. A read-only disk flushes nothing.
---
---A function is called for each request, on the script's thread while it waits; no vCPU waits for it.
---For a discard and the like it is given the first range, for a flush 0 and 0. It returns nil: nothing
---happens. An error in it is one of a callback, and lets the request pass.
---@param what vmm.fault.rule|fun(op: vmm.block.op, sector: integer, sectors: integer): { status?: vmm.block.status, delay_ms?: number }?
---@return vmm.fault? fault, string? message, string? code
function disk:fault(what) end

---A fault of a disk; also by <close>.
---@class vmm.fault
---@field matches integer  requests of its operations and sectors; those that its function was asked about
---@field hits integer     those that it has refused or delayed, or, with neither, counted
---@field removed boolean
local fault = {}
---Idempotent.  What its rule has delayed goes on at once.
function fault:remove() end

---A disk whose contents are what functions make of them, for the option `block`:
---
---    vmm.vm { block = { vmm.block { size = 1 << 30, read = function(offset, length) ... end } } }
---
---They are called on the script's thread, each in a task of its own: they may wait (vmm.sleep), and
---then others run meanwhile. A request is 4 MiB at the most, and all of those under way 16 MiB. A
---guest that resets the device does not wait for them: what is late is forgotten. An error in one is
---an I/O error for the guest and, as one of a callback, for the script. A guest that has not
---negotiated flushes has its writes followed by one.
---@class vmm.block.options
---@field read fun(offset: integer, length: integer): string?, string?  all length bytes; or nil and an errno's name
---@field write? fun(offset: integer, bytes: string): ...  returns nothing; or nil and an errno's name. "ENOTSUP" is EOPNOTSUPP for the guest, all others EIO
---@field flush? fun(): ...  what has been written is to be on stable storage when it returns
---@field discard? fun(offset: integer, length: integer): ...       not offered without it
---@field write_zeroes? fun(offset: integer, length: integer): ...  not offered without it
---@field size integer       bytes, a multiple of 512
---@field readonly? boolean  (true without write)
---@field serial? string     as in vmm.config.block, like what follows
---@field queues? integer
---@field bandwidth? integer
---@field iops? integer
---@field burst? number

---@class vmm.block
local block = {}

---@param options vmm.block.options
---@return vmm.block
function vmm.block(options) end

---A disk for a VM of one's own making, to be given a transport.  Options as in `vmm.config.block`, or
---`backend` instead of path and what belongs to it.
---@param options { vm: vmm.vm, path?: string, backend?: vmm.block }
---@return vmm.disk?
---@return string? message
---@return string? code  ENOENT, EACCES, EBUSY, EINVAL, ...
function vmm.virtio_block(options) end
