-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Disks that a daemon serves (vhost-user-blk): images that are not raw, by qemu-storage-daemon, and
-- whatever listens on a socket.

local json = require "vmm.json"
local vhost_user = require "vmm.vhost_user"

local storage = {}

local NAMES = { "qemu-storage-daemon" }
local PACKAGE = "qemu-system-common"

-- How the image is opened. Its format is what was said, never what its bytes look like.
local function image(options)
    return json.encode {
        driver = options.format,
        ["node-name"] = "disk",
        ["read-only"] = options.readonly,
        discard = "unmap",
        cache = { direct = options.direct, ["no-flush"] = false },
        file = {
            driver = "file",
            filename = options.path,
            ["read-only"] = options.readonly,
            discard = "unmap",
            cache = { direct = options.direct, ["no-flush"] = false },
        },
    }
end

--- What starts a daemon for an image.
-- @return argv; or nil, message, code
function storage.daemon(options)
    local path, message, code = vhost_user.find(NAMES, PACKAGE)
    if not path then return nil, message, code end
    return vhost_user.command {
        path, "--blockdev", image(options), "--export",
        ("type=vhost-user-blk,id=export,node-name=disk,addr.type=fd,addr.str=%d,writable=%s,"
            .. "num-queues=%d"):format(vhost_user.FD, options.readonly and "off" or "on",
            options.queues),
    }
end

--- Adds a disk to a machine.
-- @param options  { path =, format =, readonly =, direct =, queues = } or { socket =, queues = }
-- @return virtio; or nil, message, code
function storage.add(vm, parts, options)
    local name = "block " .. (options.path or options.socket)
    local argv, message, code
    if options.path then
        local file <close>, why = io.open(options.path, options.readonly and "rb" or "r+b")
        if not file then return nil, "block: " .. why, "ENOENT" end
        argv, message, code = storage.daemon(options)
        if not argv then return nil, name .. ": " .. message, code end
    end
    local device
    device, message, code = vhost_user.add(vm, parts, {
        device = "block", name = name, queues = options.queues, argv = argv,
        socket = options.socket,
    })
    if not device then
        -- It repeats what it was given before it says what is wrong with it.
        return nil, (message:gsub("(exit code %d+: ).*}: ", "%1")), code
    end
    return device
end

return storage
