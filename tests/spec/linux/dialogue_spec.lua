-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The dialogue with Linux's shell while the kernel logs on the same console.

local linux = require "tests.spec.support.linux"
local sched = require "vmm.sched"

local SECONDS = 30 -- of what takes moments; times VMM_TIMEOUT_SCALE
local LIMIT = { timeout = SECONDS }

-- Warnings of a user's, which the kernel prints as its own, until there is /stop. Without a pause
-- the guest's only CPU would do nothing else.
local NOISE = 'n=0; while [ ! -e /stop ]; do n=$((n+1)); echo "<4>noise $n" > /dev/kmsg; '
    .. "sleep 0.05; done &"

describe("The dialogue with a shell, while the kernel logs,", function()
    local vm

    setup(function()
        vm = linux.boot {
            kernel = {
                cmdline = "console=ttyS0 i8042.nokbd reboot=k panic=1 pci=off loglevel=6"
                    .. " console_msg_format=syslog printk.devkmsg=on",
            },
            before_start = function(new)
                new.console:split_log(true)
            end,
        }
    end)

    teardown(function()
        if vm then vm:close() end
    end)

    -- Does a line of the transcript begin as a prompt and go on as a kernel line? (The shell asks
    -- the terminal for its size behind the prompt.)
    local function has_cut_prompt()
        for _, line in ipairs(vm.console.lines) do
            if line.text:find "^guest# [^<]*<12>%[" then return true end
        end
        return false
    end

    it("has the messages of the boot in the log, with times and levels", function()
        local lines = vm.console.log:lines()
        assert.is_true(#lines > 5, vm.console:tail())
        for _, line in ipairs(lines) do
            assert.is_true(line.level and line.level < 6, line.text)
            assert.is_true(line.stamp >= 0 and line.time >= 0, line.text)
        end
        assert.is_true(lines[#lines].stamp > 0)
    end)

    it("has every answer and prompt whole, and the kernel's lines whole and in order", function()
        local seen, wrong = 0, nil
        local subscription = vm.console.log:on_line(function(line)
            if not line.text:find "noise" then return end -- the kernel's own
            seen = seen + 1
            local right = line.text == ("noise %d"):format(seen) and line.level == 4
            wrong = wrong or not right and ("line %d: %s"):format(seen, line.text)
        end)
        vm.console:send_line(NOISE)
        vm.console:expect("guest# ", LIMIT)
        for i = 1, 5 do
            local before = seen
            assert.is_true(sched.wait(function() -- the prompt is cut
                return seen ~= before or nil
            end, sched.scaled(SECONDS)), vm.console:tail())
            assert.is_true(has_cut_prompt(), vm.console:tail())
            vm.console:send_line(("echo $((%d+1))answer; echo '[x] <y>'"):format(i))
            local answer = ("\r\n%danswer\r\n[x] <y>\r\nguest# "):format(i + 1)
            vm.console:expect({ plain = answer }, { timeout = SECONDS, never = "noise" })
        end
        vm.console:send_line "touch /stop; wait"
        vm.console:expect("wait\r\n.*guest# ", LIMIT)
        subscription:remove()
        assert.is_nil(wrong or nil)
        assert.is_true(seen >= 5, seen)
    end)

    it("has what dmesg prints, which only looks like the kernel's", function()
        vm.console:send_line "echo '<4>mark' > /dev/kmsg; dmesg | tail -n 1"
        vm.console:expect("\r\n%[ *%d+%.%d+%] mark\r\nguest# ", LIMIT)
    end)

    it("has an end by Ctrl-D", function()
        vm.console:send_line "echo go; cat"
        vm.console:expect("\r\ngo\r\n", LIMIT)
        assert(vm.console:control "d")
        vm.console:expect("guest# ", LIMIT)
    end)

    it("fails at once when the kernel says what it never should", function()
        vm.console:split_log(false)
        vm.console:send_line "echo '<2>it burns' > /dev/kmsg; cat"
        local _, err, code = vm.console:try_expect("guest# ",
            { timeout = 600, never = "%] it burns" })
        assert.equal("never", code, tostring(err))
        vm.console:split_log(true)
        assert(vm.console:control "d")
        vm.console:expect("guest# ", LIMIT)
    end)

    it("ends with the guest, to its last byte", function()
        vm.console:send_line "echo last; echo words; poweroff -f"
        assert(vm:wait { timeout = SECONDS })
        vm.console:expect({ plain = "\r\nlast\r\nwords\r\n" }, LIMIT)
        assert.matches("reboot: Power down", vm.console.log:tail(5), 1, true)
    end)
end)
