-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A console whose guest is a string: what the core would have captured.

local console = require "vmm.console"

local fake_console = {}

local READ_BYTES = 65536

-- Makes the console of a guest that has printed nothing; on_input(bytes) is told of what is sent.
-- vm: that of another console, whose VM has this one as well. Returns it and print(bytes).
function fake_console.new(options, on_input, vm)
    local printed = ""
    local core = {}
    function core.capture(_, position)
        local bytes = printed:sub(position + 1, position + READ_BYTES)
        return bytes, position + #bytes, 0
    end
    function core.watch_text()
        return true
    end
    function core.notify_output()
        return true
    end
    function core.total()
        return #printed
    end
    function core.flush()
        return true
    end
    function core.input(_, bytes)
        if on_input then on_input(bytes) end
        return #bytes
    end
    if not vm then
        vm = { name = "fake", closed = false }
        function vm.watch_end() end
        function vm.stopped() end
    end
    function vm.create_console()
        return core
    end
    return assert(console.new(vm, options)), function(bytes)
        printed = printed .. bytes
    end
end

return fake_console
