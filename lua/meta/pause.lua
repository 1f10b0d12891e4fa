---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Pause and resume of a VM with its time, and what is injected into a running guest.

---@class vmm.vm
---@field acpi_events? vmm.device  what vm:power_button raises an event of (vmm.acpi_events)
local vm = {}

---Stops all vCPUs between two instructions. In a handler of this VM: after it has returned. Code
---"ETIMEDOUT": they have not stopped in time, and the request stands; resume withdraws it.
---@param options? number|{ timeout?: number }  seconds
---@return true? ok, string? message, string? code
function vm:pause(options) end

---Lets a paused VM go on. time:
--- - "runs" (default): for the guest, the time of the pause has gone by, as when its CPUs are busy
---   elsewhere: its clocks are right when it goes on. Nothing is set, so this is exact and cheap.
---   Timers that came due meanwhile come at once. Linux's watchdogs are told of the pause and do
---   not bark.
--- - "stops": the pause has not been, for the guest. kvmclock and the TSCs go on from where they
---   stood when the last vCPU stopped, timers of the local APICs have left what they had then, the
---   PIT starts its period anew. The RTC is the host's clock and goes on, and so do timers of your
---   own devices.
---
---Works for every pause, also one that a handler has asked for. When it fails the VM is still
---paused; code "ENOTSUP": the host's KVM cannot move a TSC (before Linux 5.16, or where guests
---read the host's TSC itself, as on kvm_pvm); code "EBUSY": a vCPU runs.
---@param options? { time?: "runs"|"stops" }
---@return true? ok, number|string stood  seconds for which time has stood still; or a message
---@return string? code
function vm:resume(options) end

---The mechanism below time = "stops", of a paused VM that is to be resumed next.
---@return number? seconds, string? message, string? code
function vm:stand_still() end

---Of a paused VM: time leaps ahead, of kvmclock, the TSCs and timers that wait for a TSC deadline.
---@param seconds number  0 to 1e9
---@return true? ok, string? message, string? code
function vm:step_time(seconds) end

---Has the guest's clocks leap ahead: what it has waited for until then is due.  A VM that is paused
---stays so, else it is for a moment.  The real-time clock (CMOS) stays the host's.
---@param seconds number  0 to 1e9
---@return true? ok, string? message, string? code  "ENOTSUP": KVM cannot move a TSC
function vm:step_clock(seconds) end

---A non-maskable interrupt for every vCPU, or for the one of this index. A paused one gets it when it
---goes on. Linux logs it, or panics with unknown_nmi_panic.
---@param index? integer  in vm.vcpus
---@return true? ok, string? message, string? code
function vm:nmi(index) end

---Presses the ACPI power button. What the guest makes of it is its own affair: Linux tells it to
---who reads the button's input device (its drivers button and evdev), as a rule to power off.
---@return true? ok, string? message, string? code  "ENXIO": the VM has none
function vm:power_button() end

---The event register of an ACPI Generic Event Device, one port (layout.acpi_events_port); bit 0 is
---the power button in what acpi.build{ power_button = true } describes.
---@param options { irq: vmm.irq }
---@return vmm.device? device, string? message, string? code
function vmm.acpi_events(options) end

---@class vmm.device
local device = {}
---Events of vmm.acpi_events for the guest to read; raises for a device of another kind.
---@param events integer  bits, 1 to 255
function device:raise(events) end
