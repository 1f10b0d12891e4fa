-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Get Linux guests as Debian ships them: kernels by apt-get download, never installed, and an
-- initramfs of busybox, all kept in a cache.

local initramfs = require "vmm.initramfs"
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

local function first_error(output)
    return output:match("E: ([^\n]+)") or output:match("([^\n]+)") or "no reason given"
end

local function update_lists()
    io.stderr:write("vmm-reference: fetching Debian's package lists\n")
    local ok, output = process.capture({ "apt-get", "-q", "update" }, { stderr = "merge" })
    if not ok then
        return nil, ("apt-get update failed (%s)"):format(first_error(output))
    end
    return true
end

-- The package a metapackage stands for, and its version, or nil.
local function resolve(metapackage)
    local depends = process.capture { "apt-cache", "depends", "--no-recommends", metapackage }
    local name = depends and depends:match("Depends: (linux%-image%-%S+)")
    local policy = name and process.capture { "apt-cache", "policy", name }
    local version = policy and policy:match("Candidate: (%S+)")
    if version and version ~= "(none)" then
        return name, version
    end
end

local function download(cache, name, version)
    -- apt-get writes an epoch's colon as %3a in file names.
    local path = ("%s/%s_%s_amd64.deb"):format(cache, name, version:gsub(":", "%%3a"))
    if process.stat1(path) then
        return path
    end
    io.stderr:write(("vmm-reference: downloading %s %s\n"):format(name, version))
    local scratch, message = process.temporary_directory("download", cache)
    if not scratch then
        return nil, message
    end
    local argv = { "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download",
        name .. "=" .. version }
    local options = { directory = scratch, stderr = "merge" }
    local ok, output = process.capture(argv, options)
    if not ok and output:find("404", 1, true) and update_lists() then
        ok, output = process.capture(argv, options)
    end
    ok = ok and process.capture { "sh", "-c", 'mv -f -- "$1"/*.deb "$2"', "sh", scratch, path }
    process.remove(scratch)
    if not ok then
        return nil, ("cannot download %s: %s"):format(name, first_error(output))
    end
    return path
end

-- Unpack a package beside the cache's other ones; many may try at once, the first wins.
local function unpack(cache, deb, directory)
    local target = cache .. "/" .. directory
    if process.stat1(target) then
        return true
    end
    local scratch, message = process.temporary_directory("unpack", cache)
    if not scratch then
        return nil, message
    end
    local _, output, code = process.capture({ "sh", "-ec", [[
        dpkg -x "$1" "$2"
        for release in "$2"/lib/modules/*; do
            busybox depmod -b "$2" "${release##*/}"
        done
        mv -T -- "$2" "$3"]], "sh", deb, scratch, target }, { stderr = "merge" })
    if code then
        process.remove(scratch)
        if not process.stat1(target) then
            return nil, ("cannot unpack %s: %s"):format(deb, first_error(output))
        end
    end
    return true
end

-- The record of a flavor names the unpacked directory that serves it.
local function record_path(cache, flavor)
    return cache .. "/kernel-" .. flavor
end

local function fetch(cache, flavor)
    local metapackage = guests.flavors[flavor]
    local ok, message = process.make_directory(cache)
    if not ok then
        return nil, message
    end
    local name, version = resolve(metapackage)
    if not name then
        local updated
        updated, message = update_lists()
        name, version = resolve(metapackage)
        if not name then
            return nil, ("Debian's package %s is not known here: %s")
                :format(metapackage, updated and "it is in no package list" or message)
        end
    end
    local deb
    deb, message = download(cache, name, version)
    if not deb then
        return nil, message
    end
    local directory = ("%s_%s"):format(name, version:gsub(":", "%%3a"))
    ok, message = unpack(cache, deb, directory)
    if not ok then
        return nil, message
    end
    local path = record_path(cache, flavor)
    local file = assert(io.open(path .. ".new", "w"))
    file:write(directory, "\n")
    file:close()
    assert(os.rename(path .. ".new", path))
    return directory
end

local function cached(cache, flavor)
    local file = io.open(record_path(cache, flavor), "r")
    local directory = file and file:read("l")
    if file then
        file:close()
    end
    return directory
end

--- Get a Debian kernel ("cloud-amd64" or "amd64"), from the cache if it has one.
-- options.update: ask Debian for a newer one.
-- Returns { flavor, release, path (the bzImage), modules (the lib/modules/RELEASE directory),
-- record }, or nil and a message.
function guests.kernel(flavor, options)
    if not guests.flavors[flavor] then
        error(("no such kernel: %s (known: amd64, cloud-amd64)"):format(tostring(flavor)), 2)
    end
    local cache = guests.cache()
    local directory, message = not (options and options.update) and cached(cache, flavor)
    if not directory then
        directory, message = fetch(cache, flavor)
        if not directory then
            return nil, message
        end
    end
    local release = directory:match("^linux%-image%-(.-)_")
    local top = cache .. "/" .. directory
    return {
        flavor = flavor, release = release, path = top .. "/boot/vmlinuz-" .. release,
        modules = top .. "/lib/modules/" .. release, record = record_path(cache, flavor),
    }
end

--- Host paths that make the kernels in the cache known to this module elsewhere: records and
-- bzImages, none of the modules.
function guests.files()
    local result, cache = {}, guests.cache()
    for flavor in pairs(guests.flavors) do
        if cached(cache, flavor) then
            local kernel = guests.kernel(flavor)
            table.move({ kernel.record, kernel.path }, 1, 2, #result + 1, result)
        end
    end
    table.sort(result)
    return result
end

-- /init of the guest. The shell is a child in the background, so that "reboot" and "poweroff"
-- without -f, which signal process 1, work while it runs.
local GUEST_INIT = [=[
#!/bin/sh
trap 'reboot -f' TERM
trap 'poweroff -f' USR2
trap 'halt -f' USR1
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=${TERM:-linux} PS1='guest# '
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /tmp /root
mount -t devpts devpts /dev/pts
mount -t tmpfs tmp /tmp
hostname guest
for module in $(cat /etc/modules); do
    insmod "$module"
done
cd /root
cat /etc/hello
[ ! -x /etc/run ] || /etc/run
exec 3<&0
while :; do
    setsid cttyhack sh <&3 3<&- &
    wait $!
done
]=]

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
    local order = {}
    if options.modules then
        order, message = tree:modules(options.kernel.modules, options.modules)
        if not order then
            return nil, message
        end
    end
    for _, path in ipairs { "/proc", "/sys", "/dev", "/tmp", "/root" } do
        tree:directory(path)
    end
    tree:device("/dev/console", "c", 5, 1)
    tree:file("/init", GUEST_INIT, 0x1ed)
    tree:file("/etc/modules", table.concat(order, "\n") .. "\n")
    tree:file("/etc/hello", (options.hello or "Hello from the guest.") .. "\n")
    tree:file("/etc/passwd", "root::0:0:root:/root:/bin/sh\n")
    tree:file("/etc/group", "root:x:0:\n")
    if options.run then
        tree:file("/etc/run", "#!/bin/sh\n" .. options.run .. "\n", 0x1ed)
    end
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
