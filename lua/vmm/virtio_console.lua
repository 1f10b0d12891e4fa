-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The virtio console of a machine: vm.hvc is its hvc0, vm.ports.NAME are its named ports.

local console = require "vmm.console"
local core = require "vmm.core"
local terminal = require "vmm.terminal"
local virtio = require "vmm.virtio"

local virtio_console = {}

-- The size of hvc0: as given, or the terminal's that it is shown on; 0: not known.
local function size_of(options, hvc)
    local rows, cols
    if hvc.on_terminal then
        rows, cols = core.terminal.size()
    end
    return options.cols or cols or 0, options.rows or rows or 0
end

local function new_hvc(vm, options)
    return console.new(vm, {
        to = options.to,
        on_key = function(key)
            terminal.on_key(vm, key)
        end,
        on_text = function()
            vm:on_last_words(vm.hvc)
        end,
    })
end

-- The consoles of all ports, as core.virtio_console wants them.
local function add_ports(vm, options)
    local list = { { console = vm.hvc.core } }
    for _, port in ipairs(options.ports or {}) do
        local made, message, code = console.new(vm, { to = port.to })
        if not made then return nil, ("port %s: %s"):format(port.name, message), code end
        vm.ports[port.name] = made
        list[#list + 1] = { console = made.core, name = port.name }
    end
    return list
end

--- Gives a machine its virtio console.
-- @param parts    of vmm.vm's setup
-- @param options  { to =, ports = { { name =, to = }, ... }, cols =, rows = }
-- @return true; or nil, message, code
function virtio_console.add(vm, parts, options)
    local list, device, message, code
    vm.ports = {}
    vm.hvc, message, code = new_hvc(vm, options)
    if not vm.hvc then return nil, message, code end
    list, message, code = add_ports(vm, options)
    if not list then return nil, message, code end
    local cols, rows = size_of(options, vm.hvc)
    device, message, code = core.virtio_console { vm = vm, ports = list, cols = cols, rows = rows }
    if not device then return nil, message, code end
    vm.hvc.sized = function(new_cols, new_rows)
        return core.virtio_console_resize(device, new_cols, new_rows)
    end
    return virtio.add(vm, parts, device)
end

return virtio_console
