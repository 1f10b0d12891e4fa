-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The prompt of a user at the terminal, or of lines from a file: who it talks to, and what it has
-- in scope.

local alive = require "vmm.alive"
local beside = require "vmm.prompt.beside"
local core = require "vmm.core"
local editor = require "vmm.prompt.editor"
local prompt = require "vmm.prompt"
local sched = require "vmm.sched"
local terminal = require "vmm.terminal"

local session = {}

-- vm, where there is one that nobody has named, and vms, where there are several.
local function add_vms(globals, vms)
    if globals.vm == nil then rawset(globals, "vm", vms[1]) end
    if #vms > 1 and globals.vms == nil then rawset(globals, "vms", vms) end
end

-- xpcall of what was typed, which Ctrl-C ends.
local function interruptible(fn, handler, ...)
    core.terminal.interruptible(prompt.INTERRUPTED)
    local results = table.pack(xpcall(fn, handler, ...))
    core.terminal.interruptible(nil)
    return table.unpack(results, 1, results.n)
end

local function handle_notices(reader)
    local interrupted, resized = core.terminal.take_notices()
    if resized then reader:resize() end
    if interrupted and not reader:interrupt() then sched.break_in(prompt.INTERRUPTED) end
end

-- Everything that is to be undone when the prompt is left, whatever ends it.
local Undo = {}

function Undo:__close()
    sched.set_foreground(self.foreground)
    core.terminal.catch(false)
    if self.watch then self.watch:close() end
    self.reader:close()
    terminal.restore()
    self.beside:leave(function()
        if not terminal.interrupted() then core.terminal.raw() end
        terminal.give_typed(self.to)
    end)
end

local function run_interactive(globals, to)
    local reader, message = editor.new { globals = globals }
    local others = beside.new {
        write = terminal.write,
        notice = function(text)
            reader:notice(text)
        end,
    }
    local undo <close> = setmetatable({
        reader = reader,
        beside = others,
        to = to,
        foreground = sched.set_foreground(sched.current()),
    }, Undo)
    core.terminal.catch(true)
    undo.watch = assert(core.watch(core.terminal.notice_fd(), "r", function()
        handle_notices(reader)
    end))
    others:add(alive.list())
    if to then terminal.write "\n" end -- the guest's last line may have no end
    if message then reader:notice(("[%s]"):format(message)) end
    prompt.run({
        hex = true,
        write = terminal.write,
        interrupted = terminal.interrupted,
        read_line = function(shown)
            others:add(alive.list())
            return reader:read_line(shown)
        end,
        xpcall = interruptible,
    }, globals)
end

-- Runs a prompt to its end; on a terminal with editing, history and completion.
-- globals: the environment of what is typed; vms in scope are added.
-- to: the VM whose console gets what was typed after the end.
function session.run(globals, to)
    add_vms(globals, alive.list())
    if terminal.is_tty() and core.terminal.shows() then
        return run_interactive(globals, to)
    end
    return prompt.run({
        write = terminal.write,
        interrupted = terminal.interrupted,
        read_line = terminal.read_line,
    }, globals)
end

-- Gives the terminal to the console of a VM that had only been captured: what its guest has printed
-- is shown, then keys go to it.
function session.adopt(vm)
    beside.adopt(vm, terminal.write)
    terminal.give_typed(vm)
end

return session
