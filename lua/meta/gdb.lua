---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The API of gdb's stub: vm:gdb. How to use it is in lua/README.md, "Debug a kernel with gdb".

---@class vmm.vm
local vm = {}

---Serves the VM to debuggers that speak gdb's remote protocol, one at a time, while the script waits,
---until server:close() or the VM's end.  Threads are vCPUs, by their places in vm.vcpus.
---
---A debugger that comes pauses the VM.  When it leaves, its breakpoints are taken away, and the VM goes
---on if it ran when the debugger came, or if the debugger has let it run or detached.  A VM that has
---not been started is started by the debugger's first continue.  A vCPU is stepped while the others
---stand still.  Where the host's KVM delivers no INT3, software breakpoints become hardware ones.
---
---Whoever can connect owns the guest: the unix socket is for this user only, TCP for this host unless
---host says otherwise.  lua: "monitor lua" may evaluate Lua, and so owns what this user owns.
---symbols: the file that "monitor symbols" writes, as vm:write_symbols does.
---@param options { unix?: string, tcp?: integer, host?: string, lua?: boolean, symbols?: string }
---@return vmm.gdb? server, string? message, string? code
function vm:gdb(options) end

---Writes the symbols of the guest's kernel and its modules, at the addresses of this run, as an ELF file
---for gdb's "file" or "add-symbol-file".
---@param path string
---@return true? ok, string? message, string? code
function vm:write_symbols(path) end

---@class vmm.gdb
---@field path? string   of the unix socket: "target remote PATH"
---@field port? integer  of TCP: "target remote :PORT"
---@field closed? boolean
local gdb = {}
---Waits until a debugger has left: one that came since the server was made, or since the last wait.
---@param timeout? number
---@return true? ok, string? message, string? code
function gdb:wait(timeout) end
---Idempotent; also by <close>.  A debugger that is there loses its connection, as if it had left.
function gdb:close() end
