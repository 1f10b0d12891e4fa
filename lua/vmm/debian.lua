-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Kernels in Debian's packages: asked of apt, downloaded, never installed, unpacked in a cache.

local process = require "vmm.process"
local text = require "vmm.text"

local debian = {}

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

-- The package that a metapackage stands for (or the one given), and the version that would be
-- installed; or nil.
local function resolve(package)
    local depends = process.capture { "apt-cache", "depends", "--no-recommends", package }
    local name = depends and depends:match("Depends: (linux%-image%-%S+)") or package
    local policy = process.capture { "apt-cache", "policy", name }
    local version = policy and policy:match("Candidate: (%S+)")
    if version and version ~= "(none)" then
        return name, version
    end
end

local function unknown(package, why)
    local known = {}
    for name in (process.capture { "apt-cache", "pkgnames", "linux-image-" } or "")
            :gmatch "linux%-image%-[^\n]+" do
        known[#known + 1] = name
    end
    table.sort(known)
    local meant = text.nearest(package, known)
    return ("Debian's package %s is not known here: %s%s"):format(package, why,
        meant and ('; did you mean "%s"?'):format(meant) or "")
end

-- Its name and version as Debian has them; or nil and a message.
local function find(package, version)
    local name, candidate = resolve(package)
    if not name then
        local updated, message = update_lists()
        name, candidate = resolve(package)
        if not name then
            return nil, unknown(package, updated and "it is in no package list" or message)
        end
    end
    return name, version or candidate
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

-- A package as it is, with the lists of its modules' dependencies that its installation would
-- make. (Debian 13 has modules in /usr/lib.)
local UNPACK = [[
    dpkg -x "$1" "$2"
    [ -d "$2/lib/modules" ] || [ ! -d "$2/usr/lib/modules" ] || ln -s usr/lib "$2/lib"
    for release in "$2"/lib/modules/*; do
        busybox depmod -b "$2" "${release##*/}"
    done
    mv -T -- "$2" "$3"]]

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
    local _, output, code = process.capture({ "sh", "-ec", UNPACK, "sh", deb, scratch, target },
        { stderr = "merge" })
    if code then
        process.remove(scratch)
        if not process.stat1(target) then
            return nil, ("cannot unpack %s: %s"):format(deb, first_error(output))
        end
    end
    return true
end

-- A record names the unpacked directory that serves what was asked for.
local function read_record(path)
    local file <close> = io.open(path, "r")
    return file and file:read("l")
end

local function fetch(cache, package, version, record)
    local ok, message = process.make_directory(cache)
    if not ok then
        return nil, message
    end
    local name
    name, version = find(package, version)
    if not name then
        return nil, version
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
    local file = assert(io.open(record .. ".new", "w"))
    file:write(directory, "\n")
    file:close()
    assert(os.rename(record .. ".new", record))
    return directory
end

--- Is the record of such a kernel in the cache?
function debian.is_cached(cache, key)
    return read_record(cache .. "/kernel-" .. key) ~= nil
end

--- Get the kernel of a package (or of what a metapackage depends on), from the cache if it is
-- known there.
-- options: key (what the cache knows it as; default: the package and its version), version
-- (default: the one that would be installed), update (ask Debian again).
-- Returns { release, path (the bzImage), modules (the lib/modules/RELEASE directory), record,
-- id (what names its content) }, or nil and a message.
function debian.kernel(cache, package, options)
    local key = options.key or package .. (options.version and "_" .. options.version or "")
    local record = cache .. "/kernel-" .. key
    local directory, message = not options.update and read_record(record)
    if not directory then
        directory, message = fetch(cache, package, options.version, record)
        if not directory then
            return nil, message
        end
    end
    local release = directory:match("^linux%-image%-(.-)_"):gsub("%-unsigned$", "")
    local top = cache .. "/" .. directory
    return {
        release = release, path = top .. "/boot/vmlinuz-" .. release,
        modules = top .. "/lib/modules/" .. release, record = record, id = directory,
    }
end

return debian
