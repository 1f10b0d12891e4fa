-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Files into a guest and out of it, piece by piece over the channel, with a checksum: vm:put and
-- vm:get.

local argument = require "vmm.argument"
local channel = require "vmm.scenario.channel"
local commands = require "vmm.scenario.commands"
local process = require "vmm.process"
local record = require "vmm.scenario.record"
local refusal = require "vmm.scenario.refusal"
local verbs = require "vmm.scenario.verbs"

local files = {}

local PIECE = 1 << 20
local SERIAL_PIECE = 64 << 10 -- of what goes into a guest: a command's input at a time
local DATA_MAX = 256 << 20 -- of what vm:get returns; more goes to a file
local SECONDS = 60 -- for each piece
local MODE = "0644"

-- ---- helpers ----------------------------------------------------------------------------

local function sha256(path)
    local line = process.line { "sha256sum", "--", path }
    return assert(line and line:match "^\\?(%x+)", "this host has no sha256sum")
end

-- The sum of a string.
local function sum_of(bytes)
    local path = os.tmpname()
    local file = assert(io.open(path, "wb"))
    assert(file:write(bytes))
    assert(file:close())
    local sum = sha256(path)
    os.remove(path)
    return sum
end

local function failed(vm, what, code, why, output)
    return refusal.new(vm, { subject = what, code = code, why = why, output = output })
end

-- Runs a part of a transfer: its output; or nil, error, code. what: the transfer in words.
local function run(vm, what, script, options)
    local result, err, code = vm:try_run(script, options)
    if not result then return nil, err, code end
    if result.status ~= 0 then
        return failed(vm, what, "status", "failed with status " .. result.status, result.output)
    end
    return result.output
end

local function too_large(vm, what, size)
    return failed(vm, what, "E2BIG", ("has %d bytes; a serial port carries up to %d: use a disk, a"
        .. " shared folder, or a guest with a driver for virtio consoles"):format(size,
        commands.SERIAL_MAX))
end

-- ---- put --------------------------------------------------------------------------------

-- The mode as chmod takes it; nil: none is given.
local function mode_of(what, level, mode)
    if mode == nil then return nil end
    if math.type(mode) == "integer" and mode >= 0 and mode <= 4095 then
        return ("%04o"):format(mode)
    end
    argument.check(type(mode) == "string" and mode:match "^[0-7][0-7]?[0-7]?[0-7]?$",
        what .. ": mode", 'bits, as an integer or an octal text such as "0755"', mode, level + 1)
    return mode
end

-- Returns the options, and the mode.
local function check_put(what, level, options)
    options = argument.options(what, options, { "from", "data", "to", "mode", "timeout" }, level)
    argument.type(what .. ": to", options.to, "string", level)
    if (options.from == nil) == (options.data == nil) then
        error(what .. ": give one of from (a path of this host) and data (a string)", level - 1)
    end
    argument.type(what .. (options.from and ": from" or ": data"), options.from or options.data,
        "string", level)
    return options, mode_of(what, level, options.mode)
end

local function mode_of_host_file(path)
    local known = path and process.stat1(path)
    return known and ("%04o"):format(known.mode) or MODE
end

-- The script that takes a piece; the last one checks the whole and puts it in its place.
local function put_script(part, to, first, last)
    local script = ("cat %s%s"):format(first and ">" or ">>", part)
    if first then
        script = ("if [ -d %s ]; then echo 'there is a folder'; false; fi && "):format(to) .. script
    end
    if last then
        script = script .. ([[ && sum=$(sha256sum <%s) && {
            [ "${sum%%%% *}" = %s ] || { echo "another checksum: $sum"; false; }
        } && chmod %s %s && mv -f -- %s %s]]):format(part, last.sum, last.mode, part, part, to)
    end
    return ("{ %s; } || { rm -f -- %s; exit 1; }"):format(script, part)
end

local function send(vm, what, source, options, about)
    local part = process.quote(("%s.vmm-%08x"):format(options.to, math.random(0) & 0xffffffff))
    local to = process.quote(options.to)
    local sent = 0
    repeat
        local bytes = source:read(about.piece) or ""
        sent = sent + #bytes
        local last = sent >= about.size
        if bytes == "" and not last then
            return failed(vm, what, "EIO", "became shorter while it was read")
        end
        local ok, err, code = run(vm, what, put_script(part, to, sent == #bytes, last and about),
            { input = bytes, timeout = options.timeout or SECONDS })
        if not ok then return nil, err, code end
    until last
    return true
end

local function put(vm, options, mode)
    local text = ("put %s"):format(options.to)
    local step <close> = record.step("file", text, vm)
    local path = options.from or os.tmpname()
    if options.data then
        local file <close> = assert(io.open(path, "wb"))
        assert(file:write(options.data))
    end
    local source <close>, message = io.open(path, "rb")
    if options.data then os.remove(path) end
    if not source then return failed(vm, text, "ENOENT", "cannot be done: " .. message) end
    local size = source:seek "end"
    source:seek "set"
    local kind, err, code = channel.of(vm):await(options.timeout or SECONDS)
    if not kind then return nil, err, code end
    if kind == "serial" and size > commands.SERIAL_MAX then return too_large(vm, text, size) end
    local done
    done, err, code = send(vm, text, source, options, {
        size = size, mode = mode or mode_of_host_file(options.from),
        piece = kind == "serial" and SERIAL_PIECE or PIECE,
        sum = options.data and sum_of(options.data) or sha256(path),
    })
    step:finish(done, done and size .. " bytes" or err)
    return done, err, code
end

-- ---- get --------------------------------------------------------------------------------

-- A file of one piece comes with its checksum, both of a copy: also one of /proc, which is another
-- each time it is read. Of a larger one comes the size.
local GET_SMALL = [[
for place in /run /tmp /dev; do
    copy=$(mktemp "$place/vmm-get.XXXXXX" 2>/dev/null) && break
done
trap 'rm -f "$copy"' EXIT
head -c %d <%s >"$copy" || exit
if [ $(($(wc -c <"$copy"))) -le %d ]; then
    echo "small $(sha256sum <"$copy")"
    cat "$copy"
elif [ -f %s ]; then
    echo "large $(($(wc -c <%s)))"
else
    echo "it has no end that is known"
    exit 1
fi
]]

local function check_get(what, level, options)
    options = argument.options(what, options, { "from", "to", "timeout" }, level)
    argument.type(what .. ": from", options.from, "string", level)
    if options.to ~= nil then argument.type(what .. ": to", options.to, "string", level) end
    return options
end

-- Writes a large file, piece by piece, and compares.
local function receive(vm, what, from, size, target, seconds)
    local got = 0
    while got < size do
        local script = ("dd if=%s bs=%d skip=%d count=1 2>/dev/null"):format(from, PIECE,
            got // PIECE)
        local bytes, err, code = run(vm, what, script, { timeout = seconds })
        if not bytes then return nil, err, code end
        if #bytes ~= math.min(PIECE, size - got) then
            return failed(vm, what, "EIO", "changed its size while it was read")
        end
        got = got + #bytes
        local ok, message = target:write(bytes)
        if not ok then return failed(vm, what, "EIO", "cannot be written here: " .. message) end
    end
    return run(vm, what, "sha256sum <" .. from, { timeout = seconds })
end

local function get_large(vm, what, from, size, path, seconds)
    local target <close>, message = io.open(path, "wb")
    if not target then
        return failed(vm, what, "EACCES", "cannot be written here: " .. message)
    end
    local sum, err, code = receive(vm, what, from, size, target, seconds)
    if not sum then return nil, err, code end
    local ok
    ok, message = target:close()
    if not ok then return failed(vm, what, "EIO", "cannot be written here: " .. message) end
    if sum:match "^%x+" ~= sha256(path) then
        return failed(vm, what, "checksum", "changed while it was read, or came wrong")
    end
    return true
end

local function read_all(path)
    local file <close> = assert(io.open(path, "rb"))
    return file:read "a"
end

-- A large file, whose size is known.
local function large(vm, what, options, size, seconds)
    if channel.of(vm).kind == "serial" then return too_large(vm, what, size) end
    if not options.to and size > DATA_MAX then
        return failed(vm, what, "E2BIG", ("has %d bytes; more than %d go to a file only"):format(
            size, DATA_MAX))
    end
    local path = options.to or os.tmpname()
    local from = process.quote(options.from)
    local ok, err, code = get_large(vm, what, from, size, path, seconds)
    local data = ok and not options.to and read_all(path)
    if not options.to then os.remove(path) end
    if not ok then return nil, err, code end
    return data or true
end

local function small(vm, what, options, sum, bytes)
    if sum_of(bytes) ~= sum then
        return failed(vm, what, "checksum", "came with another checksum")
    elseif not options.to then
        return bytes
    end
    local file <close>, message = io.open(options.to, "wb")
    if not file or not file:write(bytes) then
        return failed(vm, what, "EACCES", "cannot be written here: "
            .. (message or options.to .. ": is the disk full?"))
    end
    return true
end

local function get(vm, options)
    local text = "get " .. options.from
    local step <close> = record.step("file", text, vm)
    local from, seconds = process.quote(options.from), options.timeout or SECONDS
    local output, err, code = run(vm, text, GET_SMALL:format(PIECE + 1, from, PIECE, from, from),
        { timeout = seconds })
    if not output then return nil, err, code end
    local sum, at = output:match "^small (%x+)[^\n]*\n()"
    local size = tonumber(output:match "^large (%d+)\n$")
    local got
    if sum then
        got, err, code = small(vm, text, options, sum, output:sub(at))
    elseif size then
        got, err, code = large(vm, text, options, size, seconds)
    else
        got, err, code = failed(vm, text, "status", "makes no sense", output)
    end
    step:finish(got ~= nil, err)
    return got, err, code
end

verbs { put = { check_put, put }, get = { check_get, get } }

return files
