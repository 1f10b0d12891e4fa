-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vmm.guest: what a VM boots, by name or by recipe: a kernel and the root that it finds. Prepared
-- when it is first needed, and kept.

local argument = require "vmm.argument"
local text = require "vmm.text"

local guest = {}

local Guest = { __name = "vmm.guest" }
Guest.__index = Guest

local CLOUD = "debian-cloud"
local PROMPT = "guest# "
local LOGIN = "guest login: "

-- Recipes that have a name. One without a kernel has that of the test run, or the cloud kernel.
local NAMES = {
    ["debian-cloud"] = { kernel = CLOUD },
    ["debian"] = { kernel = "debian" },
    ["debian-disk"] = { root = "debian" },
    ["host-root"] = { root = "host" },
}

local KEYS = { "name", "kernel", "symbols", "modules", "files", "programs", "run", "root",
    "cmdline", "memory_mib", "prompt", "login" }
local ROOT_KEYS = { "debian", "packages", "size_mib", "password", "mirror", "full", "disk",
    "folder", "sandbox" }

-- A Debian root, as far as nothing else is said.
local DEBIAN = { debian = "bookworm", packages = {}, size_mib = 1024, password = "root" }

local ROOTS = { initramfs = {}, debian = DEBIAN, host = { folder = "/" } }

-- ---- recipes ----------------------------------------------------------------------------------

local function known_names()
    local names = {}
    for name in pairs(NAMES) do names[#names + 1] = name end
    table.sort(names)
    return names
end

-- A table of words, or none; raises at the caller of vmm.guest.
local function words(what, given, level)
    for _, word in ipairs(argument.type(what, given or {}, "table", level + 1)) do
        argument.type(what .. ": each", word, "string", level + 1)
    end
    return given or {}
end

local function check_files(files, level)
    for path, content in pairs(argument.type("vmm.guest: files", files, "table", level + 1)) do
        argument.check(type(path) == "string" and path:sub(1, 1) == "/",
            "vmm.guest: files: each key", "a path in the guest, from / on", path, level + 1)
        if type(content) == "table" then
            argument.options("vmm.guest: files: " .. path, content, { "host", "mode" }, level + 1)
        end
        argument.check(type(content) == "string"
            or type(content) == "table" and type(content.host) == "string",
            "vmm.guest: files: " .. path, "a text or { host = path, mode = bits }", content,
            level + 1)
    end
    return files
end

-- What root says, as a table with one of debian, disk, folder; or without any for an initramfs.
local function check_root(given, level)
    if type(given) == "string" then
        local root = ROOTS[given]
        if root then return root end
        local names = { "debian", "host", "initramfs" }
        error(("vmm.guest: unknown root %s%s valid: %s, or a table with one of debian, disk, "
            .. "folder"):format(text.show(given), text.suggest(given, names),
            table.concat(names, ", ")), level)
    end
    argument.options("vmm.guest: root", given, ROOT_KEYS, level + 1)
    local count = (given.debian and 1 or 0) + (given.disk and 1 or 0) + (given.folder and 1 or 0)
    if count ~= 1 then
        error("vmm.guest: root: give one of debian = suite, disk = path, folder = path", level)
    end
    local root = {}
    for key, value in pairs(given.debian and DEBIAN or {}) do root[key] = value end
    for key, value in pairs(given) do root[key] = value end
    words("vmm.guest: root: packages", root.packages, level + 1)
    return root
end

-- The recipe as it will be used: complete, and ours alone.
local function check(given, level)
    argument.options("vmm.guest", given, KEYS, level + 1)
    local recipe = {}
    for key, value in pairs(given) do recipe[key] = value end
    for _, key in ipairs { "name", "kernel", "symbols", "run", "cmdline", "prompt" } do
        if recipe[key] ~= nil then
            argument.type("vmm.guest: " .. key, recipe[key], "string", level + 1)
        end
    end
    recipe.modules = words("vmm.guest: modules", recipe.modules, level + 1)
    recipe.programs = words("vmm.guest: programs", recipe.programs, level + 1)
    recipe.files = check_files(recipe.files or {}, level + 1)
    recipe.root = check_root(recipe.root or "initramfs", level + 1)
    return recipe
end

-- ---- what a VM needs ----------------------------------------------------------------------------

-- The kernel of a test run: `vmm-reference test --kernel path=...`.
local function run_kernel()
    local path = os.getenv "VMM_TEST_KERNEL"
    return path and path ~= "" and path or nil
end

-- Fills in what a VM needs for its root; returns the kind of it; or nil, message.
local function prepare_root(root, prepared)
    local boot = require "vmm.guest.boot"
    if root.folder then
        prepared.share = { {
            path = root.folder, tag = boot.TAG, readonly = true, sandbox = root.sandbox,
        } }
        return "folder"
    elseif not root.debian and not root.disk then
        return "initramfs"
    end
    local path = root.disk
    if root.debian then
        local message
        path, message = require("vmm.guest.disk").get(root)
        if not path then return nil, message end
        prepared.login = { user = "root", password = root.password }
    end
    prepared.block = { { path = path, readonly = true, serial = boot.SERIAL } }
    prepared.prompt = LOGIN
    return "disk"
end

-- Has the kernel a driver for virtio consoles, as far as that is known, wherever they are?
local function has_console(kernel)
    for _, driver in ipairs { "virtio_console", "virtio_mmio", "virtio_pci" } do
        if not kernel.modules or not kernel.modules:has(driver) then return false end
    end
    return true
end

local function find_kernel(recipe)
    return require("vmm.guest.kernel").find(recipe.kernel or run_kernel() or CLOUD)
end

local function prepare(recipe)
    local kernel, message = find_kernel(recipe)
    if not kernel then return nil, message end
    local prepared = { prompt = PROMPT }
    local kind
    kind, message = prepare_root(recipe.root, prepared)
    if not kind then return nil, message end
    prepared.initrd, message = require("vmm.guest.initrd").get(recipe, kernel, kind)
    if not prepared.initrd then return nil, message end
    prepared.kernel, prepared.symbols = kernel.path, recipe.symbols or kernel.symbols
    prepared.virtio_console = has_console(kernel)
    for _, key in ipairs { "cmdline", "memory_mib", "prompt", "login" } do
        prepared[key] = recipe[key] or prepared[key]
    end
    return prepared
end

-- ---- guests -------------------------------------------------------------------------------------

-- What vmm.vm needs to boot it; or nil, and a message of one line.
function Guest:try_prepare()
    local prepared, message = prepare(self.recipe)
    if not prepared then return nil, ("guest %s: %s"):format(self.name, message) end
    return prepared
end

-- What makes it preparable elsewhere, in a lab for one: paths of host files, and disks as lab.run
-- takes them; or nil, message.
function Guest:needs()
    local kernel, message = find_kernel(self.recipe)
    if not kernel then return nil, message end
    local files
    files, message = require("vmm.guest.initrd").needs(self.recipe, kernel)
    if not files then return nil, message end
    local root, disks = self.recipe.root, {}
    if root.debian then
        local disk = require "vmm.guest.disk"
        local path
        path, message = disk.get(root)
        if not path then return nil, message end
        disks[1] = { path = path, readonly = true }
        files[#files + 1] = select(2, disk.paths(root))
    elseif root.disk then
        disks[1] = { path = root.disk, readonly = true }
    end
    return { files = files, disks = disks }
end

-- The same as try_prepare; raises the message.
function Guest:prepare()
    local prepared, message = self:try_prepare()
    if not prepared then error(message, 0) end
    return prepared
end

local function new(name, recipe, level)
    recipe = check(recipe, level + 1)
    return setmetatable({ name = name or recipe.name or recipe.kernel or "of one's own",
        recipe = recipe }, Guest)
end

-- The guest of a name, of a recipe, or the one given; a kernel alone is a recipe as well: a
-- package of Debian's, or the path of a kernel or its build tree.
function guest.get(given, level)
    level = level or 2
    if getmetatable(given) == Guest then return given end
    if type(given) == "table" then return new(given.name, given, level) end
    argument.check(type(given) == "string", "vmm.guest", "a name or a table", given, level + 1)
    if NAMES[given] then return new(given, NAMES[given], level) end
    if given:find "/" or given:find "^linux%-image%-" then
        return new(given, { kernel = given }, level)
    end
    error(("vmm.guest: unknown guest %s%s known: %s"):format(text.show(given),
        text.suggest(given, known_names()), table.concat(known_names(), ", ")), level)
end

-- The guest with the kernel of the test run, or with Debian's cloud kernel.
function guest.default()
    return guest.get(run_kernel() and { kernel = run_kernel() } or CLOUD)
end

return setmetatable(guest, { __call = function(_, given) return guest.get(given, 2) end })
