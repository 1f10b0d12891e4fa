-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Scenarios that fail, and what they say then, word for word.

local sched = require "vmm.sched"
local texts = require "tests.spec.support.kernel_texts"
local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

local PROMPT = "guest# "
local SILENCE = os.getenv "VMM_LAB" and 0.5 or 3 -- seconds, which the guest takes none of to begin

-- A text with what varies from run to run, durations, addresses and numbers of exits, in words.
local function normalised(text)
    return (text:gsub("0x%x+", "ADDRESS"):gsub("%[ *%d+%.%d+%]", "[TIME]")
        :gsub("[%d.]+ s%f[%W]", "TIME"):gsub("exits meanwhile: [^;]*", "exits meanwhile: EXITS"))
end

-- A watched VM, not started yet, whose guest says a text and hangs. options: those of
-- vmm.scenario.watch; guest: another tiny guest.
local function made(name, says, options)
    options = options or {}
    local vm = assert(vmm.vm {
        name = name, memory = { size_mib = 16 },
        kernel = { path = tiny.path(options.guest or "say"), cmdline = says },
    })
    vm.console:split_log(true)
    return vmm.scenario.watch(vm, { silence = options.silence })
end

-- What a wait for a prompt says that begins with the VM.
local function boot_error(vm, timeout)
    local task = vmm.spawn(pcall, vm.console.expect, vm.console, PROMPT, { timeout = timeout })
    vmm.spawn(function() assert(vm:start()) end)
    local ok, err = task:wait()
    assert.is_false(ok)
    return normalised(tostring(err))
end

describe("A scenario that fails says why:", function()
    it("the prompt is another one", function()
        local vm <close> = made("a", "Welcome\nroot@guest> ")
        assert(vm:start())
        vm.console:expect("Welcome", { timeout = 20 })
        vm.console:expect("root@guest> ", { timeout = 20 })
        local ok, err = pcall(vm.console.expect, vm.console, PROMPT, { timeout = 0.1 })
        assert.is_false(ok)
        assert.equal([[
a: expected "guest# ", timed out after TIME (limit TIME); the VM is running; vCPU 1 at ADDRESS; ]]
            .. [[exits meanwhile: EXITS; last lines:
[TIME] Welcome
[TIME] root@guest> ]], normalised(tostring(err)))
    end)

    it("the guest hangs before its prompt", function()
        local vm <close> = made("a", nil, { guest = "spin" })
        assert.equal([[
a: expected "guest# ", timed out after TIME (limit TIME); the VM is running; vCPU 1 at ADDRESS; ]]
            .. [[exits meanwhile: EXITS; last lines:
[TIME] spinning]], boot_error(vm, 2))
    end)

    it("the guest falls silent", function()
        local vm <close> = made("a", "booting\n", { silence = SILENCE })
        assert.equal([[
a: silence: no output for TIME
the VM is running; vCPU 1 at ADDRESS; last lines:
[TIME] booting]], boot_error(vm, 60))
    end)

    it("the guest panics", function()
        local vm <close> = made("a", texts.printed(texts.panic, "syslog"))
        assert.equal([[
a: kernel panic: Kernel panic - not syncing: sysrq triggered crash
  [TIME] Kernel panic - not syncing: sysrq triggered crash
  [TIME] CPU: 1 PID: 137 Comm: sh Not tainted 6.1.0-40-cloud-amd64 #1  Debian 6.1.153-1
  [TIME] Hardware name:  , BIOS  ]] .. "\n" .. [[
  [TIME] Call Trace:
  [TIME]  <TASK>
  [TIME]  dump_stack_lvl+ADDRESS/ADDRESS
  [TIME]  panic+ADDRESS/ADDRESS
  [TIME]  sysrq_handle_crash+ADDRESS/ADDRESS
  [TIME]  __handle_sysrq.cold+ADDRESS/ADDRESS
  [TIME]  </TASK>
  [TIME] Kernel Offset: ADDRESS from ADDRESS (relocation range: ADDRESS-ADDRESS)
the VM is ended: panic (<0>[TIME] Kernel panic - not syncing: sysrq triggered crash)]],
            boot_error(vm, 60))
    end)

    it("the guest ends early", function()
        local vm <close> = made("a", nil, { guest = "poweroff" })
        assert.equal([[
a: expected "guest# ", the guest ended after TIME (limit TIME); the VM is ended: poweroff; ]]
            .. [[vCPU 1 at ADDRESS; exits meanwhile: EXITS; last lines:
[TIME] powering off]], boot_error(vm, 60))
    end)

    it("the guest faults three times", function()
        local vm <close> = made("a", nil, { guest = "triple_fault" })
        assert.equal([[
a: triple fault: vCPU 0 had a triple fault
the VM is ended: triple_fault (vCPU 0 had a triple fault); vCPU 1 at ADDRESS; last lines:
(the console is silent)]], boot_error(vm, 60))
    end)

    it("a CPU of the guest is locked up", function()
        local vm <close> = made("a", texts.printed([[
<0>watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [sh:137]
<4>CPU: 1 PID: 137 Comm: sh Not tainted 6.1.0-40-cloud-amd64 #1  Debian 6.1.153-1
<4>RIP: 0010:sysrq_handle_showmem+0x0/0x20
<4>Call Trace:
<4> <TASK>
<4> __handle_sysrq.cold+0x48/0x121
<4> </TASK>
]], "syslog"))
        assert.equal([[
a: soft lockup: watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [sh:137]
  [TIME] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [sh:137]
  [TIME] CPU: 1 PID: 137 Comm: sh Not tainted 6.1.0-40-cloud-amd64 #1  Debian 6.1.153-1
  [TIME] RIP: 0010:sysrq_handle_showmem+ADDRESS/ADDRESS
  [TIME] Call Trace:
  [TIME]  <TASK>
  [TIME]  __handle_sysrq.cold+ADDRESS/ADDRESS
  [TIME]  </TASK>
the VM is running]], boot_error(vm, 60))
    end)

    it("one of several that boot at a time does not get there", function()
        local a <close> = made("a", "booting\n" .. PROMPT)
        local b <close> = made("b", "booting\n")
        local function boot(vm, timeout)
            return vmm.spawn(function()
                assert(vm:start())
                vm.console:expect("booting\r?\n", { timeout = 60 })
                vm.console:expect(PROMPT, { timeout = timeout })
            end)
        end
        local ok, err = pcall(vmm.wait_all, { boot(a, 60), boot(b, 1) })
        assert.is_false(ok)
        assert.equal([[
b: expected "guest# ", timed out after TIME (limit TIME); the VM is running; vCPU 1 at ADDRESS; ]]
            .. [[exits meanwhile: EXITS; last lines:
[TIME] booting]], normalised(tostring(err)))
    end)

    it("nobody waited when it failed: at its close", function()
        local ok, err = pcall(function()
            local vm <close> = made("a", texts.printed(texts.ubsan, "syslog"))
            assert(vm:start())
            assert(sched.wait(function() return vm.console.log:lines()[2] end, 60))
        end)
        assert.is_false(ok)
        assert.equal([[
a: kernel warning: UBSAN: array-index-out-of-bounds in drivers/x.c:12:3
  [TIME] UBSAN: array-index-out-of-bounds in drivers/x.c:12:3
  [TIME] index 5 is out of range for type 'int [4]'
the VM is running]], normalised(tostring(err)))
    end)

    it("another error is why it is closed: that one", function()
        local ok, err = pcall(function()
            local vm <close> = made("a", texts.printed(texts.ubsan, "syslog"))
            assert(vm:start())
            assert(sched.wait(function() return vm.console.log:lines()[2] end, 60))
            error("the test's own", 0)
        end)
        assert.is_false(ok)
        assert.equal("the test's own", err)
    end)
end)
