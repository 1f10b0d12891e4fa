-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- `make run`: Debian's kernel to a shell.  On a terminal the shell is yours; without one the
-- guest boots, shows its prompt, runs `uname -a`, powers off.  On a host whose CPU offers no
-- VMX/SVM the same command runs in the lab, a throwaway host with emulated SVM.
--
--   vmm-reference examples/run.lua

local guests = require "vmm.guests"
local process = require "vmm.process"
local vmm = require "vmm"

local kernel = assert(guests.kernel "cloud-amd64")
local initramfs = assert(guests.initramfs())

local function is_terminal()
    return process.run { "test", "-t", "0", "-a", "-t", "1" } == 0
end

local command
if is_terminal() then
    command = { "--memory", "size_mib=512", "--kernel",
        ("path=%s,initrd=%s"):format(kernel.path, initramfs) }
else
    command = { (arg[0]:gsub("run%.lua$", "03-dialogue.lua")), kernel.path, initramfs }
end
if not vmm.host_hardware() then
    print "this host's CPU offers no VMX/SVM: running in the lab (emulated AMD SVM)"
    table.insert(command, 1, "lab")
end
table.insert(command, 1, vmm.executable)

print("+ " .. process.command(command))
io.stdout:flush()
os.exit(process.run(command), true)
