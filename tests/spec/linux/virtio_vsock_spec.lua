-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Sockets between a Linux guest, with its own driver, and this host.

local guests = require "vmm.guests"
local linux = require "tests.spec.support.linux"
local process = require "vmm.process"
local sched = require "vmm.sched"
local vmm = require "vmm"

local PROGRAM = { host = ".build/guest/linux/vsock", mode = tonumber("755", 8) }
-- For what takes a moment; a stuck guest fails the test. The console scales them by itself.
local SECONDS = 6
local SCALED = sched.scaled(SECONDS)
-- For one of many connections, which wait for each other.
local MANY_SECONDS = 25
local MANY_SCALED = sched.scaled(MANY_SECONDS)

local CONNECTIONS = 50 -- by each side, all at once
local MIB = { mmio = 64, pci = 16 } -- by all of them, there and back

local function boot(directory, transport)
    local kernel = assert(guests.kernel "cloud-amd64")
    local initrd = assert(guests.initramfs {
        kernel = kernel, modules = { "virtio_" .. transport, "vmw_vsock_virtio_transport" },
        files = { ["/bin/vsock"] = PROGRAM },
    })
    return linux.boot {
        kernel = { initrd = initrd }, transport = transport,
        vsock = { cid = 3, path = directory .. "/vsock" },
    }
end

-- All that comes until the end.
local function read_all(socket)
    local parts = {}
    repeat
        local bytes = assert(socket:read(nil, SCALED))
        parts[#parts + 1] = bytes
    until bytes == ""
    return table.concat(parts)
end

-- Gives back what it reads, until the end.
local function echo(socket)
    repeat
        local bytes = assert(socket:read(nil, MANY_SCALED))
        assert(socket:write(bytes, MANY_SCALED))
    until bytes == ""
    socket:close()
end

-- Bytes that are others for each number.
local function content(number, bytes)
    local block = {}
    for i = 1, 251 do
        block[i] = string.char((i * 7 + number * 13) % 256)
    end
    return table.concat(block):rep(bytes // 251 + 1):sub(1, bytes)
end

for _, transport in ipairs(linux.TRANSPORTS) do
    describe("Linux's vsock driver over virtio-" .. transport, function()
        local directory, vm

        setup(function()
            directory = assert(process.temporary_directory "vmm-vsock")
            vm = boot(directory, transport)
        end)

        teardown(function()
            if vm then vm:close() end
            process.remove(directory)
        end)

        -- Starts a program of the guest that listens; stop() ends it.
        local function listen(arguments)
            vm.console:send_line("vsock " .. arguments .. " & program=$!")
            vm.console:expect("listening", { timeout = SECONDS })
        end

        local function kill()
            linux.run(vm, "kill -9 $program; wait $program 2>/dev/null")
        end

        local function connect(port, timeout)
            return assert(vm:vsock_connect(port, { timeout = timeout or SCALED }))
        end

        it("refuses a connection to a port where nobody listens", function()
            local socket, message, code = vm:vsock_connect(99, { timeout = SCALED })
            assert.is_nil(socket)
            assert.equal("ECONNREFUSED", code)
            assert.equal("nobody listens on port 99 of the guest", message)
        end)

        it("is refused a connection to a port where no host program listens", function()
            assert.equal("Connection reset by peer", linux.run(vm, "vsock try 2 99"))
        end)

        it("is refused a connection to another address than the host's", function()
            assert.equal("Connection reset by peer", linux.run(vm, "vsock try 7 99"))
        end)

        it("carries many MiB over 100 connections, half of them made by each side", function()
            local bytes_each = (MIB[transport] << 20) // (2 * 2 * CONNECTIONS)
            listen "echo 1000"
            local listener <close> = assert(vm:vsock_listen(1001))
            local begin = vmm.now()
            vm.console:send_line(("vsock dial 1001 %d %d; echo DONE"):format(CONNECTIONS,
                bytes_each))
            local tasks = {}
            for i = 1, CONNECTIONS do
                tasks[#tasks + 1] = vmm.spawn(function()
                    local socket <close> = connect(1000, MANY_SCALED)
                    local sent = content(i, bytes_each)
                    -- The guest gives back while it is sent to.
                    local writer = vmm.spawn(function() return socket:write(sent, MANY_SCALED) end)
                    local parts, got = {}, 0
                    while got < bytes_each do
                        local bytes = assert(socket:read(nil, MANY_SCALED))
                        assert.not_equal("", bytes)
                        parts[#parts + 1], got = bytes, got + #bytes
                    end
                    vmm.wait_all { writer }
                    assert.is_true(table.concat(parts) == sent)
                end)
            end
            for _ = 1, CONNECTIONS do
                local socket = assert(listener:accept(MANY_SCALED))
                tasks[#tasks + 1] = vmm.spawn(function() echo(socket) end)
            end
            vmm.wait_all(tasks)
            vm.console:expect("\nok\r\nDONE", { timeout = MANY_SECONDS })
            if os.getenv "VMM_TEST_TIMES" then
                io.stderr:write(("%d MiB in %.1f s\n"):format(MIB[transport], vmm.now() - begin))
            end
            kill()
        end)

        it("passes on that the host has sent all, while the guest goes on", function()
            listen "sum 1002"
            local socket <close> = connect(1002)
            local sent = content(1, 300000)
            assert(socket:write(sent, SCALED))
            assert(socket:finish())
            local a, b = 0, 0
            for i = 1, #sent do
                a = (a + sent:byte(i)) % 255
                b = (b + a) % 255
            end
            assert.equal(("%d %04x\n"):format(#sent, b << 8 | a), read_all(socket))
            kill()
        end)

        it("passes on that the guest has sent all, while the host goes on", function()
            local listener <close> = assert(vm:vsock_listen(1003))
            vm.console:send_line "vsock dial 1003 1 1000; echo DONE"
            local socket <close> = assert(listener:accept(SCALED))
            local sent = read_all(socket) -- till the end: before anything goes back
            assert.equal(1000, #sent)
            assert(socket:write(sent, SCALED))
            assert(socket:finish())
            vm.console:expect("\nok\r\nDONE", { timeout = SECONDS })
        end)

        it("holds the host back where the guest's program does not read", function()
            listen "mute 1004"
            local socket <close> = connect(1004)
            local sent = 0
            local ok, _, code
            local block = ("x"):rep(65536)
            repeat
                ok, _, code = socket:write(block, 0.3)
                sent = sent + #block
            until not ok or sent > 16 * 1024 * 1024
            assert.equal("timeout", code)
            kill()
        end)

        it("ends the host's connection when the guest's program dies", function()
            listen "mute 1005"
            local socket <close> = connect(1005)
            assert(socket:write("never read", SCALED))
            kill()
            local bytes, _, code = socket:read(nil, SCALED)
            assert.is_true(bytes == "" or code == "ECONNRESET", code)
            local ok
            ok, _, code = socket:write("x", SCALED)
            assert.is_nil(ok)
            assert.equal("EPIPE", code)
        end)

        it("ends the guest's connection when the host's program closes it", function()
            local listener <close> = assert(vm:vsock_listen(1006))
            vm.console:send_line "vsock try 2 1006; echo ENDED"
            local socket = assert(listener:accept(SCALED))
            vm.console:expect("\nconnected", { timeout = SECONDS })
            socket:close()
            vm.console:expect("\nENDED", { timeout = SECONDS })
        end)

        it("asks for its address anew, and goes on, when all connections are reset", function()
            listen "echo 1007"
            local before <close> = connect(1007)
            assert.is_true(vm.vsock.device:reset_connections())
            local bytes, _, code = before:read(nil, SCALED)
            assert.is_true(bytes == "" or code == "ECONNRESET", code)
            -- What is made before the guest has heard of it is reset by its driver, too.
            local answer
            local deadline = vmm.now() + SCALED
            while answer ~= "hello" and vmm.now() < deadline do
                local after <close> = connect(1007)
                answer = after:write("hello", SCALED) and after:read(nil, SCALED)
            end
            assert.equal("hello", answer)
            kill()
        end)
    end)
end
