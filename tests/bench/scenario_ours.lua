-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- A contender of scenario_rounds.lua: one figure of a dialogue with a guest of ours.
-- Arguments: FIGURE KERNEL INITRD CMDLINE; for "memory" FIGURE ELF.
--   run       ms of vm:run "true", over the channel
--   console   ms of the same typed at the prompt, with its status
--   enter     ms from Enter at the prompt to the next prompt
--   seen      us from output being with the console to the script having it
--   memory    KiB by which the process has grown for each MiB of output, guest RAM aside

local vmm = require "vmm"

local figure, kernel, initrd, cmdline = table.unpack(arg)

-- How often each is done; what counts is the median.
local TIMES, WARM = 20, 3
local PROMPT = "guest# "
local SECONDS = 300

-- No other mapping has this size, which leads to the guest's RAM in /proc/self/smaps.
local RAM_MIB = 37

local function boot()
    local vm = assert(vmm.vm {
        memory = { size_mib = 512 }, virtio_console = { ports = { "vmm.agent" } },
        kernel = { path = kernel, initrd = initrd, cmdline = cmdline .. " reboot=k" },
    })
    assert(vm:start())
    vm.console:expect(PROMPT, { timeout = SECONDS })
    vm:run("true", { timeout = SECONDS })
    return vm
end

-- The median of what fn returns, or of the seconds that it takes.
local function median(fn)
    local list = {}
    for i = 1 - WARM, TIMES do
        local start = vmm.now()
        local result = fn()
        list[i] = result or vmm.now() - start
    end
    table.sort(list)
    return list[TIMES // 2]
end

local function type_true(vm)
    vm.console:send_line "true; echo status=$?"
    local found = vm.console:expect("\nstatus=(%d+)", { timeout = SECONDS })
    assert(found[1] == "0")
    vm.console:expect(PROMPT, { timeout = SECONDS })
end

local figures = {}

function figures.run(vm)
    return 1e3 * median(function()
        assert(vm:run("true", { timeout = SECONDS }).status == 0)
    end)
end

function figures.console(vm)
    return 1e3 * median(function() type_true(vm) end)
end

local function enter(vm)
    vm.console:send_line ""
    vm.console:expect(PROMPT, { timeout = SECONDS })
end

function figures.enter(vm)
    return 1e3 * median(function() enter(vm) end)
end

-- The console notes when it was given a byte, by the same clock.
function figures.seen(vm)
    local core = vm.console.core
    return 1e6 * median(function()
        enter(vm)
        local now = vmm.now()
        local _, _, time = core:capture(core:total() - 1)
        return now - time
    end)
end

-- KiB of this process that are resident, but for the guest's RAM.
local function resident()
    collectgarbage()
    collectgarbage()
    local sum, is_ram = 0, false
    for line in io.lines "/proc/self/smaps" do
        local key, kib = line:match "^([%w_]+):%s+(%d+) kB"
        if key == "Size" then is_ram = tonumber(kib) == RAM_MIB * 1024 end
        if key == "Rss" and not is_ram then sum = sum + tonumber(kib) end
    end
    return sum
end

local function memory()
    local vm <close> = assert(vmm.vm {
        memory = { size_mib = RAM_MIB }, kernel = { path = kernel },
    })
    assert(vm:start { paused = true })
    local before = resident()
    assert(vm:resume())
    vm.console:expect("PASS", { timeout = SECONDS })
    return (resident() - before) / (vm.console.core:total() / (1 << 20))
end

if figure == "memory" then
    print(memory())
else
    local vm <close> = boot()
    print(figures[figure](vm))
end
