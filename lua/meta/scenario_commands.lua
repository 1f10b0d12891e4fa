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

---A command that runs beside the scenario.
---@class vmm.background
---@field command string
local job = {}
---Starts a command and goes on; what it prints is kept, 16 MiB at the most.
---@param command string
---@param options? vmm.command_options  timeout: of the wait for the agent, if it is not ready yet
---@return vmm.background
function vm:background(command, options) end
---Waits for its end, 60 s unless told; it goes on when the time is over.
---@param options? { timeout?: number }
---@return vmm.command_result
function job:wait(options) end
---@param options? { timeout?: number }
---@return vmm.command_result? result, any err, string? code
function job:try_wait(options) end
---Sends a signal to its process group.
---@param signal? string | integer  "TERM" unless told
function job:kill(signal) end
---@return boolean
function job:running() end
---What it has printed so far, any bytes.
---@return string
function job:output() end

---@class vmm.put_options
---@field from? string            the path of a file of this host, or
---@field data? string            its bytes
---@field to string               the path of a file in the guest
---@field mode? string | integer  such as "0755"; else that of the host's file, or "0644"
---@field timeout? number         for each MiB (60 s), over a serial port for each 64 KiB

---Puts a file into the guest.  It is written beside its place, checked by its SHA-256 and then moved
---there.  Of any size over a virtio port; over a serial port up to 1 MiB ("E2BIG").  For whole
---folders there is the option share: vm:succeed "mount -t virtiofs TAG /mnt".
---@param options vmm.put_options
---@return true
function vm:put(options) end
---@param options vmm.put_options
---@return true? ok, any err, string? code
function vm:try_put(options) end

---Gets a file out of the guest, checked by its SHA-256; with `to` into a file of this host.  A file
---of up to 1 MiB may be one of /proc, or change meanwhile; of a larger one this is an error.  Up to
---256 MiB are returned; over a serial port only 1 MiB comes at all ("E2BIG").
---@param options { from: string, to?: string, timeout?: number }
---@return string | true
function vm:get(options) end
---@param options { from: string, to?: string, timeout?: number }
---@return string | true | nil got, any err, string? code
function vm:try_get(options) end

---@class vmm.until_options
---@field timeout? number  60 s, times VMM_TIMEOUT_SCALE
---@field every? number    0.5 s

---Waits until there is something at a path in the guest.
---@param path string
---@param options? vmm.until_options
function vm:wait_for_file(path, options) end
---@param path string
---@param options? vmm.until_options
---@return string? ok, any err, string? code
function vm:try_wait_for_file(path, options) end
---Waits until something in the guest listens at a TCP port, at whatever address; connects to nothing.
---@param port integer
---@param options? vmm.until_options
function vm:wait_for_port(port, options) end
---@param port integer
---@param options? vmm.until_options
---@return string? ok, any err, string? code
function vm:try_wait_for_port(port, options) end
---Waits until there is a process of that name (ps -o comm; its first 15 bytes).
---@param name string
---@param options? vmm.until_options
function vm:wait_for_process(name, options) end
---@param name string
---@param options? vmm.until_options
---@return string? ok, any err, string? code
function vm:try_wait_for_process(name, options) end
---Waits until a unit of systemd is active.  One that has failed, and a guest without systemd, is an
---error at once.
---@param unit string
---@param options? vmm.until_options
function vm:wait_for_unit(unit, options) end
---@param unit string
---@param options? vmm.until_options
---@return string? ok, any err, string? code
function vm:try_wait_for_unit(unit, options) end

---@class vmm.login_options
---@field user? string       the guest's, or "root"
---@field password? string   the guest's
---@field console? vmm.console  vm.console
---@field prompt? string     Lua pattern of the shell's prompt (a usual one unless told)
---@field timeout? number    60 s for each step

---Logs in where a getty asks for it; the console is at the shell's prompt then.  A login that is
---refused is an error with the code "refused".
---@param options? vmm.login_options
---@return true
function vm:login(options) end
---@param options? vmm.login_options
---@return true? ok, any err, string? code
function vm:try_login(options) end
