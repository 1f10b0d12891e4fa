-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The blocks that a build may leave out (src/features.mk), and what scripts find of them then:
-- one line that says so.

local core = require "vmm.core"

local features = {}

-- What each block gives. "rtc" is a function of the core, "load.elf" one of core.load, "vm:tap" a
-- method of a class, "vmm.lab" a module (later.lua knows the methods of those). What is missing
-- answers nil, message, "ENOTSUP"; a module raises the message when it is required.
local GIVES = {
    serial = { "serial" },
    i8042 = { "i8042" },
    rtc = { "rtc" },
    pvpanic = { "pvpanic" },
    debug_port = { "debug_port" },
    acpi = { "acpi_power", "acpi_events", "vmm.x86.acpi", "vmm.x86.acpi_events",
        "vmm.x86.acpi_resource", "vmm.x86.aml" },
    mptable = { "vmm.x86.mptable" },
    tap = { "vm:tap" },
    doorbell = { "vm:doorbell" },
    elf = { "load.elf", "load.elf_inspect", "load.relocate", "vmm.boot.linux64", "vmm.boot.pvh" },
    bzimage = { "load.bzimage", "load.bzimage_inspect", "load.unpack", "load.formats" },
    pty = { "console_core:attach_pty" },
    unix = { "console_core:attach_unix" },
    virtio = { "virtio_rng", "virtio_mmio", "vmm.virtio", "virtio_net", "net_tap", "net_fault",
        "net_station", "vmm.station",
        "vmm.virtio_net", "vmm.link", "vmm.net_fault", "virtio_vsock", "vmm.virtio_vsock",
        "virtio_console", "virtio_console_resize", "vmm.virtio_console", "virtio_balloon",
        "virtio_balloon_set", "virtio_balloon_actual", "virtio_balloon_ask",
        "virtio_balloon_stats", "vmm.virtio_balloon", "virtio_block", "vmm.virtio_block",
        "vmm.virtio_block_backend" },
    user_net = { "net_user" },
    pci = { "pci_host", "virtio_pci", "vmm.pci" },
    vhost_user = { "vhost_user", "vhost_user_failure", "vmm.vhost_user", "vmm.share",
        "vmm.storage" },
    socket = { "vmm.socket" },
    line_editor = { "line_editor" },
    metrics = { "vmm.metrics", "vmm.trace", "vmm.top", "vmm.cli.top", "vmm.observe" },
    debug = { "vmm.debug" },
    symbols = { "vmm.symbol_file" },
    disassemble = { "vmm.inspect.disassemble" },
    gdb = { "vmm.gdb" },
    guests = { "vmm.guests", "vmm.debian", "vmm.initramfs", "vmm.modules", "vmm.cpio" },
    scenario = { "vmm.scenario", "vmm.guest", "vmm.test", "vmm.report" },
    lab = { "vmm.lab" },
}

--- What to say of a block that is not built in.
local function refusal(feature)
    return ('this build has no "%s" (make FEATURES=...)'):format(feature)
end

--- Is a block built in?  Raises for a name that no block has.
function features.has(feature)
    local built = core.features[feature]
    if built == nil then
        error(("no feature is called %q"):format(feature), 2)
    end
    return built
end

--- What to say when one of a list of blocks (or nil) is not built in; nil when all are.
function features.lacking(list)
    for _, feature in ipairs(list or {}) do
        if not features.has(feature) then
            return refusal(feature)
        end
    end
    return nil
end

--- The names of the blocks that are built in, sorted.
function features.names()
    local names = {}
    for name, built in pairs(core.features) do
        names[#names + 1] = built and name or nil
    end
    table.sort(names)
    return names
end

--- What a script finds instead of a function of a block that is not built in.
function features.absent(name, feature)
    local message = name .. ": " .. refusal(feature)
    return function()
        return nil, message, "ENOTSUP"
    end, message
end

local function stand_in(name, feature)
    local class, method = name:match "^([%w_]+):([%w_]+)$"
    local public = (class or name:find "^vmm%.") and name or "vmm." .. name
    local absent, message = features.absent(public, feature)
    if class then
        core.classes["vmm." .. class][method] = absent
    elseif public == name then
        package.preload[name] = function()
            error(message, 0)
        end
    elseif name:find "^load%." then
        core.load[name:sub(6)] = absent
    else
        core[name] = absent
    end
end

for feature, names in pairs(GIVES) do
    for _, name in ipairs(features.has(feature) and {} or names) do
        stand_in(name, feature)
    end
end

return features
