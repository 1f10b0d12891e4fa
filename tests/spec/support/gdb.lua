-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Debian's gdb, run on a script of ours: the VM is in one process, gdb in another.

local process = require "vmm.process"
local vmm = require "vmm"

local gdb = {}

-- Of one command of gdb's.
local SECONDS = 60 * (tonumber(os.getenv "VMM_TIMEOUT_SCALE") or 1)

-- The script begins with this: dir, vmm, and serve(vm), to be called when gdb may come.
local PROLOGUE = [[
local dir = ...
package.path = "./?.lua;" .. package.path
local vmm = require "vmm"
local function serve(vm, options)
    options = options or {}
    options.unix = dir .. "/gdb"
    local server = assert(vm:gdb(options))
    assert(io.open(dir .. "/ready", "w")):close()
    return server
end
-- As the user's Ctrl-C, once gdb has run "interrupt-me".
local function interrupt()
    os.execute("kill -INT $(cat " .. dir .. "/pid)")
end
]]

-- Starts the script; when it serves, starts gdb; when gdb has ended, waits for the script.
local SHELL = [[
dir=$1 vmm=$2 seconds=$3
shift 3
mkfifo "$dir/ready"
# Who ends without having served lets the read go on.
{ timeout "$seconds" "$vmm" "$dir/vm.lua" "$dir" >"$dir/out" 2>&1; echo $? >"$dir/code"
  : <>"$dir/ready" >"$dir/ready"; } &
read -r _ <"$dir/ready"
timeout -k 1 "$seconds" gdb -nx -batch -ex "set remotetimeout 60" "$@" >"$dir/gdb-out" 2>&1
wait
]]

local function contents(path)
    local file <close> = io.open(path)
    return file and file:read "a" or ""
end

-- Is there a gdb?
function gdb.path()
    return process.which "gdb"
end

-- Runs a script (text) that makes a VM, and gdb's commands on it, from "target remote" on ("%s" in
-- them is a directory for files). Returns what gdb said, what the script said, its exit code.
function gdb.run(script, commands)
    local directory = assert(process.temporary_directory "vmm-gdb")
    local file <close> = assert(io.open(directory .. "/vm.lua", "w"))
    file:write(PROLOGUE, script)
    file:close()
    local words = { "sh", "-c", SHELL, "gdb", directory, vmm.executable, tostring(SECONDS) }
    local function add(command)
        words[#words + 1] = "-ex"
        words[#words + 1] = command
    end
    for _, command in ipairs(commands) do
        if command == "interrupt-me" then
            add("shell echo $PPID >" .. directory .. "/pid")
        else
            add((command:gsub("%%dir", directory)))
        end
    end
    process.capture(words)
    local said, out = contents(directory .. "/gdb-out"), contents(directory .. "/out")
    local code = tonumber(contents(directory .. "/code"))
    process.remove(directory)
    return said, out, code
end

return gdb
