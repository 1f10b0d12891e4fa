---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- C devices, and the console: dialogue, and the mechanism below it.

---@class vmm
local vmm = {}

---@class vmm.device
---@field name string

---@param options { irq?: vmm.irq, console?: vmm.console.core }  console: a vmm.console's core
---@return vmm.device? device, string? message, string? code
function vmm.serial(options) end
---@param options { vm: vmm.vm }
---@return vmm.device? device, string? message, string? code
function vmm.i8042(options) end
---@param options { below_4g?: integer, above_4g?: integer }
---@return vmm.device? device, string? message, string? code
function vmm.rtc(options) end
---@param options { vm: vmm.vm }
---@return vmm.device? device, string? message, string? code
function vmm.acpi_power(options) end
---@param options { name?: string, value?: integer }
---@return vmm.device? device, string? message, string? code
function vmm.debug_port(options) end
---The port (0x505) by which a guest says that it has panicked: the VM ends with reason "panic".
---@param options { vm: vmm.vm }
---@return vmm.device? device, string? message, string? code
function vmm.pvpanic(options) end

---Makes a console and connects it; its field core goes to vmm.serial.  to: where it goes ("capture");
---on_key: gets the key after Ctrl-A, when stdio is a terminal; on_text: is called when a kernel message
---about the guest's end has shown.
---@param vm vmm.vm
---@param options? { to?: vmm.place, on_key?: fun(key: integer), on_text?: fun() }
---@return vmm.console? console, string? message, string? code
function vmm.console(vm, options) end

---@class vmm.console
---@field path? string  of a pty or unix socket
---@field core vmm.console.core
local console = {}
---Waits for a Lua pattern in the output that no expect has consumed yet; of more than 1 MiB, the
---newest.  Raises an error object whose text names the pattern, the limit, the VM's state and the
---last lines.
---@param pattern string
---@param options? { timeout?: number }  60 s, times VMM_TIMEOUT_SCALE
---@return { before: string, match: string, [integer]: string }
function console:expect(pattern, options) end
---The same, returning nil, error object, "timeout" or "ended".
---@param pattern string
---@param options? { timeout?: number }
---@return { before: string, match: string, [integer]: string }?, any, string?
function console:try_expect(pattern, options) end
---Sends bytes; waits while the guest's input is full.
---@param bytes string
---@return true? ok, string? message, string? code
function console:send(bytes) end
---Sends a line, ended by what the Enter key sends.
---@param text string
---@return true? ok, string? message, string? code
function console:send_line(text) end
---What no expect has consumed yet; of more than 1 MiB, the newest.
---@return string
function console:output() end
---The last lines with their times.  The transcript keeps the newest 1000 lines or 1 MiB at least;
---a line without an end is broken at 4 KiB.
---@param count? integer  40
---@return string
function console:tail(count) end
---The newest line that contains a plain text.
---@param text string
---@return string?
function console:find_line(text) end

---What is below: bytes in and out.  An on_event of vm:create_console gets bits of core.CONSOLE_*.
---@class vmm.console.core
local console_core = {}
---Connects fds; terminal: hand it every key until the VM is closed.
---@param options { in_fd?: integer, out_fd?: integer, owns?: boolean, escape?: integer, terminal?: boolean }
---@return true? ok, string? message, string? code
function console_core:attach(options) end
---@param path string
---@return true? ok, string? message, string? code
function console_core:attach_file(path) end
---@return string? path, string? message, string? code
function console_core:attach_pty() end
---@param path string
---@return true? ok, string? message, string? code
function console_core:attach_unix(path) end
---What is typed is not for the guest, while on.
---@param on boolean
---@return true
function console_core:hold_input(on) end
---Gives input to the guest.
---@param bytes string
---@return integer taken
function console_core:input(bytes) end
---The output captured from a position on (0: the oldest), "" when there is none.
---@param position integer
---@return string bytes, integer next_position, number time
function console_core:capture(position) end
---@return integer bytes  of output so far
function console_core:total() end
---Waits until output has reached capture and sinks.
---@param timeout? number
---@return true? ok, string? message, string? code
function console_core:flush(timeout) end
---@param on boolean  on_event is called for output, too
---@return true
function console_core:notify_output(on) end
---on_event is called when the text shows.
---@param text string
---@return true? ok, string? message, string? code
function console_core:watch_text(text) end
