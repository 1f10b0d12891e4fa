-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- Commands without a guest: the real agent, run on this host by each shell that a guest may have.

local agent = require "vmm.scenario.agent"
local agent_here = require "tests.spec.support.agent_here"
local sched = require "vmm.sched"

-- Any bytes, such as a shell or a terminal would change.
local BYTES = {}
for byte = 0, 255 do BYTES[#BYTES + 1] = string.char(byte) end
BYTES = table.concat(BYTES) .. "\r\n\r\n%s\\0\n\n"

for _, shell in ipairs { "dash", "busybox ash" } do
    describe("the agent in " .. shell, function()
        local vm

        setup(function() vm = agent_here.start(shell) end)

        teardown(function()
            if vm then vm:close() end
        end)

        it("runs commands of several lines, of any bytes but NUL", function()
            local result = vm:run "printf '%s\\n' 'a\\b\xff\x81'\nif true\nthen\n  exit 7\nfi"
            assert.equal("a\\b\xff\x81\n", result.output)
            assert.equal(7, result.status)
        end)

        it("has the output of any bytes, of stdout and of stderr", function()
            assert.equal(BYTES, vm:run("cat", { input = BYTES }).output)
            assert.equal("out\nerr\nopened\n",
                vm:run("echo out; echo err >&2; echo opened >/dev/stderr").output)
        end)

        it("has long output, of a size that is a multiple of its chunks, too", function()
            for _, size in ipairs { agent.INLINE, agent.INLINE + 1, 2 * agent.CHUNK, 1000000 } do
                local input = BYTES:rep(size // #BYTES + 1):sub(1, size)
                local output = vm:run("cat", { input = input }).output
                assert.is_true(output == input, #output .. " bytes of " .. size)
            end
        end)

        it("stops a command that writes more than anybody wants", function()
            local result = vm:run "yes"
            assert.equal(agent.OUTPUT_MAX, #result.output)
            assert.is_true(result.truncated)
            assert.equal(141, result.status)
        end)

        it("runs commands that read stdin, which is empty", function()
            assert.equal("", vm:succeed "cat; read x || true")
        end)

        it("gives variables, as they are", function()
            assert.equal("it's|a\nb|3", vm:succeed('printf "%s|%s|%s" "$A" "$B" "$C"',
                { env = { A = "it's", B = "a\nb", C = 3 } }))
        end)

        it("tells of a command that is killed, and goes on", function()
            assert.equal(137, vm:run("kill -KILL $$").status)
            assert.equal(143, vm:run("kill -TERM $$").status)
            assert.equal("on", vm:succeed "echo on")
        end)

        it("lets commands have the signals that background jobs of a shell ignore", function()
            local ignored = vm:succeed("grep SigIgn /proc/self/status"):match "%x+$"
            assert.equal(0, tonumber(ignored, 16) & (1 << 1 | 1 << 2)) -- SIGINT, SIGQUIT
        end)

        it("does not wait for what a command leaves behind, and loses nothing", function()
            local result = vm:run "sleep 1000 & head -c 100000 /dev/zero; echo $!"
            local pid = result.output:match "^\0+(%d+)\n$"
            assert.equal(100000, #result.output - #pid - 1)
            vm:succeed("kill " .. pid)
        end)

        it("kills all that a command has begun, when its time is over", function()
            local result, err, code = vm:try_run("sleep 1000 & echo $!; echo 'partial'; wait",
                { timeout = 3 })
            assert.is_nil(result)
            assert.equal("timeout", code)
            local pid = err.output:match "^(%d+)\npartial\n$"
            assert.matches("^here: `sleep 1000 & echo %$!; echo 'partial'; wait` was still running"
                .. " after %d+%.%d s %(limit %d+ s%); it was killed; its last output:\n"
                .. pid .. "\npartial\nthe VM is running; ", tostring(err))
            vm:wait_until_fails("kill -0 " .. pid)
        end)

        it("runs several commands at a time, and answers as they end", function()
            local slow = sched.spawn(function()
                return vm:succeed(("until [ -e %s/flag ]; do sleep 0.1; done; echo slow")
                    :format(vm.directory))
            end)
            assert.equal("fast", vm:succeed "echo fast")
            assert.is_nil(slow.done)
            vm:succeed((": >%s/flag"):format(vm.directory))
            assert.equal("slow", slow:wait())
        end)
    end)
end
