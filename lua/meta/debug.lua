---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Breakpoints, watchpoints and single steps: the annotations of lua/vmm/debug.lua.

---What a vCPU has come to.
---@class vmm.break_hit
---@field vcpu integer       index in vm.vcpus
---@field address integer    of the breakpoint or watchpoint, virtual
---@field breakpoint vmm.breakpoint
---@field rip integer        linear; behind the access for a watchpoint
---@field old? integer       of a watchpoint: the value before
---@field new? integer       and after

---A breakpoint or watchpoint. It is the VM's: dropping the object does not remove it.
---@class vmm.breakpoint
---@field address integer
---@field hits integer       so far, over all vCPUs
---@field hardware boolean   in a debug register; else a byte in memory, or single steps
local breakpoint = {}

---Removes it; idempotent. May be called while the guest runs and from any handler, its own
---function included; waits for nobody.
function breakpoint:remove() end

---@alias vmm.break_function fun(hit: vmm.break_hit): boolean?

---@class vmm.breakpoint_options
---@field at integer|string  a virtual address, or what vm:symbol takes ("do_sys_openat2+0x10")
---@field hardware? boolean  in one of four debug registers: nothing is written to memory; the
---                          guest's own debug registers do nothing while there is one
---@field vcpu? integer      whose page tables say where the address is (1); the own one in a handler
---@field [1]? vmm.break_function

---@class vmm.watchpoint_options
---@field at integer|string  a multiple of len
---@field len? integer       1, 2, 4 or 8 (8)
---@field access? "w"|"rw"   ("w")
---@field single_step? boolean  true: by single steps; false: never by them; nil: where the host
---                          has no watchpoints
---@field vcpu? integer
---@field [1]? vmm.break_function

---vm:on("break", fn): fn(hit) on the script's thread, once a breakpoint or watchpoint has stopped
---the VM and all vCPUs stand still.
---@alias vmm.break_event fun(hit: vmm.break_hit)

---@class vmm.vm
local vm = {}

---Stops vCPUs at an instruction, before it. The function runs on the vCPU's thread, once for each
---hit, under the rules of all handlers (it may not wait; an error ends the VM); it may read and
---write vm.vcpus[hit.vcpu].regs. It returns true, or there is none: the VM is left paused, "break"
---is told, and vm:resume() steps over the breakpoint by itself. While one hit is stopping the VM,
---others at breakpoints wait until it goes on.
---
---A software breakpoint is a byte in guest memory, wherever that is mapped. Where KVM is not told
---of INT3 (vm:debug_support says so) it is a port read, which works in the guest's ring 0.
---The step over it needs all other vCPUs to stand still for a moment.
---
---"EFAULT": not mapped to RAM; "ENOSPC": no debug register is left; "ENOTSUP": not on this host.
---@param options vmm.breakpoint_options
---@return vmm.breakpoint?, string?, string?
function vm:breakpoint(options) end

---Tells writes to, or accesses of, up to 8 bytes.
---
---By single steps (hardware = false) it tells changes of the value only; reads are never seen. Each
---vCPU then runs a thousand times slower as long as there is such a watchpoint. What changes in an
---interrupt's handler is told when that has returned; what one vCPU changes another one may be the
---first to notice. From then on until the VM is closed, traps that the guest makes itself by its
---trap flag are lost: they can't be told from what such steps leave on its stacks.
---@param options vmm.watchpoint_options
---@return vmm.breakpoint?, string?, string?
function vm:watchpoint(options) end

---Waits until the VM stands still at a breakpoint or watchpoint. where: an address or symbol to
---break at meanwhile. A hit that was told before and not taken by a wait is returned at once;
---vm:resume() forgets such. nil, message, "timeout", "ended" (the VM has), "interrupted" (closed).
---@param where? integer|string
---@param options? { timeout?: number }
---@return vmm.break_hit?, string?, string?
function vm:wait_break(where, options) end

---Single-steps one vCPU of a paused VM, or of one that has not been started; the others stand
---still, interrupts wait, devices serve what it asks of them. Blocks the script's thread.
---Breakpoints on the way are passed and not told, watchpoints are. SYSCALL is a step into the
---kernel; an exception's handler belongs to the instruction that caused it.
---nil, message, "EBUSY" (it runs, or a handler has resumed the VM),
---"ETIMEDOUT", "ECANCELED" (the VM has ended).
---@param options? { vcpu?: integer, count?: integer, timeout?: number }  1, 1, 10 s
---@return { vcpu: integer, rip: integer, steps: integer }?, string?, string?
function vm:step(options) end

---@class vmm.debug_support
---@field software_breakpoints boolean
---@field hardware_breakpoints boolean
---@field watchpoints boolean
---@field single_step boolean
---@field by_port boolean    software breakpoints are reads of ports
---@field reasons table<string, string>  why not, or with what limits

---What this host's KVM delivers, found by trying it in a VM of its own; asked once a process.
---@return vmm.debug_support?, string?, string?
function vm:debug_support() end

---In bytes that were read from guest memory at a physical address, puts back what software
---breakpoints cover.
---@param bytes string
---@param address integer    guest physical
---@return string
function vm:without_breakpoints(bytes, address) end
