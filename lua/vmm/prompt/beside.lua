-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- VMs beside a prompt: the terminal is taken from their consoles and given back, their ends told.

local terminal = require "vmm.terminal"

local beside = {}

local SHOWN_BYTES = 8192 -- of what a guest printed meanwhile
local ROUNDS = 100 -- in which what it prints while that is shown is shown, too

-- Takes the terminal from a VM's console, if it has it: its guest gets no keys, and what it
-- prints is only captured. Returns what give_back needs.
local function take(vm)
    local console = not vm.closed and terminal.console_of(vm)
    if not console or not console.on_terminal then return nil end
    console.core:hold_input(true)
    return { vm = vm, core = console.core, from = console.core:hold_output() }
end

-- Where to begin with the output from a position on, and a line about what is left out.
local function begin(core, from)
    local skipped = core:total() - from - SHOWN_BYTES
    if skipped <= 0 then return from, "" end
    return from + skipped, ("[%d bytes that the guest printed are not shown]\n"):format(skipped)
end

-- Shows what the guest has printed meanwhile, then lets it print to the terminal again.
local function give_back(held, write)
    local core = held.core
    local position, text = begin(core, held.from)
    write(text)
    for _ = 1, ROUNDS do
        text, position = core:capture(position)
        write(text)
        if core:release_output(position) then break end
    end
    core:release_output()
end

-- Gives the terminal to the console of a VM.
function beside.adopt(vm, write)
    local core = vm.console.core
    core:hold_output()
    vm.console:attach_terminal()
    give_back({ vm = vm, core = core, from = 0 }, write)
end

local function words(vm, stop)
    local name = vm.closed and "vm" or vm.name
    local text = stop.text ~= "" and stop.text and " (" .. stop.text:gsub("%c", " ") .. ")" or ""
    return ("[%s has ended: %s%s]"):format(name, stop.reason, text)
end

local Beside = {}
Beside.__index = Beside

local function add(self, vm)
    self.known[vm] = true
    self.held[#self.held + 1] = take(vm)
    if vm:stopped() then return end
    vm:watch_end()
    self.subscriptions[#self.subscriptions + 1] = vm:on("stop", function(stop)
        self.notice(words(vm, stop))
    end)
end

-- Takes the terminal from those VMs of an array that are new, and tells of their ends.
function Beside:add(vms)
    for _, vm in ipairs(vms) do
        if not self.known[vm] then add(self, vm) end
    end
end

-- Shows what the guests have printed meanwhile, and gives the terminal back to their consoles;
-- ready() is called before, when there is one.
function Beside:leave(ready)
    for _, subscription in ipairs(self.subscriptions) do
        subscription:remove()
    end
    local open = {}
    for _, held in ipairs(self.held) do
        if not held.vm.closed then open[#open + 1] = held end
    end
    for _, held in ipairs(open) do
        give_back(held, self.write)
    end
    if open[1] then ready() end
    for _, held in ipairs(open) do
        held.core:hold_input(false)
    end
end

-- options: write = function(text); notice = function(text): a VM has ended
function beside.new(options)
    return setmetatable({
        write = options.write,
        notice = options.notice,
        known = {},
        held = {},
        subscriptions = {},
    }, Beside)
end

return beside
