-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The modules of a kernel: which there are, and in which order they are loaded. Of installed ones
-- (lib/modules/RELEASE) modules.dep tells, in a build tree the modules themselves do.

local text = require "vmm.text"

local modules = {}

local Index = {}
Index.__index = Index

local function lines_of(path)
    local file <close> = io.open(path, "r")
    return (file and file:read("a") or ""):gmatch("[^\n]+")
end

--- "kernel/virt/lib/irqbypass.ko.xz" -> "irqbypass"; the kernel takes - and _ for the same.
function modules.name(path)
    return (path:match("([^/]+)$"):gsub("%.k?o.*$", ""):gsub("-", "_"))
end

local function new(directory, needs)
    local index = setmetatable({ directory = directory, paths = {}, builtin = {}, needs = needs },
        Index)
    for path in lines_of(directory .. "/modules.builtin") do
        index.builtin[modules.name(path)] = true
    end
    return index
end

--- Of a lib/modules/RELEASE directory; nil and a message when depmod has not seen it.
function modules.installed(directory)
    local needs = {}
    local index = new(directory, function(path) return needs[path]:gmatch "%S+" end)
    for line in lines_of(directory .. "/modules.dep") do
        local path, rest = line:match("^([^:]+):(.*)$")
        if path then
            index.paths[modules.name(path)], needs[path] = path, rest
        end
    end
    if not next(index.paths) then
        return nil, directory .. "/modules.dep: missing or empty; depmod makes it"
    end
    return index
end

-- The names that a module says that it needs, in its section .modinfo.
local function depends(path)
    local file <close> = io.open(path, "rb")
    local list = file and file:read("a"):match "%zdepends=([^%z]*)%z" or ""
    return list:gmatch "[^,]+"
end

--- Of a kernel's build tree, as far as it was built: modules.order lists its modules.
function modules.built(tree)
    local index
    index = new(tree, function(path)
        local found = {}
        for name in depends(tree .. "/" .. path) do
            found[#found + 1] = index.paths[modules.name(name)]
        end
        local at = 0
        return function()
            at = at + 1
            return found[at]
        end
    end)
    for line in lines_of(tree .. "/modules.order") do
        -- It has had "kernel/" before each path, and has the names of objects now.
        local path = line:gsub("^kernel/", ""):gsub("%.o$", ".ko")
        index.paths[modules.name(path)] = path
    end
    return index
end

--- Is there such a module, or is it built into the kernel?
function Index:has(name)
    local key = modules.name(name)
    return self.builtin[key] or self.paths[key] ~= nil
end

local function missing(self, name)
    local known = {}
    for key in pairs(self.paths) do known[#known + 1] = key end
    for key in pairs(self.builtin) do known[#known + 1] = key end
    table.sort(known)
    local meant = text.nearest(modules.name(name), known)
    return ("no kernel module %s in %s%s"):format(name, self.directory,
        meant and (', did you mean "%s"?'):format(meant) or "")
end

--- The files that give the named modules, what they need first: paths below the directory, none
-- for what is built into the kernel; or nil and a message.
function Index:order(names)
    local order, seen = {}, {}
    local function visit(path)
        if not seen[path] then
            seen[path] = true
            for need in self.needs(path) do
                visit(need)
            end
            order[#order + 1] = path
        end
    end
    for _, name in ipairs(names) do
        local key = modules.name(name)
        if self.paths[key] then
            visit(self.paths[key])
        elseif not self.builtin[key] then
            return nil, missing(self, name)
        end
    end
    return order
end

return modules
