-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The manual page, made from the option tables.

local help = require "vmm.cli.help"
local options = require "vmm.options"

local man = {}

--- Plain text to roff: no character of it is a command.
local function plain(words)
    words = words:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("~", "\\(ti")
        :gsub("%^", "\\(ha"):gsub("`", "\\(ga")
    return (words:gsub("^[.']", "\\&%0"):gsub("\n[.']", function(start)
        return "\n\\&" .. start:sub(2)
    end))
end

local function bold(words)
    return "\\fB" .. plain(words) .. "\\fR"
end

local function italic(words)
    return "\\fI" .. plain(words) .. "\\fR"
end

local function assignment(entry)
    return bold(entry.name .. (entry.metavar and "=" or ""))
        .. (entry.metavar and italic(entry.metavar) or "")
end

--- "Guest memory." and the notes: sentences.
local function sentences(thing)
    local text = thing.help:sub(1, 1):upper() .. thing.help:sub(2) .. "."
    local notes = help.notes(thing)
    if notes[1] then
        text = text .. " (" .. table.concat(notes, "; ") .. ")"
    end
    return plain(text)
end

local function describe(option)
    local names, value = help.spelling(option)
    for i, name in ipairs(names) do
        names[i] = bold(name)
    end
    local parts = { ".TP\n", table.concat(names, ", "),
        value and " " .. italic(value) or "", "\n", sentences(option), "\n" }
    for i, part in ipairs(option.params or option.forms or {}) do
        parts[#parts + 1] = (i == 1 and ".RS\n" or "") .. ".TP\n"
            .. assignment(part) .. "\n" .. sentences(part) .. "\n"
    end
    if option.params or option.forms then
        parts[#parts + 1] = ".RE\n"
    end
    return table.concat(parts)
end

local function describe_all(machine)
    local parts = {}
    for _, option in ipairs(options.list) do
        if (option.machine or false) == machine then
            parts[#parts + 1] = describe(option)
        end
    end
    return table.concat(parts)
end

local function exit_codes()
    local parts = {}
    for _, code in ipairs(help.exit_codes) do
        parts[#parts + 1] = (".TP\n\\fB%d\\fR\n%s.\n"):format(code[1],
            plain(code[2]))
    end
    return table.concat(parts)
end

local function usage()
    local lines = {}
    for _, line in ipairs(help.usage) do
        lines[#lines + 1] = plain(line):gsub("^vmm\\%-reference",
            "\\fB%0\\fR")
    end
    return table.concat(lines, "\n.br\n")
end

-- What the tables do not say.
local PAGE = [=[
.\" made by vmm-reference --man
.TH VMM\-REFERENCE 1 "" "vmm-reference @VERSION@" "User Commands"
.SH NAME
vmm\-reference \- virtual machine monitor for KVM, scripted in Lua
.SH SYNOPSIS
@USAGE@
.SH DESCRIPTION
.B vmm\-reference
boots a kernel in a virtual machine made of what the options describe,
or runs a Lua script that makes machines of its own:
.RB ( "local vmm = require \(dqvmm\(dq" ).
The options before the script's name are those below;
what follows it is the script's, which finds it in
.BR arg ,
and the machine the options describe in
.BR arg.config ,
ready for
.BR vmm.vm .
.PP
With
.BR \-\-kernel ,
.B \-e
and
.B \-i
find the machine in the global
.BR vm .
Code of
.B \-e
runs before the machine starts, and may start it.
.PP
.B lab
as the first word runs the rest of the command line in a throwaway host with
emulated SVM, for computers that offer no hardware virtualization.
.PP
.B test
as the first word runs busted specs, several at a time where that is asked for,
each file in a process of its own, and reports;
.B test \-\-help
lists its options.
.PP
.B top
as the first word shows live what the machine does that was started with
.BR "\-\-metrics path=" \fIFILE\fR :
exits, CPU and handling time of each virtual CPU, exit reason, port and address;
to a file or pipe, one frame after the other, at most
.I FRAMES
of them.
.PP
.B report
as the first word makes reports of test runs that were recorded, of shards of one
run together: an HTML page, JUnit XML, TAP, one run file.
It says what has failed, and exits with 1 when something has.
.SS Values
Several
.IR key = value
are joined by commas.
A comma ends a value only where a known
.IR key =
follows it.
Where that is not meant, quotes around the value, or a backslash before the
comma or quote, that the shell leaves in place, are honoured.
Quotes inside a value stay in it, and protect its commas.
An empty value means the default.
Numbers are decimal, or hexadecimal after 0x.
.SH OPTIONS
.SS Machine
The same names are the keys of the table given to
.BR vmm.vm .
@MACHINE@
.SS Program
@PROGRAM@
.SH KEYS
On a terminal every key goes to the guest, Ctrl\-C too, but for
.TP
.B Ctrl\-A x
Quit: stop the machine.
.TP
.B Ctrl\-A c
Open a Lua prompt beside the running guest, whose output waits until
.B exit
or Ctrl\-D leaves it;
.B help
tells what there is.
There Tab completes, the arrows and Ctrl\-R bring back earlier lines, and
Ctrl\-C gives up the line or interrupts what runs.
.TP
.B Ctrl\-A Ctrl\-A
Send Ctrl\-A to the guest.
.SH EXIT STATUS
@EXIT@
.SH ENVIRONMENT
.TP
.B VMM_LUA_PATH
A directory with a Lua library to use before the one in the program.
.TP
.B VMM_TIMEOUT_SCALE
Time limits are multiplied by this number.
.TP
.B XDG_STATE_HOME
Where the lines typed at the prompt are kept, in vmm\-reference/history
(~/.local/state).
.SH EXAMPLES
Boot a kernel with its own command line:
.PP
.RS 4
.EX
vmm\-reference \-\-kernel path=vmlinuz,cmdline=\(dqreboot=k panic=1 pci=off\(dq
.EE
.RE
.PP
Boot it with two virtual CPUs, 1 GiB of memory and an initial RAM disk:
.PP
.RS 4
.EX
vmm\-reference \-\-memory size_mib=1024 \-\-vcpu num=2 \e
    \-\-kernel path=vmlinuz,initrd=initrd.img
.EE
.RE
.PP
Run a script on it:
.PP
.RS 4
.EX
vmm\-reference \-\-kernel path=vmlinuz boot.lua \-\-verbose
.EE
.RE
.PP
Watch it from another terminal, and keep a trace of its last exits:
.PP
.RS 4
.EX
vmm\-reference \-\-metrics path=vm.json \-\-trace path=vm.trace \e
    \-\-kernel path=vmlinuz
vmm\-reference top vm.json
.EE
.RE
.SH SEE ALSO
.BR lua (1)
]=]

--- The page in roff; version: the program's, such as "0.1.0".
function man.page(version)
    return (PAGE:gsub("@(%u+)@\n?", {
        VERSION = plain(version),
        USAGE = usage() .. "\n",
        MACHINE = describe_all(true),
        PROGRAM = describe_all(false),
        EXIT = exit_codes(),
    }))
end

return man
