---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What VMs boot: vmm.guest.

---@class vmm
local vmm = {}

---A guest by name, by recipe, or by its kernel alone ("linux-image-6.1.0-50-amd64", "~/linux"):
---for the option guest of vmm.scenario.vm.  Nothing is made before it is prepared.  Names:
---  "debian-cloud"  Debian's cloud kernel with a busybox initramfs
---  "debian"        its kernel for PCs with the same
---  "debian-disk"   a disk with Debian and systemd, root's password is "root"
---  "host-root"     the host's own files as the root, which are only read
---A mistake in a recipe raises.
---@overload fun(given: string|vmm.recipe|vmm.guest): vmm.guest
vmm.guest = {}

---The guest with the kernel of the test run (`vmm-reference test --kernel path=...`, which is in
---VMM_TEST_KERNEL), or with Debian's cloud kernel.
---@return vmm.guest
function vmm.guest.default() end

---kernel is one of
---  "debian-cloud", "debian"            the newest that Debian has
---  "linux-image-...[=VERSION]"         any of its packages; fetched once, never installed
---  a path                              a bzImage, an ELF vmlinux, or the tree that it was built in
---Modules are those of the package, of the build tree as far as they were built (modules_install is
---not needed), or of lib/modules/RELEASE beside the folder of the kernel.  Drivers of the devices
---that a VM has are loaded when it boots, those of the recipe always.  What the guest writes is in
---its memory, on whatever root.
---@class vmm.recipe
---@field name? string         for messages
---@field kernel? string       that of the test run, else "debian-cloud"
---@field modules? string[]    loaded at boot, with what they need
---@field files? table<string, string|{ host: string, mode?: integer }>  paths in the guest
---@field programs? string[]   of the host, by name or path, with the libraries that they need
---@field run? string          shell text: run before the prompt, by systemd as a unit
---@field root? "initramfs"|"debian"|"host"|vmm.recipe.root  "initramfs"
---@field cmdline? string      words to add
---@field memory_mib? integer
---@field prompt? string       Lua pattern, by which a console shows that it is ready
---@field login? { user: string, password?: string }
---@field symbols? string      a vmlinux or System.map; of a build tree its vmlinux

---One of debian, disk and folder.
---@class vmm.recipe.root
---@field debian? string      suite: a disk made by mmdebstrap, as root or by user namespaces
---@field packages? string[]  of debian, beside its essential ones, systemd and iproute2
---@field size_mib? integer   of debian (1024); the file has no more than is used
---@field password? string    of debian: root's ("root")
---@field mirror? string      of debian, as mmdebstrap takes it
---@field full? boolean       of debian: units and generators as Debian has them, udev among them; else
---                           those that a guest that is thrown away can do without are masked (false)
---@field disk? string        an image of a file system that has /sbin/init
---@field folder? string      a folder of the host, by virtiofsd ("host" is "/"), without an init
---@field sandbox? "namespace"|"chroot"|"none"  of folder: how virtiofsd is locked in

---@class vmm.guest
---@field name string
local guest = {}

---What a VM needs to boot it, made if need be: kept in the cache by what it is made of, so that an
---equal recipe costs nothing the next time.  Raises a message of one line.  virtio_console: the
---kernel is known to have the driver.
---@return { kernel: string, initrd: string, cmdline?: string, prompt: string, login?: table, block?: table[], share?: table[], memory_mib?: integer, symbols?: string, virtio_console: boolean }
function guest:prepare() end
---The same; nil and the message.
---@return table? prepared, string? message
function guest:try_prepare() end
---The host files that it is made of, and disks: what makes it preparable in a lab (vmm.lab).
---@return { files: string[], disks: { path: string, readonly: boolean }[] }? needs, string? message
function guest:needs() end
