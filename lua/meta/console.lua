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

---A POSIX extended regular expression, in the locale C, over any bytes.  "." matches neither a newline
---nor a NUL, "[^a]" no newline; "^" and "$" match at those of lines, too.  At most 32 groups.
---@param text string
---@return vmm.regex? regex, string? message, string? code
function vmm.regex(text) end
---@class vmm.regex
local regex = {}
---The leftmost match from init (1) on, of these the longest: its first and last byte and its groups, nil
---for one that has taken no part.
---@param subject string
---@param init? integer
---@return integer? first, integer? last, string? ...
function regex:find(subject, init) end

---What a dialogue waits for: a Lua pattern, plain text, a regular expression of vmm.regex, or a list of
---them, of which the one that shows first counts, of those at the same byte the first in the list.
---@alias vmm.expected vmm.expected.one|vmm.expected.one[]
---@alias vmm.expected.one string|{ pattern: string }|{ plain: string }|{ regex: string }

---@class vmm.console
---@field path? string  of a pty or unix socket
---@field core vmm.console.core
---@field log vmm.klog  the kernel's lines, once split_log is on
---@field lines { time: number, text: string }[]  the transcript, kernel lines and all
local console = {}
---Waits for what is expected in the output that no expect has consumed yet; of more than 1 MiB, the
---newest.  Consumes all up to its end.  never: ends the wait at once when it shows first.
---Raises an error object whose text names what was expected, the limit, the VM's state and the
---last lines; of a scenario's VM, also the failure that was detected meanwhile.
---@param expected vmm.expected
---@param options? { timeout?: number, never?: vmm.expected }  60 s, times VMM_TIMEOUT_SCALE
---@return { before: string, match: string, index: integer, [integer]: string }
function console:expect(expected, options) end
---The same, returning nil, error object, "timeout", "never", "ended" or "failed".
---@param expected vmm.expected
---@param options? { timeout?: number, never?: vmm.expected }
---@return { before: string, match: string, index: integer, [integer]: string }?, any, string?
function console:try_expect(expected, options) end
---Waits until the guest has been silent for quiet seconds (0.5), or has ended; consumes and returns
---its output.  Both times are multiplied by VMM_TIMEOUT_SCALE.  Raises as expect does.
---@param options? { quiet?: number, timeout?: number }
---@return string
function console:settle(options) end
---The same, returning nil, error object, "timeout" or "failed".
---@param options? { quiet?: number, timeout?: number }
---@return string?, any, string?
function console:try_settle(options) end
---Sends bytes; waits while the guest's input is full.  pace: seconds (times VMM_TIMEOUT_SCALE)
---between two bytes, for a guest that loses what comes faster than it reads.
---@param bytes string
---@param options? { pace?: number }
---@return true? ok, string? message, string? code
function console:send(bytes, options) end
---Sends a line, ended by what the Enter key sends.
---@param text string
---@param options? { pace?: number }
---@return true? ok, string? message, string? code
function console:send_line(text, options) end
---Sends what a key sends: "c" for Ctrl-C, or one by its name: "esc", "tab", "up", "f1", ...
---@param key string
---@return true? ok, string? message, string? code
function console:control(key) end
---From now on lines of the kernel's log ("[    1.234567] text", "<6>[    1.234567] text") go to
---console.log and not to the dialogue, which they may cut anywhere.  "leveled": only those with a
---level; without that, too, they are the only ones from the first of them on (a console has one
---format; what dmesg prints has none).  What may become such a line is held until its next bytes
---tell, and shown after a moment; call it before the VM starts.
---@param how boolean|"leveled"
function console:split_log(how) end
---What no expect has consumed yet; of more than 1 MiB, the newest.
---@return string
function console:output() end
---The last lines with their times.  The transcript keeps the newest 1000 lines or 1 MiB at least;
---a line without an end is broken at 4 KiB.
---@param count? integer  40
---@return string
function console:tail(count) end
---The newest line that contains a plain text, and not another one.
---@param text string
---@param but? string
---@return string?
function console:find_line(text, but) end

---The kernel's log on a console.
---@class vmm.klog
local klog = {}
---The lines so far, oldest first: seconds since the VM's start, the kernel's own, the level where the
---kernel tells it.  Of more than 5000 lines or 1 MiB, the newest.
---@return { time: number, stamp: number, level?: integer, text: string }[]
function klog:lines() end
---The last lines with their times.
---@param count? integer  40
---@return string
function klog:tail(count) end
---Has a function called for each line to come, on the script's thread while it waits; it may not
---wait itself.  subscription:remove() ends it.
---@param fn fun(line: { time: number, stamp: number, level?: integer, text: string })
---@return { remove: fun(self) } subscription
function klog:on_line(fn) end

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
