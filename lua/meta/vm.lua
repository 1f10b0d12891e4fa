---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A VM: its parts, its life, what a script is told of it.

---From kvm:create_vm or vmm.vm.  Fields that a script sets on it are kept.
---@class vmm.vm
---@field name string
---@field closed boolean
---@field vcpus vmm.vcpu[]      of vmm.vm
---@field memory vmm.memory     of vmm.vm
---@field console vmm.console   of vmm.vm
---@field serial2? vmm.console  of vmm.vm with the option serial2: its second serial port, ttyS1
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
--- - "device_failed": a daemon that serves a device has failed, the guest goes on without it:
---   fn{ device =, message = }.
--- - "crashloaded": the guest has panicked and goes on in its crash kernel (by pvpanic): fn().
---
---On the vCPU's thread, as a handler of a device in Lua: at exits that no device took.
---fn(vcpu_index, exit) may not wait; one that throws stops the VM with its traceback.  All are
---called; the first answer counts: an integer, or all bytes as a string, is what a read gives
---(rdmsr, a hypercall: an integer); true says that it is done; nil or false leaves it to the default:
---reads give all-ones, writes do nothing, an MSR raises #GP, a hypercall is refused, anything else
---ends the VM.
--- - "unhandled_pio", "unhandled_mmio": an access to nothing.
--- - "msr": an MSR that KVM does not know, or a value that it refuses.  Without a subscription to
---   "msr" KVM itself raises #GP.
--- - "hypercall": one that KVM lets user space serve (12, KVM_HC_MAP_GPA_RANGE, of those it knows).
---   Without an answer, and without a subscription, it gives -KVM_ENOSYS (-1000).
--- - "debug", "unknown": what KVM has been asked for by other means.
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
---Hypercall 12 exits, instead of giving -KVM_ENOSYS.
---@param on boolean
---@return true? ok, string? message, string? code
function vm:trap_hypercalls(on) end
---Starts a thread for each vCPU and returns at once.  paused: no instruction runs before vm:resume().
---@param options? { paused?: boolean }
---@return true? ok, string? message, string? code
function vm:start(options) end
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
---| "ready"|"break"|"stop"|"crashloaded"|"device_failed"|"shutdown"|vmm.reason
---| "unhandled_pio"|"unhandled_mmio"|"msr"|"hypercall"|"debug"|"unknown"|"exit"
---@class vmm.subscription
local subscription = {}
---Ends it; idempotent.
function subscription:remove() end
---@class vmm.stop
---@field reason vmm.reason
---@field text string
---@field nr? integer  of a hypercall
---@field args? integer[]  of a hypercall: six
