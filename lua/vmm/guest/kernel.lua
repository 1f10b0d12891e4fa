-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The kernel of a guest: one of Debian's packages, a kernel file, or the tree it was built in.

local debian = require "vmm.debian"
local guests = require "vmm.guests"
local modules = require "vmm.modules"
local process = require "vmm.process"
local text = require "vmm.text"

local kernel = {}

-- Names for what Debian ships, to the packages that stand for the newest of them.
kernel.NAMES = {
    ["debian-cloud"] = "cloud-amd64",
    ["debian"] = "amd64",
}

-- Where a build leaves the image, below its tree.
local IMAGES = { "arch/x86/boot/bzImage", "arch/x86_64/boot/bzImage" }

local HEADER = 0x1f1 + 0x11 -- "HdrS", of a bzImage
local VERSION = 0x20e -- where, 0x200 further, the text of its version is
local VERSION_BYTES = 256

-- The release of a bzImage, "" of one that does not tell and of an ELF file; nil of what is no
-- kernel.
local function release_of(path)
    local file <close> = io.open(path, "rb")
    local head = file and file:read(0x210) or ""
    if head:sub(1, 4) == "\x7fELF" then return "" end
    if head:sub(HEADER + 1, HEADER + 4) ~= "HdrS" then return nil end
    local offset = ("<I2"):unpack(head, VERSION + 1)
    if offset == 0 then return "" end
    file:seek("set", offset + 0x200)
    return (file:read(VERSION_BYTES) or ""):match "^[%w.+~_-]+" or ""
end

local function expand(path)
    local home = os.getenv "HOME"
    return home and path:gsub("^~/", (home:gsub("%%", "%%%%")) .. "/") or path
end

-- ---- kernels of Debian's --------------------------------------------------------------------

local function of_package(package, version, key)
    local found, message = debian.kernel(guests.cache(), package, { key = key, version = version })
    if not found then return nil, message end
    local index
    index, message = modules.installed(found.modules)
    if not index then return nil, message end
    return {
        path = found.path, release = found.release, modules = index, record = found.record,
        -- A package's files never change.
        id = found.id, is_fixed = true,
    }
end

-- ---- kernels of one's own -------------------------------------------------------------------

-- The first of some files in a directory.
local function first(directory, names)
    for _, name in ipairs(names) do
        local path = directory .. "/" .. name
        if process.is_readable(path) then return path end
    end
end

-- The tree that an image was built in, by where it lies; or nil.
local function tree_of(path)
    for _, image in ipairs(IMAGES) do
        if path:sub(-#image - 1) == "/" .. image then return path:sub(1, -#image - 2) end
    end
    local directory = path:match "^(.*)/vmlinux$"
    return directory and process.is_readable(directory .. "/modules.order") and directory or nil
end

-- As `make install` and `make modules_install` lay them out: boot/vmlinuz-RELEASE beside
-- lib/modules/RELEASE.
local function installed_beside(path, release)
    local prefix = path:match "^(.*)/[^/]+/[^/]+$"
    if not prefix or release == "" then return nil end
    return (modules.installed(prefix .. "/lib/modules/" .. release))
end

local function of_file(path, tree)
    local release = release_of(path)
    if not release then
        return nil, path .. ": not a kernel (neither a bzImage nor an ELF vmlinux)"
    end
    tree = tree or tree_of(path)
    return {
        path = path, release = release, id = path,
        modules = tree and modules.built(tree) or installed_beside(path, release),
        symbols = tree and first(tree, { "vmlinux" }),
    }
end

local function of_directory(path)
    local image = first(path, { IMAGES[1], IMAGES[2], "vmlinux" })
    if not image then
        return nil, ("%s: no kernel in this directory (looked for %s and vmlinux): "
            .. "is it a build tree, and built?"):format(path, IMAGES[1])
    end
    return of_file(image, path)
end

local function unknown(given)
    local names = {}
    for name in pairs(kernel.NAMES) do names[#names + 1] = name end
    table.sort(names)
    return ("no such kernel: %s%s known: %s, a package linux-image-..., or the path of a kernel "
        .. "or of its build tree"):format(text.show(given), text.suggest(given, names),
        table.concat(names, ", "))
end

--- The kernel that is meant: "debian-cloud", "debian", a package of Debian's (with "=VERSION" or
-- without), or the path of a kernel or of the tree that it was built in.
-- @return { path =, release =, modules = index or nil, symbols = path or nil, id =, record =,
--   is_fixed = }; or nil, message
function kernel.find(given)
    local flavor = kernel.NAMES[given]
    if flavor then return of_package(guests.flavors[flavor], nil, flavor) end
    local package, version = given:match "^(linux%-image%-[%w.+-]+)=?([%w.+:~-]*)$"
    if package then return of_package(package, version ~= "" and version or nil) end
    local path = expand(given)
    local about = process.stat1(path)
    if not about then
        if not given:find "/" then return nil, unknown(given) end
        return nil, path .. ": no such kernel, nor a directory that has one"
    end
    path = path:gsub("(.)/+$", "%1")
    return (about.kind == "directory" and of_directory or of_file)(path)
end

return kernel
