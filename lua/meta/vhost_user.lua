---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Devices that a daemon serves (vhost-user): folders, and disks whose image is not raw.

---@class vmm
local vmm = {}

---A folder of the host that the guest mounts: mount -t virtiofs TAG /mnt.  One of path and socket.
---@class vmm.config.share
---@field tag string         1 to 36 bytes
---@field path? string       the folder; virtiofsd is started for it, and ended with the VM
---@field readonly? boolean  of path: it is mounted read-only for the daemon (false)
---@field sandbox? "namespace"|"chroot"|"none"  of path: how virtiofsd is locked in
---@field socket? string     of a daemon (vhost-user-fs) that runs already

---@class vmm.config
---@field share? vmm.config.share[]  guest memory is shared with the daemons

---@class vmm.vm
---@field shares? { tag: string, path?: string, readonly: boolean, virtio: vmm.virtio }[]

---A disk or a file system of a daemon, which serves the rings of the guest, and has all of its
---memory, which must be shared: one that listens at socket, or one that argv starts. That has as file
---3 a socket to accept a connection on; what it writes to stdout and stderr is kept (64 KiB), and the
---last line of it is in the message when it ends; it is ended (SIGTERM, SIGKILL after 10 seconds) when
---the VM is closed. name: for messages; tag: of a file system; queues: for requests (1).
---Each answer has deadline seconds (5). A daemon that dies, hangs, or answers nonsense has failed for good: the
---driver is told that the device needs a reset, and on_failure is called on the script's thread.
---Code "ETIMEDOUT", "ECONNRESET", "EPROTO", "ENOTSUP" (it lacks what is needed), "EINVAL".
---@param options { vm: vmm.vm, device: "block"|"fs", name?: string, tag?: string, queues?: integer, argv?: string[], socket?: string, deadline?: number, on_failure: fun() }
---@return vmm.virtio? device, string? message, string? code
function vmm.vhost_user(options) end
---Why a daemon has failed; nil when it has not.
---@param virtio vmm.virtio
---@return string? message, string? code
function vmm.vhost_user_failure(virtio) end
