-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Compose an initramfs: a tree of files in memory, from the host, and of busybox, written as cpio.

local cpio = require "vmm.cpio"
local modules = require "vmm.modules"
local process = require "vmm.process"

local initramfs = {}

local Tree = {}
Tree.__index = Tree

--- Start a tree laid out like a Debian root: /bin, /sbin, /lib and /lib64 lead into /usr.
function initramfs.new()
    local tree = setmetatable({ entries = {}, order = {} }, Tree)
    for _, name in ipairs { "bin", "sbin", "lib", "lib64" } do
        tree:directory("/usr/" .. name)
        tree:symlink("/" .. name, "usr/" .. name)
    end
    return tree
end

-- Resolve "." and "..", doubled slashes, and the tree's own links among the parents of path.
local function canonical(self, path)
    local parts = {}
    for part in path:gmatch("[^/]+") do
        local parent = "/" .. table.concat(parts, "/")
        local entry = self.entries[parent]
        if entry and entry.kind == "symlink" then
            local base = entry.target:sub(1, 1) == "/" and "" or parent:match("^(.*)/")
            parent = canonical(self, base .. "/" .. entry.target)
            parts = {}
            for piece in parent:gmatch("[^/]+") do
                parts[#parts + 1] = piece
            end
        end
        if part == ".." then
            parts[#parts] = nil
        elseif part ~= "." then
            parts[#parts + 1] = part
        end
    end
    return "/" .. table.concat(parts, "/")
end

-- A later entry of the same path replaces the earlier one; a directory stays a directory.
local function add(self, path, entry)
    path = canonical(self, path)
    local old = self.entries[path]
    if path == "/" or old and old.kind == "directory" and entry.kind == "directory" then
        return
    end
    if not old then
        add(self, path:match("^(.*)/") .. "/", { kind = "directory" })
        self.order[#self.order + 1] = path
    elseif old.kind == "directory" then
        error(path .. " is a directory already", 3)
    end
    self.entries[path] = entry
end

--- Add a directory (and the parents of it, as with every entry below); one that is there already,
-- be it through a link, stays.
function Tree:directory(path, mode)
    add(self, path .. "/.", { kind = "directory", mode = mode })
end

--- Add a file with the given text.
function Tree:file(path, text, mode)
    add(self, path, { kind = "file", text = text, mode = mode })
end

--- Add a copy of a host file, read when the tree is written.
function Tree:copy(path, host_path, mode)
    add(self, path, { kind = "host_file", host_path = host_path, mode = mode })
end

local LOADER = "/lib64/ld-linux-x86-64.so.2"

-- Is the file a program or library that the dynamic linker loads?
local function is_dynamic(path)
    local file <close> = io.open(path, "rb")
    local head = file and file:read(4096) or ""
    return head:sub(1, 4) == "\x7fELF"
        and (head:find("/ld-linux", 1, true) or path:find("%.so%f[%W]"))
end

--- The shared libraries that a host program, or a library, is linked with; none of another file.
function initramfs.libraries(path)
    local list = {}
    if is_dynamic(path) then
        for library in (process.capture { LOADER, "--list", path } or "")
                :gmatch "(/%S+) %(0x%x+%)" do
            list[#list + 1] = library
        end
    end
    return list
end

--- Add a host program with the libraries that it is linked with, at their own paths.
-- Returns true, or nil and a message.
function Tree:program(path)
    if not process.is_readable(path) then
        return nil, path .. ": no such program"
    end
    self:copy(path, path, 0x1ed)
    for _, library in ipairs(initramfs.libraries(path)) do
        self:copy(library, library, 0x1ed)
    end
    return true
end

--- Add a symbolic link.
function Tree:symlink(path, target)
    add(self, path, { kind = "symlink", target = target })
end

--- Add a device node: kind "c" or "b".
function Tree:device(path, kind, major, minor, mode)
    add(self, path, { kind = "device", device = kind, major = major, minor = minor, mode = mode })
end

--- Is there an entry of that path?
function Tree:has(path)
    return self.entries[canonical(self, path)] ~= nil
end

--- Add busybox as /bin/busybox and a link for each of its applets that the tree lacks.
-- Returns true, or nil and a message.
function Tree:busybox(host_path)
    host_path = host_path or process.which("busybox")
    local list = host_path and process.capture { host_path, "--list-full" }
    if not list then
        return nil, "no busybox on this host; install Debian's busybox-static"
    elseif not ("\n" .. list):find("/init\n", 1, true) then
        return nil, host_path .. " has no init; install Debian's busybox-static"
    end
    self:copy("/bin/busybox", host_path, 0x1ed)
    for applet in list:gmatch("[^\n]+") do
        if not self:has("/" .. applet) then
            self:symlink("/" .. applet, "/bin/busybox")
        end
    end
    return true
end

--- Find the module files that give the named modules, dependencies first.
-- directory: the host's lib/modules/RELEASE with modules.dep and modules.builtin.
-- Returns an array of paths relative to it (none for a module built into the kernel),
-- or nil and a message.
function initramfs.module_order(directory, names)
    local index, message = modules.installed(directory)
    if not index then
        return nil, message
    end
    return index:order(names)
end

--- Add kernel modules with what they depend on, under /lib/modules/RELEASE.
-- Returns the paths in the tree in the order insmod wants them, or nil and a message.
function Tree:modules(directory, names)
    local order, message = initramfs.module_order(directory, names)
    if not order then
        return nil, message
    end
    for index, path in ipairs(order) do
        order[index] = ("/lib/modules/%s/%s"):format(directory:match("([^/]+)/*$"), path)
        self:copy(order[index], directory .. "/" .. path)
    end
    return order
end

--- Pass the tree to put(bytes) as one cpio archive; returns true, or nil and a message.
function Tree:emit(put)
    local writer = cpio.writer(put)
    for _, path in ipairs(self.order) do
        local entry = self.entries[path]
        if entry.kind == "host_file" then
            local ok, message = writer:host_file(path, entry.host_path, entry.mode)
            if not ok then
                return nil, message
            end
        elseif entry.kind == "symlink" then
            writer:symlink(path, entry.target)
        elseif entry.kind == "device" then
            writer:device(path, entry.device, entry.major, entry.minor, entry.mode)
        elseif entry.kind == "file" then
            writer:file(path, entry.text, entry.mode)
        else
            writer:directory(path, entry.mode)
        end
    end
    writer:finish()
    return true
end

--- Write the tree to a host file. options.gzip: compress it with the host's gzip.
-- Returns true, or nil and a message.
function Tree:write(path, options)
    local file, message
    if options and options.gzip then
        file, message = io.popen("gzip -n -6 >" .. process.quote(path), "w")
    else
        file, message = io.open(path, "wb")
    end
    if not file then
        return nil, message
    end
    local failed
    local ok, why = self:emit(function(bytes)
        failed = failed or not file:write(bytes)
    end)
    if not file:close() or failed then
        return nil, path .. ": cannot be written whole (disk full?)"
    end
    return ok, why
end

return initramfs
