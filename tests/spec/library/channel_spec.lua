-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The channel to a guest whose agent is a script of the spec's: what a hostile one may say.

local agent = require "vmm.scenario.agent"
local core = require "vmm.core"
local sched = require "vmm.sched"
require "vmm.vm"

local methods = core.classes["vmm.vm"]

local READY = "\nvmm.agent ready 1 port\n"

-- A VM whose agent says what the spec says. vm.lost: how many bytes are lost before the next ones.
local function fake_vm()
    local said = ""
    local vm = { name = "fake", sent = "", lost = 0, vcpus = {} }
    setmetatable(vm, { __index = methods })
    vm.console = { tail = function() return "the last line" end }
    local fake = {}
    function fake.capture(_, position)
        local bytes = said:sub(position + 1, position + 65536)
        return bytes, position + #bytes + (bytes ~= "" and vm.lost or 0), 0
    end
    function fake.input(_, bytes)
        vm.sent = vm.sent .. bytes
        return #bytes
    end
    function fake.notify_output() return true end
    function fake.flush() return true end
    function vm.say(bytes)
        said = said .. bytes
        core.wake()
    end
    function vm.stopped() return vm.end_of_it end
    function vm.watch_end() end
    vm.serial2 = { core = fake }
    return vm
end

-- Runs a command in a task of its own, to which the agent then says something; what came of it.
local function run(vm, answer, after)
    local task = sched.spawn(function()
        return table.pack(vm:try_run("cmd", { timeout = 30 }))
    end)
    sched.wait(function() return vm.sent:find "cmd\n" and true end, 30)
    vm.say(answer)
    if after then after() end
    local results = task:wait()
    return results[1], results[2], results[3]
end

local function ready_vm()
    local vm = fake_vm()
    vm.say(READY)
    return vm
end

describe("the channel", function()
    it("hears the agent behind whatever came before", function()
        local vm = fake_vm()
        vm.say("login: \0\xff exit 1 0\nend 1 0 0\n" .. ("x"):rep(100000) .. READY)
        local result = run(vm, "exit 1 4\nend 1 3 3\nout")
        assert.equal(4, result.status)
        assert.equal("out", result.output)
        assert.equal("run 1 1 0\ncmd\n", vm.sent)
    end)

    it("hears an answer that comes byte by byte", function()
        local vm = ready_vm()
        local result = run(vm, "", function()
            for byte in ("exit 1 0\nend 1 5 5\nend 1"):gmatch "." do
                vm.say(byte)
                vm.channel:pump()
            end
        end)
        assert.equal("end 1", result.output)
    end)

    it("sends nothing before the agent is ready, and says for what it waited", function()
        local vm = fake_vm()
        local result, err, code = vm:try_run("cmd", { timeout = 0.01 })
        assert.is_nil(result)
        assert.equal("timeout", code)
        assert.matches("^fake: the agent in the guest: timed out after", tostring(err))
        assert.equal("", vm.sent)
    end)

    it("refuses an agent of another version", function()
        local vm = fake_vm()
        vm.say "vmm.agent ready 2 port\n"
        local _, err, code = vm:try_run "cmd"
        assert.equal("protocol", code)
        assert.matches("it speaks version 2 of the protocol", tostring(err), 1, true)
    end)

    it("gives up what runs when the agent begins anew", function()
        local _, err, code = run(ready_vm(), READY)
        assert.equal("lost", code)
        assert.matches("`cmd` in the guest: the agent in the guest has begun anew", tostring(err),
            1, true)
    end)

    for _, wrong in ipairs {
        "nonsense\n", "exit 1\n", "exit 1 256\n", "exit 1 0 " .. ("0"):rep(200) .. "\n",
        ("x"):rep(200), "end 1 " .. agent.OUTPUT_MAX + 1 .. " 0\n", "end 1 5 4\n",
        ("end 1 %d %d\n"):format(agent.INLINE + 1, agent.INLINE + 1),
        "part 1 " .. agent.CHUNK + 1 .. "\n", "part 1 99999999999999999999\n",
    } do
        local shown = wrong:sub(1, 40)
        it(("gives up what runs after %q, until an agent begins"):format(shown), function()
            local vm = ready_vm()
            local _, err, code = run(vm, wrong)
            assert.equal("lost", code)
            assert.matches("what came over the channel made no sense", tostring(err), 1, true)
            vm.say("exit 2 0\nend 2 0 0\n")
            assert.equal("timeout", select(3, vm:try_run("cmd", { timeout = 0.01 })))
            vm.sent = ""
            vm.say(READY)
            assert.equal(5, run(vm, "exit 2 5\nend 2 0 0\n").status)
        end)
    end

    it("gives up what runs when bytes were lost", function()
        local vm = ready_vm()
        local _, err, code = run(vm, "exit 1 0\n", function() vm.lost = 7 end)
        assert.equal("lost", code)
        assert.matches("7 bytes were lost", tostring(err), 1, true)
    end)

    it("does not mind answers about commands that nobody knows", function()
        local result = run(ready_vm(), "exit 9 1\nend 9 3 3\nabcpart 9 2\nabpart 1 1\nx"
            .. "exit 1 0\nend 1 0 0\n")
        assert.equal(0, result.status)
    end)

    it("tells that the guest has ended while a command ran", function()
        local vm = ready_vm()
        local _, err, code = run(vm, "exit 9 0\n", function()
            vm.end_of_it = { reason = "poweroff", text = "" }
        end)
        assert.equal("ended", code)
        assert.matches("^fake: `cmd` in the guest: the guest ended after .* the VM is ended:"
            .. " poweroff; .*last lines:\nthe last line$", tostring(err))
    end)

    it("refuses a command and an input that it cannot carry", function()
        local vm = fake_vm()
        vm.say "vmm.agent ready 1 serial\n"
        local _, err, code = vm:try_run("cat", { input = ("x"):rep((1 << 20) + 1) })
        assert.equal("E2BIG", code)
        assert.equal("fake: `cat` cannot be given its input: 1048577 bytes; up to 1048576 are"
            .. " possible over a serial port", tostring(err))
        assert.has_error(function() vm:run(("x"):rep(65537)) end, "vm:run: command: 65537 bytes;"
            .. " up to 65536 are possible: vm:put a script")
        assert.has_error(function() vm:run "a\0b" end,
            'vm:run: command must be without a NUL byte, not "a\\x00b"')
    end)

    it("is missed where a VM has none", function()
        local vm = fake_vm()
        vm.serial2 = nil
        assert.has_error(function() vm:run "true" end, "fake: there is no channel to the guest:"
            .. ' give the VM virtio_console = { ports = { "vmm.agent" } } or serial2 = "capture"')
    end)
end)
