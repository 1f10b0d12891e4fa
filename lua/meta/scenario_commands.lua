---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Commands in a guest, over a channel of their own: neither kernel messages nor the console's echo
-- mix in.
--
-- The channel is the port "vmm.agent" of a virtio console, else the second serial port (ttyS1); in
-- the guest a script answers, vmm.scenario.agent.SCRIPT, which guests of vmm.guest run.  A VM of
-- vmm.scenario.vm has all this; another one needs virtio_console = { ports = { "vmm.agent" } } or
-- serial2 = "capture", and a guest that runs the script:
--   setsid setsid sh /usr/lib/vmm/agent
-- (what a shell begins with "&" ignores SIGINT and SIGQUIT, and so would all commands).
--
-- Each verb raises an error object whose text says which VM, what was asked, and why not; its field
-- code is "status", "timeout", "ended", "lost", or that of the VM's failure.  try_VERB returns nil,
-- the error object, the code.

---@class vmm.vm
---@field channel? table  the channel, once it is used
local vm = {}

---@class vmm.command_options
---@field timeout? number  60 s, times VMM_TIMEOUT_SCALE; the command is killed then
---@field input? string    its stdin, any bytes: up to 16 MiB; over a serial port up to 1 MiB
---@field env? table<string, any>  variables of its environment

---truncated: more than 16 MiB were written; the command got SIGPIPE.
---@class vmm.command_result
---@field status integer    128 + n when signal n killed it
---@field output string     stdout and stderr, any bytes
---@field duration number   seconds
---@field truncated? true

---Runs a command (up to 64 KiB for sh -c) and waits for its end, whatever its status is.  It has no
---terminal, a session of its own, and an empty stdin unless told otherwise.  What it leaves behind
---goes on, and is not waited for; what that prints later is not part of the output.
---@param command string
---@param options? vmm.command_options
---@return vmm.command_result
function vm:run(command, options) end
---@param command string
---@param options? vmm.command_options
---@return vmm.command_result? result, any err, string? code
function vm:try_run(command, options) end

---Runs a command whose status must be 0; returns its output without the final newline.
---@param command string
---@param options? vmm.command_options
---@return string output
function vm:succeed(command, options) end
---@param command string
---@param options? vmm.command_options
---@return string? output, any err, string? code
function vm:try_succeed(command, options) end

---The same for one whose status must not be 0.
---@param command string
---@param options? vmm.command_options
---@return string output
function vm:fail(command, options) end
---@param command string
---@param options? vmm.command_options
---@return string? output, any err, string? code
function vm:try_fail(command, options) end

---Runs a command until its status is 0, every 0.5 s unless told; returns the output.
---@param command string
---@param options? { timeout?: number, every?: number, env?: table<string, any> }
---@return string output
function vm:wait_until_succeeds(command, options) end
---@param command string
---@param options? { timeout?: number, every?: number, env?: table<string, any> }
---@return string? output, any err, string? code
function vm:try_wait_until_succeeds(command, options) end

---The same until its status is not 0.
---@param command string
---@param options? { timeout?: number, every?: number, env?: table<string, any> }
---@return string output
function vm:wait_until_fails(command, options) end
---@param command string
---@param options? { timeout?: number, every?: number, env?: table<string, any> }
---@return string? output, any err, string? code
function vm:try_wait_until_fails(command, options) end
