-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The initramfs of a guest: busybox, the kernel's modules, what a recipe adds, and /init.

local agent = require "vmm.scenario.agent"
local boot = require "vmm.guest.boot"
local guests = require "vmm.guests"
local initramfs = require "vmm.initramfs"
local modules = require "vmm.modules"
local process = require "vmm.process"
local store = require "vmm.guest.store"

local initrd = {}

local EXECUTABLE = 0x1ed
local UNITS = "/etc/systemd/system/"

-- How modules are packed, and what unpacks them.
local UNPACK = { xz = "xz", zst = "zstd", gz = "gzip" }

-- ---- what goes in -----------------------------------------------------------------------

-- The drivers that the kernel has as modules, and the recipe's modules; or nil, message.
local function wanted_modules(recipe, kernel, kind)
    local list, index = {}, kernel.modules
    if not index then
        if recipe.modules[1] then
            return nil, ("no modules are known of %s: name its build tree, or have "
                .. "lib/modules/%s beside it"):format(kernel.path, kernel.release)
        end
        return list
    end
    for _, name in ipairs(guests.DRIVERS) do
        if index.paths[name] then
            list[#list + 1] = { name = name, always = name == "overlay" and kind ~= "initramfs" }
        end
    end
    for _, name in ipairs(recipe.modules) do
        list[#list + 1] = { name = modules.name(name), always = true }
    end
    for _, module in ipairs(list) do
        local message
        module.order, message = index:order { module.name }
        if not module.order then return nil, message end
    end
    return list
end

-- The host files of a recipe: an array of { path in the guest, path here, mode }; or nil, message.
local function host_files(recipe)
    local list = {}
    for path, content in pairs(recipe.files) do
        if type(content) == "table" then
            list[#list + 1] = { path, content.host, content.mode }
        end
    end
    for _, name in ipairs(recipe.programs) do
        local path = name:find "/" and name or process.which(name)
            or process.is_readable("/usr/sbin/" .. name) and "/usr/sbin/" .. name
        if not path or not process.is_readable(path) then
            return nil, ("no program %s on this host"):format(name)
        end
        list[#list + 1] = { path, path, EXECUTABLE }
        for _, library in ipairs(initramfs.libraries(path)) do
            list[#list + 1] = { library, library, EXECUTABLE }
        end
    end
    table.sort(list, function(a, b) return a[1] < b[1] end)
    return list
end

-- ---- what of it is told apart ---------------------------------------------------------------

-- All that the image depends on, as text: what is text itself, and of host files size and time.
local function describe(recipe, kernel, kind, parts)
    local lines = { "initramfs of " .. kernel.id, agent.PATH, agent.SCRIPT, recipe.run or "" }
    local function add(format, ...) lines[#lines + 1] = format:format(...) end
    for _, file in ipairs(boot.files(kind)) do add("%s\n%s", file[1], file[2]) end
    local paths, directory = { parts.busybox }, kernel.modules and kernel.modules.directory
    for _, module in ipairs(parts.modules) do
        add("module %s %s", module.name, module.always or "if needed")
        for _, path in ipairs(module.order) do
            add("  %s", path)
            if not kernel.is_fixed then paths[#paths + 1] = directory .. "/" .. path end
        end
    end
    for _, file in ipairs(parts.files) do
        add("file %s %s %s", file[1], file[2], file[3] or "")
        paths[#paths + 1] = file[2]
    end
    local names = {}
    for path, content in pairs(recipe.files) do
        if type(content) == "string" then names[#names + 1] = path end
    end
    table.sort(names)
    for _, path in ipairs(names) do
        add("text %s %d\n%s", path, #recipe.files[path], recipe.files[path])
    end
    local stat = process.stat(paths)
    for _, path in ipairs(paths) do
        local about = stat[path]
        if not about then return nil, path .. ": no such file" end
        add("%s %d %d.%09d %o", path, about.size, about.mtime, about.mtime_ns, about.mode)
    end
    return table.concat(lines, "\n")
end

-- ---- the tree -----------------------------------------------------------------------------

local function add_module(tree, directory, path)
    local inside = "/lib/modules/" .. path:match "[^/]+$"
    local unpack = UNPACK[path:match "%.ko%.(%w+)$"]
    if not unpack then
        tree:copy(inside, directory .. "/" .. path)
        return inside
    end
    local bytes = process.capture { unpack, "-dc", directory .. "/" .. path }
    if not bytes then return nil, ("%s/%s: %s cannot unpack it"):format(directory, path, unpack) end
    inside = inside:gsub("%.%w+$", "")
    tree:file(inside, bytes)
    return inside
end

local function add_modules(tree, kernel, list)
    local always, inside = {}, {}
    for _, module in ipairs(list) do
        local paths = {}
        for _, path in ipairs(module.order) do
            local message
            if not inside[path] then
                inside[path], message = add_module(tree, kernel.modules.directory, path)
            end
            if not inside[path] then return nil, message end
            paths[#paths + 1] = inside[path]
        end
        boot.modules(tree, module.name, paths)
        if module.always then always[#always + 1] = module.name end
    end
    tree:file("/etc/vmm/load", table.concat(always, "\n") .. "\n")
    return true
end

-- /bin and its like are links in every root.
local function below(prefix, path)
    return prefix == "" and path or prefix .. path:gsub("^/(s?bin/)", "/usr/%1")
        :gsub("^/(lib%d*/)", "/usr/%1")
end

local function add_files(tree, recipe, list, prefix)
    for _, file in ipairs(list) do
        tree:copy(below(prefix, file[1]), file[2], file[3])
    end
    for path, content in pairs(recipe.files) do
        if type(content) == "string" then tree:file(below(prefix, path), content) end
    end
end

-- A unit of systemd's for one of our scripts, enabled.
local function add_unit(tree, script, description, settings)
    local unit = ("vmm-%s.service"):format(script:match "[^/]+$")
    tree:file(boot.LATER .. UNITS .. unit, boot.unit(description, script, settings))
    tree:symlink(boot.LATER .. UNITS .. "multi-user.target.wants/" .. unit, "../" .. unit)
end

-- The agent and the recipe's script, which our own init starts, or systemd.
local function add_scripts(tree, recipe, kind)
    local prefix = boot.prefix(kind)
    tree:file(prefix .. agent.PATH, agent.SCRIPT, EXECUTABLE)
    if recipe.run then tree:file(prefix .. boot.SCRIPTS .. "run", recipe.run, EXECUTABLE) end
    if kind == "disk" then
        -- What commands do is their own: killed by the kernel, they do not end the agent.
        add_unit(tree, agent.PATH, "Commands from the host",
            "Restart=always\nIgnoreSIGPIPE=no\nOOMPolicy=continue")
        if recipe.run then
            add_unit(tree, boot.SCRIPTS .. "run", "The script of this guest", "Type=oneshot")
        end
    end
end

local function compose(recipe, kernel, kind, parts)
    local tree = initramfs.new()
    local ok, message = tree:busybox(parts.busybox)
    if not ok then return nil, message end
    boot.furnish(tree, kind)
    ok, message = add_modules(tree, kernel, parts.modules)
    if not ok then return nil, message end
    add_scripts(tree, recipe, kind)
    add_files(tree, recipe, parts.files, boot.prefix(kind))
    return tree
end

--- The host files that an image for a recipe and a kernel is made of, and what tells of them.
-- @return paths; or nil, message
function initrd.needs(recipe, kernel)
    local list = { kernel.path, kernel.record }
    local files, message = host_files(recipe)
    if not files then return nil, message end
    for _, file in ipairs(files) do list[#list + 1] = file[2] end
    local wanted
    wanted, message = wanted_modules(recipe, kernel)
    if not wanted then return nil, message end
    local paths = kernel.modules and { "modules.dep", "modules.order", "modules.builtin" } or {}
    for _, module in ipairs(wanted) do
        table.move(module.order, 1, #module.order, #paths + 1, paths)
    end
    for _, path in ipairs(paths) do
        path = kernel.modules.directory .. "/" .. path
        list[#list + 1] = process.stat1(path) and path or nil
    end
    return list
end

--- The image for a recipe and a kernel, from the cache when it was made before.
-- @param kind  of root: "initramfs", "folder", "disk"
-- @return path; or nil, message
function initrd.get(recipe, kernel, kind)
    local parts = { busybox = process.which "busybox" }
    if not parts.busybox then
        return nil, "no busybox on this host; install Debian's busybox-static"
    end
    local message
    parts.modules, message = wanted_modules(recipe, kernel, kind)
    if not parts.modules then return nil, message end
    parts.files, message = host_files(recipe)
    if not parts.files then return nil, message end
    local description
    description, message = describe(recipe, kernel, kind, parts)
    if not description then return nil, message end
    return store.get("guest", ".cpio", description, function(path)
        local tree, why = compose(recipe, kernel, kind, parts)
        if not tree then return nil, why end
        return tree:write(path)
    end)
end

return initrd
