-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Boots Debian's kernels with a busybox initramfs for specs, and runs commands in them.

local guests = require "vmm.guests"
local initramfs = require "vmm.initramfs"
local process = require "vmm.process"
local vmm = require "vmm"

local linux = {}

-- Of virtio devices; Linux finds them there by the module virtio_mmio or virtio_pci.
linux.TRANSPORTS = { "mmio", "pci" }

-- Times VMM_TIMEOUT_SCALE, which is 10 in the lab.
linux.BOOT_SECONDS = 20

-- Within which a guest that is told to end has ended; a lab shares its CPU with all else.
linux.END_SECONDS = os.getenv "VMM_LAB" and 15 or 3

-- What Debian ships: the cloud kernel (payload lz4) and the one for PCs (payload xz).
linux.FLAVORS = { "cloud-amd64", "amd64" }

function linux.bzimage(flavor)
    return assert(guests.kernel(flavor or "cloud-amd64")).path
end

-- The ELF file inside a bzImage, written to a file that the caller removes.
function linux.extract(flavor)
    local path = os.tmpname()
    assert(vmm.load.extract(linux.bzimage(flavor), path))
    return path
end

function linux.initramfs(options)
    return assert(guests.initramfs(options))
end

-- A program of this host with its libraries, added to an initramfs's files.
function linux.add_program(files, path)
    assert(process.is_readable(path), path .. " is not installed")
    files[path] = { host = path, mode = 0x1ed }
    for _, library in ipairs(initramfs.libraries(path)) do
        files[library] = { host = library, mode = 0x1ed }
    end
end

-- A VM that boots Linux, started. options: what vmm.vm takes; kernel.path and kernel.initrd have
-- defaults, and `quiet` joins the default command line; before_start(vm) is called just then.
function linux.start(options)
    options = options or {}
    local kernel = {
        path = linux.bzimage(),
        initrd = linux.initramfs(),
        cmdline = "console=ttyS0 i8042.nokbd reboot=k panic=1"
            .. (options.transport == "pci" and "" or " pci=off") .. " quiet",
    }
    for key, value in pairs(options.kernel or {}) do
        if value == "default" then value = nil end
        kernel[key] = value
    end
    local config = { console = "capture", memory = { size_mib = 512 } }
    for key, value in pairs(options) do
        if key ~= "before_start" then config[key] = value end
    end
    config.kernel = kernel
    local vm = assert(vmm.vm(config))
    if options.before_start then options.before_start(vm) end
    assert(vm:start())
    return vm
end

-- The same, at its prompt.
function linux.boot(options)
    local vm = linux.start(options)
    vm.console:expect("guest# ", { timeout = linux.BOOT_SECONDS })
    return vm
end

-- Runs a shell command in the guest; its output, without the final line end.
function linux.run(vm, command)
    vm.console:send_line("echo BEGIN; " .. command .. "; echo END")
    local found = vm.console:expect("\nBEGIN\r\n(.-)END\r\n", { timeout = 12 })
    vm.console:expect("guest# ", { timeout = 12 })
    return (found[1]:gsub("\r", ""):gsub("\n$", ""))
end

-- Sends a command that ends the guest; how it ended, and after how many seconds.
function linux.finish(vm, command)
    vm.console:send_line(command)
    local before = vmm.now()
    local stop = assert(vm:wait { timeout = 6 })
    return stop, vmm.now() - before
end

return linux
