-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What stands on commands: background ones, files, waits. The agent runs on this host.

local agent_here = require "tests.spec.support.agent_here"
local process = require "vmm.process"
local vmm = require "vmm"

local MIB = 1 << 20

local LONG = "/a-sleep-of-a-long-name"

-- Bytes that repeat nowhere near.
local function noise(size)
    local words = {}
    for i = 1, size // 8 + 1 do
        words[i] = ("<I8"):pack(i * 0x9e3779b97f4a7c15)
    end
    return table.concat(words):sub(1, size)
end

describe("in a guest", function()
    local vm, folder

    setup(function()
        vm = agent_here.start "busybox ash"
        folder = vm.directory .. "/it's here"
        vm:succeed('mkdir "$FOLDER"', { env = { FOLDER = folder } })
    end)

    teardown(function()
        if vm then vm:close() end
    end)

    -- What is in the folder.
    local function names()
        return vm:succeed('ls "$FOLDER"', { env = { FOLDER = folder } })
    end

    describe("a background command", function()
        it("runs beside others, tells what it has printed, and ends by a signal", function()
            local job = vm:background "echo begun; exec sleep 1000"
            assert.is_true(job:running())
            vm:run "true"
            while job:output() == "" do vmm.sleep(0.01) end
            assert.equal("begun\n", job:output())
            job:kill "SIGINT"
            assert.equal(130, job:wait().status)
            assert.is_false(job:running())
            assert.equal("begun\n", job:output())
        end)

        it("goes on when a wait for it was in vain", function()
            local job = vm:background("read x; echo $x; exec sleep 1000", { input = "read\n" })
            while job:output() == "" do vmm.sleep(0.01) end
            local result, err, code = job:try_wait { timeout = 0.01 }
            assert.is_nil(result)
            assert.equal("timeout", code)
            assert.matches("^here: `read x; echo %$x; exec sleep 1000` is still running after"
                .. " [%d.]+ s %(limit of this wait [%d.]+ s%); its last output:\nread\n",
                tostring(err))
            assert.is_true(job:running())
            job:kill()
            assert.equal(143, job:wait().status)
        end)

        it("takes signals that there are", function()
            local job = vm:background "exec sleep 1000"
            assert.has_error(function() job:kill "FOO" end, "job:kill: signal must be the name of"
                .. ' a signal, such as "TERM", or a number, not "FOO"')
            job:kill(9)
            assert.equal(137, job:wait().status)
        end)
    end)

    describe("a file", function()
        for _, size in ipairs { 0, 1, MIB, MIB + 1, 2 * MIB, 2500000 } do
            it(("of %d bytes goes in and comes out as it is"):format(size), function()
                local data = noise(size)
                vm:put { data = data, to = folder .. "/file" }
                assert.equal(size .. " 644", vm:succeed('stat -c "%s %a" "$FILE"',
                    { env = { FILE = folder .. "/file" } }))
                assert.equal("file", names())
                local got = vm:get { from = folder .. "/file" }
                assert.is_true(got == data, #got .. " bytes, or others")
            end)
        end

        it("goes in from a file, with its mode or another, and comes out to one", function()
            local program = process.which "busybox"
            local there, back = folder .. "/file", vm.directory .. "/back"
            local function mode()
                return vm:succeed('stat -c %a "$FILE"', { env = { FILE = there } })
            end
            vm:put { from = program, to = there }
            assert.equal("755", mode())
            vm:put { from = program, to = there, mode = "0640" }
            assert.equal("640", mode())
            assert.is_true(vm:get { from = there, to = back })
            assert.is_truthy(process.capture { "cmp", program, back })
        end)

        it("of /proc comes out, of whatever size", function()
            assert.matches("^Name:\t", vm:get { from = "/proc/self/status" })
        end)

        it("that cannot be had is told of, and why", function()
            local _, err, code = vm:try_get { from = folder .. "/none" }
            assert.equal("status", code)
            assert.matches("^here: get .*/it's here/none failed with status 1; its last output:\n"
                .. ".*no such file", tostring(err))
            _, err = vm:try_get { from = "/dev/zero" }
            assert.matches("it has no end that is known", tostring(err), 1, true)
            _, err = vm:try_get { from = "/proc/self/status", to = folder .. "/none/here" }
            assert.matches("cannot be written here: .*No such file", tostring(err))
        end)

        it("that cannot be put is told of, and nothing is left of it", function()
            local _, err = vm:try_put { data = "x", to = folder .. "/none/x" }
            assert.matches("^here: put .*/none/x failed with status 1; its last output:\n",
                tostring(err))
            _, err = vm:try_put { from = folder .. "/none", to = folder .. "/x" }
            assert.matches("^here: put .* cannot be done: .*No such file or directory$",
                tostring(err))
            _, err = vm:try_put { data = "x", to = folder }
            assert.matches("its last output:\nthere is a folder$", tostring(err))
            assert.equal("file", names())
        end)

        it("is put from one place, with a mode that is one", function()
            assert.has_error(function() vm:put { to = "/x" } end,
                "vm:put: give one of from (a path of this host) and data (a string)")
            assert.has_error(function() vm:put { to = "/x", data = "", mode = "9" } end, "vm:put:"
                .. ' mode must be bits, as an integer or an octal text such as "0755", not "9"')
        end)
    end)

    describe("a wait", function()
        it("for a command ends when it succeeds, or fails", function()
            local count = ('echo x >>"%s/count"; wc -l <"%s/count"'):format(folder, folder)
            assert.equal("3", vm:wait_until_succeeds(("x=$(%s); echo $x; [ $x = 3 ]"):format(count),
                { every = 0.01 }))
            assert.equal("5", vm:wait_until_fails(("x=$(%s); echo $x; [ $x -lt 5 ]"):format(count),
                { every = 0.01 }))
        end)

        it("in vain says what, how often, and what it was the last time", function()
            local _, err, code = vm:try_wait_until_succeeds("echo no; exit 4", { timeout = 3 })
            assert.equal("timeout", code)
            assert.matches("^here: `echo no; exit 4` did not succeed within [%d.]+ s %(limit"
                .. " [%d.]+ s%), tried %d+ times, the last time with status 4; its last output:\n"
                .. "no\nthe VM is running; ", tostring(err))
        end)

        it("gives up a try that takes longer than there is time", function()
            local _, err, code = vm:try_wait_until_succeeds("exec sleep 1000", { timeout = 0.5 })
            assert.equal("timeout", code)
            assert.matches("^here: `exec sleep 1000` did not succeed within [%d.]+ s %(limit"
                .. " [%d.]+ s%), tried 1 times\n", tostring(err))
        end)

        it("for a file, a port, a process ends when it is there", function()
            local listener <close> = assert(vmm.listen { tcp = 0, host = "127.0.0.1" })
            assert.equal("", vm:wait_for_file(folder))
            assert.equal("", vm:wait_for_port(listener:port()))
            vm:succeed('cp /bin/sleep "$TO"', { env = { TO = vm.directory .. LONG } })
            local job = vm:background("exec " .. vm.directory .. LONG .. " 1000")
            assert.equal("", vm:wait_for_process(LONG:sub(2)))
            job:kill()
            job:wait()
            vm:wait_until_fails("grep -qsxF " .. LONG:sub(2, 16) .. " /proc/[0-9]*/comm")
        end)

        for _, each in ipairs {
            { "file", "/nowhere", "file /nowhere was not there" },
            { "port", 1, "port 1 was not listened at" },
            { "process", "nonesuch", "process nonesuch did not run" },
        } do
            it(("for a %s in vain says for what"):format(each[1]), function()
                local _, err, code = vm["try_wait_for_" .. each[1]](vm, each[2],
                    { timeout = 0.01, every = 0.01 })
                assert.equal("timeout", code)
                assert.matches("^here: " .. each[3] .. " within [%d.]+ s %(limit [%d.]+ s%), tried"
                    .. " %d+ times\nthe VM is running; ", tostring(err))
            end)
        end
    end)

    describe("a wait for a unit", function()
        local with_systemd, programs

        -- A systemctl that says of each unit what its name is.
        setup(function()
            programs = assert(process.temporary_directory "programs")
            local file <close> = assert(io.open(programs .. "/systemctl", "w"))
            file:write("#!/bin/sh\ncase $1 in is-active) echo \"$3\" ;;",
                " status) echo \"the log of $6\" ;; esac\n")
            file:close()
            assert(process.capture { "chmod", "755", programs .. "/systemctl" })
            with_systemd = agent_here.start(("env PATH=%s:$PATH dash"):format(programs))
        end)

        teardown(function()
            with_systemd:close()
            process.remove(programs)
        end)

        it("ends when it is active", function()
            assert.equal("", with_systemd:wait_for_unit "active")
        end)

        it("ends at once when it has failed", function()
            local _, err, code = with_systemd:try_wait_for_unit "failed"
            assert.equal("status", code)
            assert.equal("here: unit failed has failed; its last output:\nthe log of failed",
                tostring(err))
        end)

        it("in vain says what state it is in", function()
            local _, err, code = with_systemd:try_wait_for_unit("activating", { timeout = 3 })
            assert.equal("timeout", code)
            assert.matches("^here: unit activating was not active within [%d.]+ s %(limit [%d.]+"
                .. " s%), tried %d+ times; its last output:\nit is activating\nthe VM",
                tostring(err))
        end)
    end)
end)
