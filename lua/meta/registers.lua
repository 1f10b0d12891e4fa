---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The registers of a vCPU by name.

---@class vmm.vcpu
local vcpu = {}

---Reads a register, or writes it. Names:
--- - general: "rax" ... "r15", "rip", "rflags"; low parts as in instructions ("eax", "ax", "al",
---   "ah", "r8d", "r8w", "r8b", "eip"), of which a write leaves the rest of the register alone
--- - segment: "cs" ... "gs", "ss", "tr", "ldt" (the selector); "cs.base", "cs.limit", "cs.type",
---   "cs.present", "cs.dpl", "cs.db", "cs.s", "cs.l", "cs.g", "cs.avl", "cs.unusable";
---   "gdt.base", "gdt.limit", "idt.base", "idt.limit"
--- - control: "cr0", "cr2", "cr3", "cr4", "cr8", "efer", "apic_base", "xcr0"; "mp_state"
---   (KVM_MP_STATE_*)
--- - debug: "dr0" ... "dr3", "dr6", "dr7"
--- - MSRs: "msr.lstar" and its like by name, any by number: "msr.0xc0000082"
--- - x87 and vector: "st0" ... "st7" (a string of 10 bytes), "xmm0" ... "xmm15" (16 bytes), "ymm0"
---   ... "ymm15" (32 bytes), lowest byte first; "fcw", "fsw", "ftw", "fop", "fip", "fdp", "mxcsr",
---   "xstate_bv"
--- - local APIC: "lapic.id", "lapic.tpr", "lapic.svr", "lapic.isr0" ... "lapic.isr7", tmr, irr,
---   "lapic.lvt_timer", "lapic.timer_current", ...; a write loads the whole local APIC anew, with
---   its timer
---
---The vCPU must not run, or the caller be in a handler on its own thread: there the instruction
---that caused the exit is under way, and what it has yet to write (the register that `in` reads
---into, rip) comes after what the handler writes.
---
---A write is a read and a write of all the state of its kind: no other vCPU is concerned.
---What KVM refuses, and registers that this vCPU lacks ("ENXIO"), give nil, message, code. Raises
---for an unknown name, for a value that does not fit, and in reads and writes of a vCPU that runs
---(of MSRs: code "EBUSY").
---@param name string
---@param value? integer|string
---@return integer|string|true|nil value  true when written
---@return string? message
---@return string? code
function vcpu:reg(name, value) end

---@alias vmm.register_group
---| "general"|"segment"|"control"|"debug"|"msr"|"fpu"|"vector"|"lapic"

---@class vmm.register
---@field group vmm.register_group
---@field name string  as vcpu:reg takes it
---@field value integer|string
---@field size integer  bytes

---All registers of a vCPU that does not run, or those of a group, in the order of a manual; without
---low parts, and without those that it lacks.
---
---    for _, register in ipairs(vcpu:registers "control") do print(register.name, register.value) end
---@param group? vmm.register_group
---@return vmm.register[]
function vcpu:registers(group) end

---The same as a page of text for people, as a kernel's oops has them: in hexadecimal, by group; of
---debug, msr, fpu, vector and lapic just what is not 0.
---@return string
function vcpu:dump() end
