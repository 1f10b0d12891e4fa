---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The API of the module vmm, as annotations for the Lua language server: this folder is the one
-- reference. Here: the module, KVM, time and tasks.
--
-- Conventions.  Addresses are integers, sizes bytes unless the name says MiB, times seconds.
-- A programmer's error raises.  What the host, a file or the guest refuses returns
-- nil, message, code, where code is a short string ("ENOENT", "EFAULT", "timeout", "closed").

---@class vmm
---@field version string
---@field executable string  path of the running program
local vmm = {}

---Does this host's CPU offer VMX or SVM?
---@return boolean
function vmm.host_hardware() end

---Seconds of the monotonic clock.
---@return number
function vmm.now() end

-- ---- a whole VM -----------------------------------------------------------------------------

---@class vmm.config
---@field name? string                  seen in messages and thread names
---@field memory? { size_mib?: integer, shared?: boolean, huge_pages?: boolean }  256 MiB
---@field vcpus? { num?: integer }      1
---@field kernel? vmm.config.kernel
---@field console? vmm.place
---@field serial2? vmm.place  a second serial port, ttyS1 (not "stdio")
---@field setup? fun(vm: vmm.vm, parts: vmm.parts)  adds devices of one's own, see vmm.parts

---@alias vmm.place "stdio"|"capture"|"pty"|{ file: string }|{ unix: string }|fun(bytes: string)

---@class vmm.config.kernel
---@field path string          bzImage, ELF vmlinux, or raw image (flow = "flat")
---@field cmdline? string      "console=ttyS0 i8042.nokbd reboot=k panic=1 pci=off"
---@field initrd? string       path
---@field himem_start? integer lowest address for the kernel (0x100000); a flat image's (16-bit: 0x7c00)
---@field flow? "linux64"|"pvh"|"flat"  by the image
---@field mode? 16|32|64       of a flat image (64)
---@field unpack? boolean      unpack a bzImage here (true), in the guest (false), here if possible
---@field slide? integer       move an unpacked kernel up, a multiple of 2 MiB (0)

---Builds a PC: memory, vCPUs, serial port, i8042, RTC, pvpanic, ACPI and MP tables, kernel.  A mistake in
---the table raises.  It does not run yet.
---@param config vmm.config
---@return vmm.vm? vm, string? message, string? code
function vmm.vm(config) end

-- ---- building blocks --------------------------------------------------------------------------

---Opens /dev/kvm (or another path) and checks its capabilities.
---@param path? string
---@return vmm.kvm? kvm, string? message, string? code
function vmm.kvm(path) end

---@class vmm.kvm
local kvm = {}
---A capability by name ("KVM_CAP_IRQFD", "irqfd") or number; 0 when absent.
---@param name string|integer
---@return integer
function kvm:capability(name) end
---@return boolean  the CPU offers VMX or SVM
function kvm:hardware() end
---@return vmm.cpuid_entry[]? entries, string? message, string? code
function kvm:supported_cpuid() end
---The MSRs that hold a vCPU's state, for vcpu:get_msrs.
---@return integer[]? indices, string? message, string? code
function kvm:msr_list() end
---@param options? { name?: string }
---@return vmm.vm? vm, string? message, string? code
function kvm:create_vm(options) end

---@class vmm.cpuid_entry
---@field function_ integer  the leaf
---@field index integer
---@field flags integer
---@field eax integer
---@field ebx integer
---@field ecx integer
---@field edx integer

-- ---- policy modules, as they are in lua/vmm ---------------------------------------------------

---@type table  boot flows: load{...} -> plan, apply(plan, vcpu); see lua/vmm/boot
vmm.boot = {}
---@type table  every fixed address, ram_ranges(size), e820(...)
vmm.layout = {}
---@type table  place(mem, { vcpus = n, rtc = true, ... }) -> address of the RSDP
vmm.firmware = {}
---@type table  build{ vcpus = n, ... } -> { base =, bytes =, rsdp = }
vmm.acpi = {}
---@type table  build{ vcpus = n } -> { base =, bytes = }
vmm.mptable = {}
---@type table  build{ supported =, id =, vcpus =, features =, overrides = ... } -> entries
vmm.cpuid = {}
---@type table  initial() -> MSRs of a vCPU
vmm.msrs = {}

-- ---- time and tasks -----------------------------------------------------------------------------

---A time that is negative is over already.
---@param seconds number
---@return true
function vmm.sleep(seconds) end

---Runs fn(...) as a task beside the others; it goes on whenever somebody waits.  It may not yield
---but in a coroutine of its own.  When it fails and nobody has waited for it by the end of the
---script, its error is reported there, and the exit code is 1.
---@param fn function
---@return vmm.task
function vmm.spawn(fn, ...) end

---@class vmm.task
local task = {}
---The task's results, or its error raised here; nil, "timeout", "timeout".
---@param timeout? number
function task:wait(timeout) end

---@param tasks vmm.task[]
---@param timeout? number
---@return integer? index, ...
function vmm.wait_any(tasks, timeout) end
---@param tasks vmm.task[]
---@param timeout? number
---@return any[]? results, string? message, string? code
function vmm.wait_all(tasks, timeout) end

---One turn, for a host with a loop of its own: runs the tasks that can go on, sleeps until something
---happens, a task's deadline or the timeout is over, runs tasks again.  loop_fd becomes readable when
---something happens, not at a task's deadline: step at least as often as your tasks need.
---@param timeout? number
---@return integer calls  how many callbacks (of watches and consoles) were called
function vmm.step(timeout) end
---@return integer fd
function vmm.loop_fd() end
---Calls fn on the script's thread whenever fd is ready, while somebody waits.  Keep the result: a
---watch that is collected watches no more.  An error of fn, as of any callback (a console's function),
---is raised in the script's own wait, not in that of a task: the one under way, or the next.
---@param fd integer
---@param mode "r"|"w"|"rw"
---@param fn fun(events: integer)
---@return { close: fun(self) }? watch, string? message, string? code
function vmm.watch(fd, mode, fn) end

return vmm
