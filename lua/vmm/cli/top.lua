-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vmm-reference top FILE: the live view of a VM that writes its metrics to FILE.

local frame = require("vmm.top").frame
local json = require "vmm.json"
local terminal = require "vmm.terminal"

local top = {}

local USAGE = [[
usage: vmm-reference top [-n FRAMES] FILE

Shows what a virtual machine does, anew whenever it has written its metrics, until
it ends.  The machine is started with --metrics path=FILE (in a script: the option
metrics of vmm.vm).  -n: end after so many frames.
]]

local PATIENCE = 3 -- so often may a file miss its time before the machine is given up
local LOOK_SECONDS = 0.1

-- { file =, frames = } or nil, message
local function parse(args)
    local options, at = {}, 1
    while args[at] do
        local word = args[at]
        if word == "-n" then
            at = at + 1
            options.frames = math.tointeger(tonumber(args[at] or ""))
            if not options.frames or options.frames < 1 then
                return nil, "top: -n needs a number of frames, 1 or more"
            end
        elseif word == "-h" or word == "--help" then
            options.help = true
        elseif word:sub(1, 1) == "-" and #word > 1 then
            return nil, "top: unknown option " .. word .. "; vmm-reference top --help"
        elseif options.file then
            return nil, "top: one FILE, not " .. options.file .. " and " .. word
        else
            options.file = word
        end
        at = at + 1
    end
    if not options.file and not options.help then
        return nil, "top: which FILE? that of --metrics path=FILE; vmm-reference top --help"
    end
    return options
end

-- The table in a file, or nil, message.
local function read(path)
    local file <close>, message = io.open(path, "r")
    if not file then return nil, "top: " .. message end
    local text = file:read "a"
    local now
    now, message = json.decode(text or "")
    if not now then
        return nil, ("top: %s: %s; the machine writes it by --metrics path=%s,format=json")
            :format(path, message, path)
    elseif type(now) ~= "table" or type(now.vcpus) ~= "table" or type(now.time) ~= "number" then
        return nil, ("top: %s has no metrics of a machine in it"):format(path)
    end
    return now
end

-- Is standard output a terminal?
local function on_terminal()
    return os.execute "test -t 1" == true
end

-- The next table after one, or nil, message when none comes in time.
local function await_next(path, before)
    local vmm = require "vmm"
    local deadline = vmm.now() + PATIENCE * math.max(before.every or 1, 1)
    repeat
        vmm.sleep(LOOK_SECONDS)
        local now, message = read(path)
        if not now then return nil, message end
        if now.time ~= before.time or now.stopped then return now end
    until vmm.now() > deadline
    return nil, ("top: %s is not written any more: %s has gone"):format(path, before.vm)
end

local function show(now, before, clear)
    local ok, text = pcall(frame, now, before)
    if not ok then return nil, "top: the metrics are not of this version" end
    terminal.write(clear and "\27[H\27[J" .. text or text .. "\n")
    return true
end

local function follow(options)
    local clear = on_terminal()
    local shown, before = 0, nil
    local now, message = read(options.file)
    while now do
        local ok
        ok, message = show(now, before, clear)
        shown = shown + 1
        if not ok then return 1, message end
        if now.stopped or shown == options.frames then return 0 end
        before = now
        now, message = await_next(options.file, before)
    end
    return 1, message
end

-- Runs; returns an exit code, and a message when something is to be said.
function top.main(args)
    local options, message = parse(args)
    if not options then return 2, message end
    if options.help then
        terminal.write(USAGE)
        return 0
    end
    local ok, code, more = terminal.run(follow, options)
    if ok then return code, more end
    if type(code) == "table" and code.code == "interrupted" then return 0 end
    return 1, tostring(code)
end

return top
