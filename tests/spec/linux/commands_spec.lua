-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Commands and files in a Linux guest, over a virtio port and over a second serial port.

local agent = require "vmm.scenario.agent"
local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local vmm = require "vmm"

local boot = {}

function boot.port()
    return vmm.scenario.vm { guest = "debian-cloud" }:boot():wait()
end

-- A guest without a driver for virtio consoles, whose agent finds its way by itself.
function boot.serial()
    return linux.boot {
        kernel = { initrd = assert(guests.initramfs {
            files = { [agent.PATH] = agent.SCRIPT },
        }) },
        serial2 = "capture",
    }
end

-- Bytes that repeat nowhere near.
local function noise(size)
    local words = {}
    for i = 1, size // 8 do
        words[i] = ("<I8"):pack(i * 0x9e3779b97f4a7c15)
    end
    return table.concat(words)
end

-- A byte over a serial port is some exits, which take their time in a lab.
local SIZES = { port = 1 << 20, serial = 16 << 10 }

for _, kind in ipairs { "port", "serial" } do
    describe("over a " .. (kind == "port" and "virtio port" or "serial port"), function()
        local vm

        setup(function() vm = boot[kind]() end)

        teardown(function()
            if vm then vm:close() end
        end)

        it("commands run, and give status, output and duration", function()
            local result = vm:run "echo out; echo err >&2; exit 3"
            assert.equal(3, result.status)
            assert.equal("out\nerr\n", result.output)
            assert.is_true(result.duration >= 0)
            assert.equal(kind, vm.channel.kind)
        end)

        it("they succeed and fail, and the error says why", function()
            assert.matches("^%d+%.%d+", vm:succeed "uname -r")
            assert.equal("", vm:fail "false")
            local _, err, code = vm:try_succeed "ls /nowhere"
            assert.equal("status", code)
            assert.matches("^vm: `ls /nowhere` failed with status 1 after [%d.]+ s;"
                .. " its last output:\nls: /nowhere: No such file or directory$", tostring(err))
        end)

        it("no kernel message and no echo of the console mixes in", function()
            local job = vm:background("i=0; while [ $i -lt 40 ]; do i=$((i + 1));"
                .. " echo \"<1>message $i\" >/dev/kmsg; echo \"line $i\" >/dev/console; done")
            vm.console:send_line "echo typed"
            for i = 1, 3 do
                assert.equal(("%d\n"):format(i), vm:run(("echo %d"):format(i)).output)
            end
            assert.equal("", job:wait().output)
            vm.console:expect("line 40", { timeout = 12 })
        end)

        it("a file goes in and comes out as it is", function()
            local data = noise(SIZES[kind])
            vm:put { data = data, to = "/tmp/file" }
            local got = vm:get { from = "/tmp/file" }
            assert.is_true(got == data, #got .. " bytes, or others")
        end)

        it("what a command leaves behind holds nothing up", function()
            local pid = vm:succeed "sleep 1000 & echo $!"
            vm:succeed("kill " .. pid)
        end)

        it("a command that takes too long is killed, with all that it has begun", function()
            local _, err, code = vm:try_run("sleep 1000 & echo $!; exec sleep 1000",
                { timeout = 0.3 })
            assert.equal("timeout", code)
            vm:wait_until_fails("kill -0 " .. err.output)
        end)

        if kind == "serial" then
            it("files that would take too long are refused", function()
                local _, err, code = vm:try_put { data = ("x"):rep((1 << 20) + 1), to = "/tmp/x" }
                assert.equal("E2BIG", code)
                assert.equal("vm: put /tmp/x has 1048577 bytes; a serial port carries up to"
                    .. " 1048576: use a disk, a shared folder, or a guest with a driver for virtio"
                    .. " consoles",
                    tostring(err))
                vm:succeed "head -c 1048577 /dev/zero >/tmp/x"
                assert.equal("E2BIG", select(3, vm:try_get { from = "/tmp/x" }))
            end)
        else
            it("one can wait for files, ports, processes", function()
                local job = vm:background "sleep 0.2; touch /tmp/flag; exec nc -l -p 4000"
                vm:wait_for_file "/tmp/flag"
                vm:wait_for_port(4000)
                vm:wait_for_process "nc"
                job:kill()
                assert.equal(143, job:wait().status)
            end)
        end

        it("a guest that ends while a command runs is told of", function()
            local _, err, code = vm:try_run "poweroff -f; sleep 1000"
            assert.equal("ended", code)
            assert.matches("^vm: `poweroff %-f; sleep 1000` in the guest: the guest ended after"
                .. " [%d.]+ s .*the VM is ended: poweroff", tostring(err))
        end)
    end)
end
