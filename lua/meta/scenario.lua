---@meta
-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Boot-and-check scenarios: vmm.scenario.

---@class vmm
local vmm = {}

vmm.scenario = {}

---A VM for a scenario, not started yet.  Raises when its guest cannot be had, or the host refuses.
---options: those of vmm.vm, and guest: a name or what vmm.guest returns; prompt: a Lua pattern, when
---the guest's is another than its recipe says; log_level: kernel messages of which level the console
---shows (5: warnings and worse; 7: all but debug messages).
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
