-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vmm-reference test, where a test that goes wrong has a VM.

local process = require "vmm.process"
local test_run = require "tests.spec.support.test_run"

local SPEC = [[
local vmm = require "vmm"
local function start(name)
    local vm = assert(vmm.vm { name = name, memory = { size_mib = 16 }, console = "capture",
        kernel = { path = "%s/.build/guest/spin.bin", flow = "flat" } })
    assert(vm:start())
    vm.console:expect "spinning"
    return vm
end
it("fails with a VM", function()
    local box <close> = start "box"
    error "now"
end)
it("runs when another fails", function() end)
it("waits for ever beside a VM", function()
    local other <close> = start "other"
    vmm.sleep(100000)
end)
]]

local SCALE = os.getenv "VMM_TIMEOUT_SCALE" or "1"
local SECONDS = os.getenv "VMM_LAB" and 1 or 5 -- by then the VM runs

describe("vmm-reference test, of a test that has a VM,", function()
    local run

    setup(function()
        local directory = assert(process.current_directory())
        run = test_run.new { ["a_spec.lua"] = SPEC:format(directory) }
    end)

    teardown(function()
        run:close()
    end)

    it("pauses it where the test fails, and has it in the prompt by the test's names", function()
        local output, code = run:run("--debug-on-fail a_spec.lua:9",
            "printf 'print(box.name, vm == box, box.vcpus[1].state)\\nexit\\n' |", SCALE)
        assert.equal(1, code, output)
        assert.matches("fails with a VM has failed: a_spec.lua:11: now\n", output)
        assert.matches("\nVMs: box %(paused%); exit goes on with the tests\nbox\ttrue\tpaused\n",
            output)
    end)

    it("leaves it running with --keep, to be had by a prompt, until its process is killed",
        function()
            local output, code = run:run("--keep kept --filter fails --report r.jsonl a_spec.lua",
                nil, SCALE)
            assert.equal(1, code, output)
            assert.equal("1 passed, 1 failed, 0 skipped", output:match "([^\n]*)\n$", output)
            assert.equal("pass", run:ended("r.jsonl", ":runs when another fails").status)
            local kept = test_run.kept(output)
            assert.equal(1, #kept, output)
            local answer = run:run("--attach " .. kept[1].prompt,
                "printf 'box.name, vm == box, vm.vcpus[1].state\\nvm:stopped()\\nvm:pause(60)\\n"
                .. "vm.vcpus[1].state\\n' |", SCALE)
            assert.matches("\n> box\ttrue\trunning\n> nil\n> true\n> paused\n> $", answer)
            test_run.kill(kept[1].pid)
            assert.is_nil(process.capture { "test", "-S", run.directory .. "/" .. kept[1].prompt })
        end)

    it("tells what it is at when the test's time is over", function()
        local output, code = run:run(("--test-timeout %d --grace 20 a_spec.lua:14"):format(SECONDS),
            nil, SCALE)
        assert.equal(1, code, output)
        assert.matches("the test budget is over: waits for ever beside a VM has taken %d+%.%d s,"
            .. " %d+ s are allowed %(%-%-test%-timeout%)\n *other: the VM is running", output)
    end)
end)
