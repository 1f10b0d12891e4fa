-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Boot-and-check scenarios: VMs whose guests are described by name, booted until one can talk to
-- them.

local argument = require "vmm.argument"
local channel = require "vmm.scenario.channel"
local cmdline = require "vmm.boot.cmdline"
local core = require "vmm.core"
local detect = require "vmm.scenario.detect"
local guest = require "vmm.guest"
local kernel_lines = require "vmm.scenario.kernel_lines"
local leave = require "vmm.scenario.leave"
local machine = require "vmm.machine"
local matrix = require "vmm.scenario.matrix"
local names = require "vmm.scenario.names"
local record = require "vmm.scenario.record"
local sched = require "vmm.sched"

local scenario = {
    matrix = matrix, -- every combination of some options, for tests that are generated
    watch = detect.attach, -- failures of a VM that is none of a scenario's
}

local methods = core.classes["vmm.vm"]

local BOOT_SECONDS = 60
local MEMORY_MIB = 512

-- Kernel messages of this level and below come on the console: errors and warnings.
local LOG_LEVEL = 5

-- Options of a scenario's VM that vmm.vm does not have.
local OWN = { "guest", "log_level", "policy", "silence", "prompt" }

local is_own = {}
for _, name in ipairs(OWN) do
    is_own[name] = true
end

-- What Linux takes for a lockup or a stall (10 and 21 s of its own) is none on a slow host.
local WATCHDOG_SECONDS, WATCHDOG_MAX = 10, 60
local STALL_SECONDS, STALL_MAX = 21, 300

local function patience()
    if sched.scaled(1) <= 1 then return "" end
    return ("watchdog_thresh=%d rcupdate.rcu_cpu_stall_timeout=%d"):format(
        math.min(WATCHDOG_MAX, math.ceil(sched.scaled(WATCHDOG_SECONDS))),
        math.min(STALL_MAX, math.ceil(sched.scaled(STALL_SECONDS))))
end

-- word: one more, or nil.
local function command_line(options, prepared, word)
    local words = ("console=ttyS0 i8042.nokbd reboot=k panic=1 loglevel=%d"
        .. " console_msg_format=syslog"):format(options.log_level or LOG_LEVEL)
    if options.transport ~= "pci" then words = cmdline.add(words, "pci=off") end
    if word then words = cmdline.add(words, word) end
    words = cmdline.add(words, patience())
    return cmdline.add(words, prepared.cmdline or "")
end

-- One list from what the guest needs and what the scenario adds.
local function join(first, second)
    local list = table.move(first or {}, 1, #(first or {}), 1, {})
    return table.move(second or {}, 1, #(second or {}), #list + 1, list)
end

-- vmm.vm's options: the scenario's, with those of its guest where it has none.
local function machine_options(options, prepared)
    local result = {}
    for key, value in pairs(options) do
        if not is_own[key] then result[key] = value end
    end
    local word = channel.equip(result, prepared.virtio_console)
    result.kernel = {
        path = prepared.kernel, initrd = prepared.initrd,
        cmdline = command_line(options, prepared, word),
    }
    for key, value in pairs(options.kernel or {}) do
        result.kernel[key] = value
    end
    result.name = result.name or names.free()
    result.memory = result.memory or { size_mib = prepared.memory_mib or MEMORY_MIB }
    for _, key in ipairs { "block", "share" } do
        if prepared[key] then result[key] = join(prepared[key], options[key]) end
    end
    return result
end

-- A VM for a scenario, not started yet; whatever is wrong raises an error that says so. options:
-- those of vmm.vm, and
--   guest      a name or what vmm.guest returns (vmm.guest.default())
--   prompt     Lua pattern of the guest's prompt, when it is another than the guest's own
--   log_level  kernel messages of which level the console shows (5: warnings and worse; 7: all)
--   policy, silence  what counts as a failure, see vmm.scenario.detect
-- Its verbs are methods of the VM: vm:boot, vm:run, vm:succeed, ...
function scenario.vm(options)
    argument.type("vmm.scenario.vm: options", options, "table")
    detect.check(options)
    local about = guest.get(options.guest or guest.default(), 3)
    local prepared = about:prepare()
    local config = machine_options(options, prepared)
    local vm, message = machine.new(config)
    if not vm then error(message, 2) end
    vm.scenario = { guest = about, prepared = prepared, options = options,
        prompt = options.prompt or prepared.prompt, channel = channel.of(vm) }
    for _, console in ipairs(kernel_lines.consoles(vm)) do
        console:split_log "leveled"
    end
    detect.attach(vm, { policy = options.policy, silence = options.silence })
    leave.made(vm, config)
    return vm
end

local function boot(vm, timeout)
    local step <close> = record.step("boot", vm.name .. " boots", vm)
    local ok, message = vm:start()
    if not ok then error(("%s: %s"):format(vm.name, message), 0) end
    leave.started(vm)
    if vm.scenario.prompt then
        vm.console:expect(vm.scenario.prompt, { timeout = timeout })
    else
        local ready, err = vm.scenario.channel:await(timeout)
        if not ready then error(err, 0) end
    end
    step:finish(true)
    return vm
end

-- vm:boot{ timeout = seconds (60) } -> a task that starts the VM and ends, with the VM, when one
-- can talk to its guest.
function methods.boot(vm, options)
    options = argument.options("vm:boot", options, { "timeout" })
    if not (vm.scenario and vm.scenario.guest) then
        error("vm:boot: not a VM of vmm.scenario.vm", 2)
    end
    return sched.spawn(boot, vm, options.timeout or BOOT_SECONDS)
end

return scenario
