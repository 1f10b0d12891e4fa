-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What the command line needs of the world, in one table that tests replace.

local host = {}

--- Let os.exit stop machines and drain consoles, unless it is told not to; a
--- handler on a vCPU's thread can't wait for that thread to stop.
local function exit_in_order(core)
    local exit = os.exit
    function os.exit(code, close) -- luacheck: ignore
        exit(code, close ~= false and not core.in_handler())
    end
end

--- The real one:
--   version            of the program
--   formats()          list of the kernel payloads that are unpacked
--   write(text)        to standard output
--   complain(message)  one message to standard error
--   note(message)      the same for what is no complaint
--   prompt(globals)    run a prompt to its end
--   adopt(vm)          give the terminal, if there is one, to a VM's console
--   await_prompt()     wait until a prompt beside a machine is left
--   vmm()              the module vmm
--   run(fn, ...)       call fn as the main task: true and its results, or
--                      false, the error, a traceback
--   limit(seconds, name)  let every wait fail after a time; returns a function
--                      that returns the error once that time is over
--   interrupted()      exit code of the signal that asked to end, or nil
function host.new()
    local core = require "vmm.core"
    local terminal = require "vmm.terminal"
    exit_in_order(core)
    local on = {
        version = core.version,
        formats = core.load.formats,
        write = terminal.write,
        prompt = terminal.prompt,
        adopt = terminal.adopt,
        run = terminal.run,
        limit = terminal.limit,
        interrupted = terminal.interrupted,
        await_prompt = terminal.await_prompt,
    }

    function on.complain(message)
        io.stderr:write("vmm-reference: ", message, "\n")
    end
    on.note = on.complain

    function on.vmm()
        return require "vmm"
    end

    return on
end

return host
