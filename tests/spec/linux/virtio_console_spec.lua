-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The virtio console under Linux's own driver: a shell on hvc0, ports with names, its size.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local sched = require "vmm.sched"

-- getty knows its terminal by name; root has no password.
local LOGIN = "(setsid getty -L 115200 hvc0 vt100 &)"
local SHELL = "(setsid sh -c 'exec sh -i </dev/hvc0 >/dev/hvc0 2>&1' &)"
-- What udev does, when port N is there.
local PORTS = "until [ -e /sys/class/virtio-ports/vport0p%d/name ]; do sleep 0.1; done;"
    .. " mkdir /dev/virtio-ports; for p in /sys/class/virtio-ports/*; do"
    .. " read n <$p/name && ln -s ../${p##*/} /dev/virtio-ports/$n; done"

local function boot(console, transport)
    local kernel = assert(guests.kernel "cloud-amd64")
    local initrd = assert(guests.initramfs {
        kernel = kernel, modules = { "virtio_" .. transport, "virtio_console" },
    })
    return linux.boot {
        kernel = { initrd = initrd }, virtio_console = console, transport = transport,
    }
end

local function answer(console, command)
    console:send_line("echo BEGIN; " .. command .. "; echo END")
    return console:expect("\nBEGIN\r\n(.-)\r\nEND\r\n", { timeout = 12 })[1]
end

describe("Linux's virtio_console driver, with one port,", function()
    local vm

    setup(function()
        vm = boot({ cols = 132, rows = 50 }, "mmio")
        linux.run(vm, LOGIN)
        vm.hvc:expect("guest login: ", { timeout = 12 })
        vm.hvc:send_line "root"
        vm.hvc:expect("# ", { timeout = 12 })
    end)

    teardown(function()
        if vm then vm:close() end
    end)

    it("gives hvc0, on which somebody can log in", function()
        assert.equal("/dev/hvc0", answer(vm.hvc, "tty"))
        assert.equal("root vt100", answer(vm.hvc, "echo $USER $TERM"))
    end)

    it("knows the size that it was made with, and a new one", function()
        assert.equal("50 132", answer(vm.hvc, "stty size"))
        assert.is_true(vm.hvc:resize(90, 33))
        linux.run(vm, "until stty -F /dev/hvc0 size | grep -q 33; do sleep 0.1; done")
        assert.equal("33 90", answer(vm.hvc, "stty size"))
    end)
end)

-- 1 MiB that repeats nowhere, and its MD5 sum.
local function blob()
    local words = {}
    for i = 0, (1 << 18) - 1 do
        words[#words + 1] = ("<I4"):pack(i * 2654435761 & 0xffffffff)
    end
    return table.concat(words)
end
local BLOB_MD5 = "5de9bf5588473007a0d5d3ee78fa6150"

for _, transport in ipairs(linux.TRANSPORTS) do
    describe("Linux's driver of consoles with named ports over virtio-" .. transport, function()
        local vm
        local received = {}

        setup(function()
            vm = boot({
                ports = {
                    { name = "agent", to = function(bytes) received[#received + 1] = bytes end },
                    "org.example.log",
                },
                cols = 132,
                rows = 50,
            }, transport)
            linux.run(vm, PORTS:format(2))
            linux.run(vm, SHELL)
            vm.hvc:expect("# ", { timeout = 12 })
        end)

        teardown(function()
            if vm then vm:close() end
        end)

        it("finds them by name beside hvc0", function()
            assert.equal("agent\norg.example.log", linux.run(vm, "ls -1 /dev/virtio-ports"))
            assert.equal("/dev/hvc0", answer(vm.hvc, "tty"))
        end)

        it("knows the size that it was made with, and a new one", function()
            assert.equal("50 132", answer(vm.hvc, "stty size"))
            assert.is_true(vm.hvc:resize(90, 33))
            linux.run(vm, "until stty -F /dev/hvc0 size | grep -q 33; do sleep 0.1; done")
            assert.equal("33 90", answer(vm.hvc, "stty size"))
        end)

        it("carries 1 MiB of any bytes both ways, unchanged", function()
            local bytes = blob()
            linux.run(vm, "(head -c 1048576 /dev/virtio-ports/agent >/tmp/in && echo took it &)")
            assert.is_true(vm.ports.agent:send(bytes))
            vm.console:expect("took it", { timeout = 12 })
            assert.equal(BLOB_MD5, linux.run(vm, "md5sum </tmp/in"):match "%x+")
            linux.run(vm, "cat /tmp/in >/dev/virtio-ports/agent")
            assert(sched.wait(function()
                return #table.concat(received) >= #bytes or nil
            end, sched.scaled(12)))
            assert.is_true(table.concat(received) == bytes, "other bytes came back")
        end)

        it("keeps the ports apart", function()
            linux.run(vm, "echo to the log >/dev/virtio-ports/org.example.log")
            assert.equal("to the log\n", vm.ports["org.example.log"]:expect("[^\n]*\n").match)
        end)

        it("leaves a guest alone whose port's input nobody reads", function()
            local log = vm.ports["org.example.log"]
            local flood = ("x"):rep(1 << 20)
            assert.equal(65536, log.core:input(flood))
            assert.equal(0, log.core:input(flood))
            assert.equal("/dev/hvc0", answer(vm.hvc, "tty"))
        end)
    end)
end
