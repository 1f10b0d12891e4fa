---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Boot-and-check scenarios: vmm.scenario.

---@class vmm
local vmm = {}

vmm.scenario = {}

---A VM for a scenario, not started yet.  Raises when its guest cannot be had, or the host refuses.
---options: those of vmm.vm, and guest: a name or what vmm.guest returns; prompt: a Lua pattern, when
---the guest's is another than its recipe says; log_level: kernel messages of which level the console
---shows (5: warnings and worse; 7: all but debug messages); policy: what is done about failures by
---kind ("fail" what is not named), silence: seconds, times VMM_TIMEOUT_SCALE, without output that are
---a failure (none).  A VM without a name is "vm", or "vm2", ... where there is such a one.
---@param options vmm.config
---@return vmm.vm
function vmm.scenario.vm(options) end

---Every combination of some options' values, for tests that are generated: an iterator of name and
---options.  Dimensions come in the order of their names, the last one changes fastest.
---@param dimensions table<string, any[]>
---@return fun(): string?, table?
function vmm.scenario.matrix(dimensions) end

---@class vmm.vm
---@field scenario? table  of those that vmm.scenario.vm made
local vm = {}

---Starts the VM and waits until one can talk to its guest: a task, whose result is the VM.
---@param options? { timeout?: number }  60 s, times VMM_TIMEOUT_SCALE
---@return vmm.task
function vm:boot(options) end

---Watches a VM that vmm.scenario.vm has not made for failures, from now on; one that it has made is
---watched already.
---@param vm vmm.vm
---@param options? { policy?: table<vmm.failure_kind, "ignore"|"note"|"fail">, silence?: number }
---@return vmm.vm
function vmm.scenario.watch(vm, options) end

---@alias vmm.failure_kind
---| "panic"
---| "oops"         a NULL pointer, a page fault, a general protection fault, an invalid opcode, ...
---| "bug"          BUG(), "BUG: scheduling while atomic", ...
---| "warning"      WARN(), of lockdep and UBSAN, too
---| "soft_lockup"  also of a workqueue
---| "hard_lockup"
---| "rcu_stall"
---| "hung_task"
---| "oom"          a process was killed for lack of memory
---| "triple_fault"
---| "lost"         a vCPU cannot go on: the VM ended by "error"
---| "silence"      no output for as long as the option silence says

---An error object: tostring() names the VM and has all of it.
---@class vmm.failure
---@field code vmm.failure_kind   the first one that is a failure by the policy
---@field kinds vmm.failure_kind[]  all, in their order: { "oops", "panic" } when one leads to the other
---@field vm string
---@field title string            the first line of the report
---@field lines string[]          all of them: up to 400, of 1 KiB
---@field text string             these with their times
---@field backtrace? string       the calls that the report shows; if it shows none, those that the
---vCPUs were in; nil where no symbols are known
---@field state string            of the VM, when the report was whole
local failure = {}
---@param kind vmm.failure_kind
---@return boolean
function failure:is(kind) end

---Raises the VM's failure, if it has failed by now.
function vm:check() end

---Failures of this kind, with a line that has the Lua pattern, are noted from now on and fail nothing.
---@param kind vmm.failure_kind
---@param pattern? string
---@return vmm.allowed
function vm:allow(kind, pattern) end

---@class vmm.allowed
---@field count integer  how many there were
local allowed = {}
---Ends it; as does the end of a <close> variable.
function allowed:remove() end

---Takes a failure of this kind (any): one that there is and that nobody has taken, or the next one,
---whatever the policy. It is none of the VM's then: waits go on. Raises any other failure, and at the
---end of the time an error that explains.
---@param kind? vmm.failure_kind
---@param options? { timeout?: number, pattern?: string }  60 s; a Lua pattern in its text
---@return vmm.failure
function vm:wait_for_failure(kind, options) end
