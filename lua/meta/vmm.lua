---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The API of the module vmm, as annotations for the Lua language server: the one reference.
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

---Guest memory: zeroed, lazily backed, in ascending disjoint ranges of whole pages.
---@param options { ranges: { [1]: integer, [2]: integer }[], shared?: boolean, huge_pages?: boolean }
---@return vmm.memory? memory, string? message, string? code
function vmm.memory(options) end

---The checked doors.  An access that is not wholly RAM returns nil, message, "EFAULT".
---@class vmm.memory
local memory = {}
---@param gpa integer
---@param len integer
---@return string? bytes, string? message, string? code
function memory:read(gpa, len) end
---@param gpa integer
---@param bytes string
---@return true? ok, string? message, string? code
function memory:write(gpa, bytes) end
---@param gpa integer
---@param byte integer  0 to 255
---@param len integer
---@return true? ok, string? message, string? code
function memory:fill(gpa, byte, len) end
---@param gpa integer
---@param len integer
---@return true? ok, string? message, string? code
function memory:check(gpa, len) end
---Little-endian load, or store when a value is given.
---@param gpa integer
---@param value? integer
---@return integer|true|nil result, string? message, string? code
function memory:u8(gpa, value) end
---@param gpa integer
---@param value? integer
---@return integer|true|nil result, string? message, string? code
function memory:u16(gpa, value) end
---@param gpa integer
---@param value? integer
---@return integer|true|nil result, string? message, string? code
function memory:u32(gpa, value) end
---@param gpa integer
---@param value? integer
---@return integer|true|nil result, string? message, string? code
function memory:u64(gpa, value) end
---@return integer bytes
function memory:size() end
---@return { base: integer, size: integer }[]
function memory:regions() end
---Gives the memory back; a VM that maps it keeps its own reference.
function memory:close() end

---@class vmm.load
vmm.load = {}
---@param path string
---@return vmm.image? image, string? message, string? code
function vmm.load.open(path) end
---@param bytes string
---@param name? string  for messages
---@return vmm.image image
function vmm.load.bytes(bytes, name) end
---The payload formats that unpack knows: "gzip", "xz", ...
---@return string[]
function vmm.load.formats() end
---@param image vmm.image
---@return vmm.elf_info? info, string? message, string? code
function vmm.load.elf_inspect(image) end
---Copies each PT_LOAD to its physical address + slide.
---@param mem vmm.memory
---@param image vmm.image
---@param options? { min_gpa?: integer, slide?: integer }
---@return vmm.elf_info? info, string? message, string? code
function vmm.load.elf(mem, image, options) end
---@param image vmm.image
---@return vmm.bzimage_info? info, string? message, string? code
function vmm.load.bzimage_inspect(image) end
---Copies the protected-mode part to gpa; its 64-bit entry is at gpa + 0x200.
---@param mem vmm.memory
---@param image vmm.image
---@param gpa integer
---@return vmm.bzimage_info? info, string? message, string? code
function vmm.load.bzimage(mem, image, gpa) end
---The vmlinux inside a bzImage; code "ENOTSUP" for a format that this build does not know.
---@param image vmm.image
---@return vmm.image? vmlinux, string? message, string? code
function vmm.load.unpack(image) end
---Applies the relocations that trail an unpacked vmlinux, loaded with the same slide.
---@param mem vmm.memory
---@param image vmm.image
---@param slide integer
---@return true? ok, string? message, string? code
function vmm.load.relocate(mem, image, slide) end
---@param mem vmm.memory
---@param image vmm.image
---@param gpa integer
---@return true? ok, string? message, string? code
function vmm.load.raw(mem, image, gpa) end
---As high as fits at or below max_gpa, page-aligned, within one region.
---@param mem vmm.memory
---@param image vmm.image
---@param options { min_gpa?: integer, max_gpa?: integer }
---@return integer? gpa, integer|string size_or_message, string? code
function vmm.load.initrd(mem, image, options) end

---@class vmm.image
---@field kind "elf"|"bzimage"|"raw"
---@field size integer
---@field name string
local image = {}
---Bytes of the image, cut at its end.
---@param offset integer
---@param len integer
---@return string
function image:read(offset, len) end
function image:close() end

---@class vmm.elf_info
---@field entry integer
---@field entry_gpa integer
---@field low integer
---@field high integer
---@field has_pvh boolean
---@field pvh_entry? integer

---@class vmm.bzimage_info
---@field protocol integer
---@field loadable_64 boolean
---@field relocatable boolean
---@field preferred_gpa integer
---@field alignment integer
---@field init_size integer
---@field initrd_addr_max integer
---@field cmdline_size_max integer
---@field payload_offset integer
---@field payload_bytes integer
---@field payload_format string
---@field kernel_offset integer
---@field kernel_bytes integer
---@field setup_header string

-- ---- a VM -------------------------------------------------------------------------------------

---From kvm:create_vm or vmm.vm.  Fields that a script sets on it are kept.
---@class vmm.vm
---@field name string
---@field closed boolean
---@field vcpus vmm.vcpu[]      of vmm.vm
---@field memory vmm.memory     of vmm.vm
---@field console vmm.console   of vmm.vm
---@field plan? vmm.plan        of vmm.vm with a kernel: what lies where in memory
local vm = {}
---Registers memory as memslots; before create_irqchip, once.
---@param memory vmm.memory
---@return true? ok, string? message, string? code
function vm:map(memory) end
---@param options? { pit?: boolean }
---@return true? ok, string? message, string? code
function vm:create_irqchip(options) end
---@param id integer  also the APIC id
---@return vmm.vcpu? vcpu, string? message, string? code
function vm:create_vcpu(id) end
---The mechanism below vmm.console, which is what a script wants.
---@param options { capture?: integer, on_event?: fun(bits: integer) }  bytes kept; core.CONSOLE_*
---@return vmm.console.core? console, string? message, string? code
function vm:create_console(options) end
---@param gsi integer
---@return vmm.irq
function vm:irq(gsi) end
---@param address integer
---@param data integer
---@return true? ok, string? message, string? code
function vm:signal_msi(address, data) end
---Puts a region of a C device on the port or memory bus.  The VM keeps the device, and the console
---of a serial port: a script need not.  Raises for a device made with the line, the console or the
---power of another VM.
---@param device vmm.device
---@param where { pio?: integer, mmio?: integer, region?: integer, len?: integer }
---@return true? ok, string? message, string? code
function vm:attach(device, where) end
---A device in Lua, also while the guest runs; the options table itself is its state, and gets its
---methods.  The handlers run on the vCPU thread, under the script's lock; they may not wait.  One
---that throws stops the VM with its traceback and the access.  reset is called here first, as C
---devices are made in their power-on state.  Code "EBUSY": it overlaps another device, or memory.
---@param options vmm.lua_device
---@return vmm.lua_device? device, string? message, string? code
function vm:device(options) end
---Sees and rewrites accesses to a range, whatever device serves it (also one in C), or none.  write
---runs before the device: an integer is what it gets, false swallows the access.  read runs after it:
---an integer is what the guest gets.  nil leaves the value.  Several run in the order in which they
---were added; of an access that is in the range in part, a tap is given that part.  As for handlers of
---vm:device: they may not wait, and what they raise stops the VM.
---@param options vmm.tap
---@return vmm.tap? tap, string? message, string? code
function vm:tap(options) end
---Writes of the guest that stop no vCPU: KVM counts them, and the function, the table's [1], runs on
---the script's thread, in one of its waits, with how many there were since.  No device or tap gets
---them.  len: writes of that size alone; with value: of that value alone.  What the function raises is
---raised in the wait.
---@param options { pio?: integer, mmio?: integer, len?: 1|2|4|8, value?: integer, [1]: fun(count: integer) }
---@return vmm.doorbell? doorbell, string? message, string? code
function vm:doorbell(options) end
---Calls fn when something happens, until the subscription is removed; those of one event in the
---order of subscription.  An unknown event raises; nil, message, code when the host's KVM cannot
---deliver it ("msr").
---
---On the script's thread, whenever it waits or closes the VM; fn should not wait (vmm.spawn may).
---Its error is raised in the script's next wait; that of "ready" in vm:start.
--- - "ready": vm:start has been called, no instruction has run: fn(vm) may still change registers.
--- - "stop": the end, whatever it was, and the reason as an event of its own, once: fn(stop).
---   "shutdown" is another name for "poweroff".  Not for an end that the script has seen before.
--- - "crashloaded": the guest has panicked and goes on in its crash kernel (by pvpanic): fn().
---
---On the vCPU's thread, as a handler of a device in Lua: at exits that no device took.
---fn(vcpu_index, exit) may not wait; one that throws stops the VM with its traceback.  All are
---called; the first answer counts: an integer, or all bytes as a string, is what a read gives
---(rdmsr, a hypercall: an integer); true says that it is done; nil or false leaves it to the default:
---reads give all-ones, writes do nothing, an MSR raises #GP, anything else ends the VM.
--- - "unhandled_pio", "unhandled_mmio": an access to nothing.
--- - "msr": an MSR that KVM does not know, or a value that it refuses.  Without a subscription to
---   "msr" KVM itself raises #GP.
--- - "hypercall", "debug", "unknown": what KVM has been asked for by other means.
--- - "exit": all of these.
---@param event vmm.event
---@param fn fun(...): any
---@return vmm.subscription? subscription, string? message, string? code
function vm:on(event, fn) end
---The mechanism below vm:on's exits: fn(name, vcpu_index, exit) is asked about the exits of these
---names, and about no others.
---@param names string[]  "unhandled_pio", "unhandled_mmio", "msr", "hypercall", "debug", "unknown"
---@param fn fun(name: string, vcpu_index: integer, exit: vmm.exit): integer|string|boolean|nil
function vm:hook_exits(names, fn) end
---Accesses to MSRs that KVM does not know exit, instead of raising #GP in the guest.
---@param on boolean
---@return true? ok, string? message, string? code
function vm:trap_msrs(on) end
---Starts a thread for each vCPU and returns at once.
---@return true? ok, string? message, string? code
function vm:start() end
---Stops all vCPUs between two instructions.  In a handler of this VM: after it has returned.
---@param timeout? number
---@return true? ok, string? message, string? code
function vm:pause(timeout) end
---@return true
function vm:resume() end
---Asks for the end; the first reason wins.
---@param reason? vmm.reason  "closed"
---@param text? string
---@return true
function vm:stop(reason, text) end
---For waits of one's own (vmm.spawn, vmm.step): from now on the loop comes back when the VM ends.
function vm:watch_end() end
---How it ended, or nil while it lives.
---@return vmm.stop?
function vm:stopped() end
---Readable once every vCPU has finished, for vmm.watch; it belongs to the VM.
---@return integer fd
function vm:stopped_fd() end
---Waits for its end; code "timeout", or "interrupted" when the VM is closed meanwhile.
---@param options? { timeout?: number }
---@return vmm.stop? stop, string? message, string? code
function vm:wait(options) end
---Exits so far, by type.
---@return table<string, integer>
function vm:exit_counts() end
---VM-wide state as the kernel's structure: "clock", "pic_master", "pic_slave", "ioapic", "pit".
---@param name string
---@return string? bytes, string? message, string? code
function vm:get_state(name) end
---@param name string
---@param bytes string
---@return true? ok, string? message, string? code
function vm:set_state(name, bytes) end
---Stops, joins and frees; idempotent; also by <close> and garbage collection.  In a handler of a
---device it only asks for the end: the VM is freed when somebody else closes it; one that is
---collected in a handler is freed at the script's next step.
function vm:close() end

---@class vmm.plan
---@field flow "linux64"|"pvh"|"flat"
---@field regs table<string, integer>  of the first vCPU, as is sregs
---@field sregs table
---@field entry integer  address of the first instruction
---@field placed { what: string, base: integer, size: integer }[]  ascending by base

---@alias vmm.reason "reboot"|"poweroff"|"panic"|"triple_fault"|"halt"|"error"|"closed"
---@alias vmm.event
---| "ready"|"stop"|"crashloaded"|"shutdown"|vmm.reason
---| "unhandled_pio"|"unhandled_mmio"|"msr"|"hypercall"|"debug"|"unknown"|"exit"
---@class vmm.subscription
local subscription = {}
---Ends it; idempotent.
function subscription:remove() end
---@class vmm.stop
---@field reason vmm.reason
---@field text string

---@class vmm.lua_device
---@field name? string
---@field pio? { [1]: integer, [2]: integer }   base, length
---@field mmio? { [1]: integer, [2]: integer }
---@field read? fun(dev: vmm.lua_device, offset: integer, size: integer): integer?
---@field write? fun(dev: vmm.lua_device, offset: integer, size: integer, value: integer)
---@field reset? fun(dev: vmm.lua_device)  to the power-on state
---@field irq? integer|vmm.irq  a gsi becomes its line: dev.irq:pulse()
local lua_device = {}
---Takes it off its bus; idempotent, and nothing once the VM is closed.  When it returns, no handler
---of the device runs, but in a handler: there others may be under way.
---@return true? ok, string? message, string? code
function lua_device:remove() end
---Has another device take its range; no access finds it empty.  This one is removed by that.
---@param options vmm.lua_device  without pio and mmio
---@return vmm.lua_device? device, string? message, string? code
function lua_device:replace(options) end
---Moves it, as a guest moves a BAR.  Code "ENOENT" when it has been removed, "EBUSY" as vm:device.
---@param base integer
---@return true? ok, string? message, string? code
function lua_device:move(base) end

---@class vmm.tap
---@field name? string
---@field pio? { [1]: integer, [2]: integer }   base, length
---@field mmio? { [1]: integer, [2]: integer }
---@field read? fun(tap: vmm.tap, offset: integer, size: integer, value: integer): integer?
---@field write? fun(tap: vmm.tap, offset: integer, size: integer, value: integer): integer|false|nil
local tap = {}
---As a device's remove.
---@return true? ok, string? message, string? code
function tap:remove() end

---The VM keeps it, until it is removed.
---@class vmm.doorbell
local doorbell = {}
---Idempotent; the function runs no more.  Also by <close>.
---@return true
function doorbell:remove() end

---@class vmm.irq
local irq = {}
function irq:assert() end
function irq:deassert() end
---assert, then deassert
function irq:pulse() end

-- ---- a vCPU -----------------------------------------------------------------------------------

---State is read and written while the vCPU does not run.  Assigning a table changes just the
---fields that it names.  What fails raises in regs, sregs, cpuid and get_state (unlike
---vm:get_state); the other methods return nil, message, code.
---@class vmm.vcpu
---@field id integer
---@field state "none"|"paused"|"running"|"stopping"|"finished"
---@field regs table<string, integer>  rax ... r15, rip, rflags
---@field sregs table  cr0 cr2 cr3 cr4 cr8 efer apic_base; cs ... ldt; gdt, idt
---@field cpuid vmm.cpuid_entry[]
local vcpu = {}
---Any state as the kernel's structure: "regs", "sregs", "fpu", "xsave", "xcrs", "lapic",
---"debugregs", "mp_state", "vcpu_events", "tsc_khz", "sregs2", "cpuid", "nested".  Raises when
---the vCPU runs or there is none of that name.
---@param name string
---@return string bytes
function vcpu:get_state(name) end
---@param name string
---@param bytes string
---@return true? ok, string? message, string? code
function vcpu:set_state(name, bytes) end
---@param indices integer[]
---@return table<integer, integer>? values, string? message, string? code
function vcpu:get_msrs(indices) end
---@param values table<integer, integer>
---@return true? ok, string? message, string? code
function vcpu:set_msrs(values) end
---@param gva integer
---@return integer? gpa, string? message, string? code
function vcpu:translate(gva) end
---@return true? ok, string? message, string? code
function vcpu:nmi() end
---KVM_RUN once, on this thread; for loops of one's own.
---@return vmm.exit? exit, string? message, string? code
function vcpu:run_once() end
---What the last exit's read gives to the guest.
---@param bytes string
function vcpu:answer(bytes) end
---Gives the last exit to the VM's devices; false when it has ended the VM.
---@return boolean
function vcpu:dispatch() end

---@class vmm.exit
---@field type string  "pio_read", "pio_write", "mmio_read", "mmio_write", "halt", "shutdown", ...;
---  "none": interrupted, there is nothing to handle
---@field number integer  KVM_EXIT_*
---@field port? integer
---@field gpa? integer
---@field size? integer
---@field count? integer
---@field data? string
---@field index? integer  of an MSR
---@field value? integer  of an MSR

-- ---- devices and the console ------------------------------------------------------------------

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
