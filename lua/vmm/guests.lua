-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Get Linux guests as Debian ships them: kernels, and an initramfs of busybox, kept in a cache.

local boot = require "vmm.guest.boot"
local debian = require "vmm.debian"
local initramfs = require "vmm.initramfs"
local modules = require "vmm.modules"
local process = require "vmm.process"

local guests = {}

--- The kernels we know: flavor to Debian metapackage.
guests.flavors = {
    ["cloud-amd64"] = "linux-image-cloud-amd64",
    ["amd64"] = "linux-image-amd64",
}

-- The top of the source tree this code runs from, or nil when it is installed.
local function source_tree()
    local file = package.searchpath("vmm.guests", package.path)
    local top = file and file:gsub("^lua/", "./lua/"):match("^(.*)/lua/vmm/guests%.lua$")
    local directory = process.executable():match("^(.*)/")
    for _, candidate in ipairs { top or directory, directory, directory .. "/../.." } do
        if process.is_readable(candidate .. "/Makefile")
                and process.is_readable(candidate .. "/lua/vmm/guests.lua") then
            return process.line { "realpath", candidate }
        end
    end
end

--- The cache's directory: VMM_CACHE, or .build/cache of the source tree,
-- or vmm-reference in the user's cache directory.
function guests.cache()
    local path = os.getenv("VMM_CACHE")
    if path and path ~= "" then
        return path
    end
    local top = source_tree()
    if top then
        return top .. "/.build/cache"
    end
    local base = os.getenv("XDG_CACHE_HOME")
    if not base or base == "" then
        base = (os.getenv("HOME") or "/tmp") .. "/.cache"
    end
    return base .. "/vmm-reference"
end

--- Get a Debian kernel ("cloud-amd64" or "amd64"), from the cache if it has one.
-- options.update: ask Debian for a newer one.
-- Returns { flavor, release, path (the bzImage), modules (the lib/modules/RELEASE directory),
-- record, id }, or nil and a message.
function guests.kernel(flavor, options)
    local package = guests.flavors[flavor]
    if not package then
        error(("no such kernel: %s (known: amd64, cloud-amd64)"):format(tostring(flavor)), 2)
    end
    local kernel, message = debian.kernel(guests.cache(), package,
        { key = flavor, update = options and options.update })
    if kernel then kernel.flavor = flavor end
    return kernel, message
end

--- The drivers of the devices that guests may find, which a kernel may lack, and what a root that
-- is only read needs.
guests.DRIVERS = { "virtio_pci", "virtio_mmio", "virtio_net", "virtio_blk", "virtio_console",
    "virtio_rng", "virtio_balloon", "vmw_vsock_virtio_transport", "virtiofs", "overlay" }

-- What of a kernel serves elsewhere: record, image, and of its modules those drivers.
local function files_of(kernel)
    local list = { kernel.record, kernel.path, kernel.modules .. "/modules.dep",
        kernel.modules .. "/modules.builtin" }
    local index = modules.installed(kernel.modules)
    for _, name in ipairs(index and guests.DRIVERS or {}) do
        for _, path in ipairs(index:order { name } or {}) do
            list[#list + 1] = kernel.modules .. "/" .. path
        end
    end
    return list
end

--- Host paths that make the kernels in the cache known to this module elsewhere.
function guests.files()
    local result, cache = {}, guests.cache()
    for flavor in pairs(guests.flavors) do
        if debian.is_cached(cache, flavor) then
            local files = files_of(guests.kernel(flavor))
            table.move(files, 1, #files, #result + 1, result)
        end
    end
    table.sort(result)
    return result
end

-- Adds the modules asked for as one set, which /init loads.
local function add_modules(tree, options)
    local order = {}
    if options.modules then
        local message
        order, message = tree:modules(options.kernel.modules, options.modules)
        if not order then
            return nil, message
        end
    end
    boot.modules(tree, "chosen", order)
    tree:file("/etc/vmm/load", "chosen\n")
    return true
end

--- Compose the initramfs of a busybox guest that shows a shell on the console.
-- options: kernel (from guests.kernel, needed for modules), modules (names), files (path in the
-- guest to text or { host = path, mode = n }), hello (text shown), run (shell text run first),
-- gzip (default false: the guest would spend its time unpacking).
-- Returns the path of the image in the cache, or nil and a message.
function guests.initramfs(options)
    options = options or {}
    local tree = initramfs.new()
    local ok, message = tree:busybox()
    if not ok then
        return nil, message
    end
    boot.furnish(tree, "initramfs")
    ok, message = add_modules(tree, options)
    if not ok then
        return nil, message
    end
    tree:file("/etc/hello", (options.hello or "Hello from the guest.") .. "\n")
    tree:file(boot.SCRIPTS .. "run", "cat /etc/hello\n" .. (options.run or "") .. "\n")
    for path, content in pairs(options.files or {}) do
        if type(content) == "table" then
            tree:copy(path, content.host, content.mode)
        else
            tree:file(path, content)
        end
    end
    return guests.store(tree, options.gzip)
end

--- Write a tree into the cache under a name made of its content; an equal one is used again.
function guests.store(tree, gzip)
    local cache = guests.cache()
    local ok, message = process.make_directory(cache)
    if not ok then
        return nil, message
    end
    local scratch
    scratch, message = process.temporary_directory("compose", cache)
    if not scratch then
        return nil, message
    end
    local image, path = scratch .. "/image", nil
    ok, message = tree:write(image, { gzip = gzip })
    if ok then
        local sum = process.line({ "sha256sum", image }):sub(1, 16)
        path = ("%s/initramfs-%s.cpio%s"):format(cache, sum, gzip and ".gz" or "")
        assert(os.rename(image, path))
    end
    process.remove(scratch)
    return path, message
end

local USAGE = [[
usage: guests [--update] [FLAVOR...]
Fetch Debian's kernels (default: cloud-amd64) and print where they are.
]]

--- The command: returns an exit code.
function guests.main(args)
    local update, flavors = false, {}
    for _, word in ipairs(args) do
        if word == "--update" then
            update = true
        elseif word == "--help" then
            io.stdout:write(USAGE)
            return 0
        elseif guests.flavors[word] then
            flavors[#flavors + 1] = word
        else
            io.stderr:write(("vmm-reference: guests: unknown kernel %s (known: amd64, "
                .. "cloud-amd64)\n"):format(word))
            return 2
        end
    end
    for _, flavor in ipairs(#flavors > 0 and flavors or { "cloud-amd64" }) do
        local kernel, message = guests.kernel(flavor, { update = update })
        if not kernel then
            io.stderr:write("vmm-reference: guests: ", message, "\n")
            return 1
        end
        print(kernel.path)
    end
    return 0
end

return guests
