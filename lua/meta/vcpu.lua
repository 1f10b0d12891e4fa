---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A vCPU: its state, one run to an exit, the exit.

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
---"debugregs", "mp_state", "vcpu_events", "tsc_khz", "tsc_offset", "sregs2", "cpuid", "nested".
---Raises when the vCPU runs or there is none of that name.
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
