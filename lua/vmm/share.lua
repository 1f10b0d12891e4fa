-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Folders of the host that a guest mounts (virtio-fs), by virtiofsd: the one of QEMU's package, in
-- C, or the one in Rust that has replaced it.

local core = require "vmm.core"
local process = require "vmm.process"
local vhost_user = require "vmm.vhost_user"

local share = {}

local NAMES = { "virtiofsd", "/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd" }
local PACKAGE = "qemu-system-common (Debian 12) or virtiofsd"
local FD = "--fd=" .. vhost_user.FD

--- Checks what one option says as a whole.
-- @return nil, or what is wrong
function share.mistake(options)
    if (options.path == nil) == (options.socket == nil) then
        return "give one of: path=FOLDER, socket=PATH"
    elseif options.socket and (options.readonly or options.sandbox) then
        return (options.readonly and "readonly" or "sandbox") .. ": only with path=FOLDER"
    end
end

-- ---- the daemon -------------------------------------------------------------------------

-- Is the root of the file system an initramfs? There pivot_root(2), which a sandbox of namespaces
-- needs, fails.
local function root_is_ramfs()
    local file <close> = io.open("/proc/mounts", "r")
    for line in file and file:lines() or function() end do
        if line:match "^%S+ / rootfs " then return true end
    end
    return false
end

-- A value among the options of the one in C.
local function escape(value)
    return (value:gsub("[\\,]", "\\%0"))
end

local function options_of_c(folder, sandbox)
    if sandbox == "none" then
        return nil, "sandbox=none: this host's virtiofsd has namespace and chroot", "ENOTSUP"
    end
    return { FD, "-f", "-o", "source=" .. escape(folder), "-o", "sandbox=" .. sandbox,
        "-o", "log_level=err" }
end

local function options_of_rust(folder, sandbox)
    return { FD, "--shared-dir", folder, "--sandbox", sandbox, "--log-level", "error" }
end

-- Neither of them has always had an option for this: the folder is mounted read-only, where the
-- daemon sees it and nobody else.
local READONLY = [[mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"]]

-- The whole of the host's files, which are seen where a folder of it is else, with all that is
-- mounted in them but for what the host's kernel makes. That nothing is left out which can be
-- written is seen to one by one, by /proc/self/mountinfo, which escapes some bytes.
local READONLY_ROOT = [[
mount --rbind / "$0" || exit
for name in proc sys dev run; do umount -l "$0/$name" 2>/dev/null; done
while read -r _ _ _ _ point _; do
    case $point in
    "$0" | "$0"/*) mount -o remount,bind,ro "$(printf %b "$point")" || exit ;;
    esac
done </proc/self/mountinfo
exec "$@"]]

-- Folders that nobody keeps anything in that a daemon needs.
local ROOT_AT = { "/mnt", "/media", "/srv", "/tmp" }

local function existing(folders)
    for _, folder in ipairs(folders) do
        if core.file_kind(folder) == "directory" then return folder end
    end
end

--- What starts a daemon for a folder.
-- @return argv; or nil, message, code
function share.daemon(options)
    local path, message, code = vhost_user.find(NAMES, PACKAGE)
    if not path then return nil, message, code end
    local is_rust = (process.capture({ path, "--help" }, { stderr = "merge" }) or "")
        :find("--shared-dir", 1, true)
    -- A daemon that makes a sandbox is no longer where it was started.
    local folder = options.path
    if folder:sub(1, 1) ~= "/" then
        folder = (process.current_directory() or ".") .. "/" .. folder
    end
    local script = READONLY
    if options.readonly and folder:find "^/+$" then
        folder, script = existing(ROOT_AT), READONLY_ROOT
    end
    local sandbox = options.sandbox or root_is_ramfs() and "chroot" or "namespace"
    local words
    words, message, code = (is_rust and options_of_rust or options_of_c)(folder, sandbox)
    if not words then return nil, message, code end
    local argv = vhost_user.command(table.move(words, 1, #words, 2, { path }))
    local is_root = process.is_root()
    if options.readonly then
        argv = table.move(argv, 1, #argv, 5, { "sh", "-c", script, folder })
    end
    -- Without root a sandbox needs a user namespace.
    if options.readonly or not is_root and sandbox ~= "none" then
        local unshare = { "unshare", options.readonly and "--mount" or nil }
        if not is_root then unshare[#unshare + 1] = "--map-root-user" end
        argv = table.move(argv, 1, #argv, #unshare + 1, unshare)
    end
    return argv
end

-- ---- the device -------------------------------------------------------------------------

--- Gives a machine a folder of the host.
-- @param parts    of vmm.vm's setup
-- @param options  { path = | socket =, tag =, readonly =, sandbox = }
-- @return true; or nil, message, code
function share.add(vm, parts, options)
    local name = "share " .. options.tag
    local argv, message, code
    if options.path then
        if not process.capture { "test", "-d", options.path } then
            return nil, ("%s: %s is not a folder"):format(name, options.path), "ENOTDIR"
        end
        argv, message, code = share.daemon(options)
        if not argv then return nil, name .. ": " .. message, code end
    end
    local device
    device, message, code = vhost_user.add(vm, parts, {
        device = "fs", name = name, tag = options.tag, argv = argv, socket = options.socket,
    })
    if not device then return nil, message, code end
    vm.shares = vm.shares or {}
    table.insert(vm.shares, {
        tag = options.tag, path = options.path, readonly = options.readonly, virtio = device,
    })
    return true
end

return share
