---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What is counted, timed and recorded of a VM.

---Durations: how many there were, and about how long. Times are seconds.
---@class vmm.histogram
---@field count integer
---@field sum number
---@field max number
---@field buckets [number, integer][]  those that are not empty, as { below, count }, ascending; four
---to each power of two, so that a bucket's bounds are at most a quarter apart

---@class vmm.access
---@field kind "pio"|"mmio"|"msr"|"hypercall"
---@field direction "read"|"write"
---@field address integer  port, guest-physical address, MSR or hypercall number
---@field size integer  bytes
---@field bytes integer  moved in all (string I/O moves many by one exit)
---@field device? string  what sits there now
---@field handling vmm.histogram

---@class vmm.vcpu_metrics
---@field id integer
---@field cpu number  CPU time of its thread, in the guest and out of it
---@field kicks integer  interruptions that are no pauses: an NMI to be sent, vm:measure(true)
---@field pauses integer
---@field exits table<string, integer>  by reason; counted also while nothing is measured
---@field handling table<string, vmm.histogram>  by reason: how long exits took outside the guest
---@field in_guest vmm.histogram  KVM_RUN between two exits: HLT included, pauses not
---@field accesses vmm.access[]  in the order of the first of each, 256 at the most
---@field other_accesses vmm.histogram  all that had no room among those
---@field kvm? table<string, integer|integer[]>  KVM's own statistics, by its names and in its units;
---from the vCPU's first interruption after vm:measure(true) on, which that causes

---@class vmm.metrics
---@field vm string  its name
---@field time number  CLOCK_MONOTONIC, as vmm.now()
---@field uptime number  since the start, until all vCPUs have finished
---@field measuring boolean
---@field memory_bytes integer  guest memory
---@field resident_bytes integer  what the process has in memory, touched guest memory included
---@field console { input_bytes: integer, output_bytes: integer }
---@field lua_handlers { calls: integer, ran: number, waited: number }  on vCPU threads, while it
---measured; waited: for other Lua to end
---@field vcpus vmm.vcpu_metrics[]
---@field kvm? table<string, integer|integer[]>  KVM's own statistics of the VM

---@class vmm.vm
local vm = {}

---Takes times from now on, or no more. What was taken stays.
---@param on boolean
---@return true? ok, string? message, string? code
function vm:measure(on) end
---All that was counted so far.
---@return vmm.metrics
function vm:metrics() end
---Records the last events (4096) of each vCPU from now on; code "EBUSY": a trace runs.
---@param options? { events?: integer }
---@return vmm.trace? trace, string? message, string? code
function vm:trace(options) end

---Functions of such tables: vmm.metrics.
---@class vmm.metrics_module
local metrics = {}

---In Prometheus' text format; one table, or those of several VMs.
---@param of vmm.metrics|vmm.metrics[]
---@return string
function metrics.prometheus(of) end
---@param of vmm.metrics
---@return string
function metrics.json(of) end
---One frame of the live view: what happened between two tables, or since the start.
---@param now vmm.metrics
---@param before? vmm.metrics
---@return string
function metrics.top(now, before) end
---What a share q (0 to 1) of the durations did not exceed; at most a quarter too large.
---@param histogram vmm.histogram
---@param q number
---@return number seconds
function metrics.quantile(histogram, q) end

---@class vmm.trace_event
---@field kind "exit"|"kick"|"pause"|"resume"
---@field time_ns integer  CLOCK_MONOTONIC; of an exit: its begin
---@field duration_ns? integer  of an exit, as all that follows
---@field type? string  its reason
---@field number? integer  KVM's exit reason, when nothing was accessed
---@field access? "pio"|"mmio"|"msr"|"hypercall"
---@field address? integer
---@field size? integer
---@field count? integer  of string I/O
---@field value? integer  that was written or read, of a string the first
---@field device? string

---@class vmm.trace
local trace = {}

---Records no more. What was recorded stays until the VM's next trace, or its close. Idempotent; also
---when a <close> variable goes.
function trace:stop() end
---A text of the script's, at this time; the last 10,000 are kept.
---@param text string
function trace:mark(text) end
---Events of a vCPU (1), oldest first, and how many were lost; also while it records. Codes: "ESTALE"
---(a later trace), "closed".
---@param index? integer
---@return vmm.trace_event[]? events, integer|string lost, string? code
function trace:events(index) end
---Chrome's trace event JSON, for ui.perfetto.dev or chrome://tracing.
---@param path string
---@return true? ok, string? message, string? code
function trace:write(path) end

---JSON: vmm.json.
---@class vmm.json_module
---@field null table  what null is read as
local json = {}

---Raises for what JSON does not have.
---@param value any
---@return string
function json.encode(value) end
---@param text string
---@return any value, string? message, string? code
function json.decode(text) end
---Has a table written as an array also when it is empty.
---@generic T
---@param list T
---@return T
function json.array(list) end

---More options of vmm.vm.
---@class vmm.config
---@field metrics? { path: string, format?: "json"|"prometheus", every?: number }  measure, and keep
---the figures in a file: replaced every second, and once more at the end or close; `every`: seconds
---@field trace? { path: string, events?: integer }  trace, and write it at the end or close
