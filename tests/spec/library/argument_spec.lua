-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- What functions are given and do not take: one line that says what they take, at the caller.

local fake_console = require "tests.spec.support.fake_console"
local vmm = require "vmm"

local wait = require "vmm.vm".wait

local TO = 'vmm.console: to must be "stdio", "capture", "pty", { file = path }, { unix = path } '
    .. "or a function, not "

local SPEC = " must be a Lua pattern, { pattern = }, { plain = }, { regex = } or a list of these, "
    .. "not "

local WANTED_KEY = " must be " .. require "vmm.keys".WANTED .. ", not "

local function task()
    return vmm.spawn(function() end)
end

local function console()
    return (fake_console.new())
end

-- Each: what is done, what it raises.
local MISTAKES = {
    { function() vmm.sleep() end, "vmm.sleep: seconds must be a number of seconds, not nil" },
    { function() vmm.sleep "1" end, 'vmm.sleep: seconds must be a number of seconds, not "1"' },
    { function() vmm.sleep(0 / 0) end, "vmm.sleep: seconds must be a number of seconds, not nan" },
    { function() vmm.step {} end, "vmm.step: timeout must be a number of seconds, not a table" },
    { function() vmm.spawn() end, "vmm.spawn: fn must be a function, not nil" },
    { function() task():wait "1" end, 'task:wait: timeout must be a number of seconds, not "1"' },
    { function() vmm.wait_any({ task() }, { timeout = 1 }) end,
        "vmm.wait_any: timeout must be a number of seconds, not a table" },
    { function() vmm.wait_any(task()) end,
        "vmm.wait_any: tasks must be an array of tasks, not a table" },
    { function() vmm.wait_all(1) end, "vmm.wait_all: tasks must be an array of tasks, not 1" },
    { function() vmm.wait_all { task(), 2 } end, "vmm.wait_all: tasks[2] is not a task" },

    { function() wait({}, 5) end, "vm:wait: options must be a table, not 5; valid: timeout" },
    { function() wait({}, { timout = 5 }) end,
        'vm:wait: unknown option "timout", did you mean "timeout"? valid: timeout' },
    { function() wait({}, { timeout = "5" }) end,
        'vm:wait: timeout must be a number of seconds, not "5"' },

    { function() console():expect "[" end,
        'console:expect: pattern: "[": malformed pattern (missing \']\')' },
    { function() console():expect() end, "console:expect: pattern" .. SPEC .. "nil" },
    { function() console():expect {} end, "console:expect: pattern" .. SPEC .. "a table" },
    { function() console():expect { text = "x" } end,
        "console:expect: pattern" .. SPEC .. "a table" },
    { function() console():expect { plain = "x", regex = "y" } end,
        "console:expect: pattern" .. SPEC .. "a table" },
    { function() console():expect { "a", 5 } end, "console:expect: pattern[2]" .. SPEC .. "5" },
    { function() console():expect { "a", { "b" } } end,
        "console:expect: pattern[2]" .. SPEC .. "a table" },
    { function() console():try_expect { plain = 5 } end,
        "console:try_expect: pattern: plain must be a string, not 5" },
    { function() console():expect { regex = "a(b" } end,
        'console:expect: pattern: regex "a(b": Unmatched ( or \\(' },
    { function() console():expect { regex = "a\0" } end,
        'console:expect: pattern: regex "a\\0": a regex may not contain a NUL' },
    { function() console():expect("x", { never = 7 }) end,
        "console:expect: never" .. SPEC .. "7" },
    { function() console():expect("x", { never = { "a", "%" } }) end,
        'console:expect: never[2]: "%": malformed pattern (ends with \'%\')' },
    { function() console():expect("x", 5) end,
        "console:expect: options must be a table, not 5; valid: timeout, never" },
    { function() console():try_expect("x", { limit = 5 }) end,
        'console:try_expect: unknown option "limit"; valid: timeout, never' },
    { function() console():try_expect("x", { timeout = true }) end,
        "console:try_expect: timeout must be a number of seconds, not true" },
    { function() console():send(12) end, "console:send: bytes must be a string, not 12" },
    { function() console():send("x", { pace = "slow" }) end,
        'console:send: pace must be a number of seconds, not "slow"' },
    { function() console():control "ctrl-c" end,
        "console:control: key" .. WANTED_KEY .. '"ctrl-c"' },
    { function() console():settle { silence = 1 } end,
        'console:settle: unknown option "silence"; valid: quiet, timeout' },
    { function() console():split_log "syslog" end,
        'console:split_log: how must be true, false or "leveled", not "syslog"' },
    { function() console().log:on_line() end,
        "console.log:on_line: fn must be a function, not nil" },
    { function() console():send_line() end, "console:send_line: text must be a string, not nil" },
    { function() console():find_line(5) end, "console:find_line: text must be a string, not 5" },

    { function() fake_console.new { too = 1 } end,
        'vmm.console: unknown option "too", did you mean "to"? valid: to, on_key, on_text', true },
    { function() fake_console.new "pty" end,
        'vmm.console: options must be a table, not "pty"; valid: to, on_key, on_text', true },
    { function() fake_console.new { on_key = 1 } end,
        "vmm.console: on_key must be a function, not 1", true },
    { function() fake_console.new { to = "nope" } end, TO .. '"nope"', true },
    { function() fake_console.new { to = 3 } end, TO .. "3", true },
    { function() fake_console.new { to = {} } end, TO .. "a table", true },
    { function() fake_console.new { to = { file = 3 } } end, TO .. "a table", true },
    { function() fake_console.new { to = { file = "a", unix = "b" } } end, TO .. "a table", true },
}

describe("a mistake in what a function is given", function()
    for i, mistake in ipairs(MISTAKES) do
        local fn, message, elsewhere = table.unpack(mistake)
        it(("is told, where it was made [%d: %s]"):format(i, message), function()
            local ok, err = pcall(fn)
            assert.is_false(ok)
            assert.equal(message, err:match(message, 1, true) or (err:gsub("^[^:]*:%d+: ", "")))
            if not elsewhere then
                assert.matches("^tests/spec/library/argument_spec.lua:%d+: ", err)
            end
        end)
    end
end)

describe("a time", function()
    it("may be over already, or endless", function()
        assert.is_true(vmm.sleep(-1))
        local long = vmm.spawn(vmm.sleep, 1)
        assert.same({ nil, "timeout", "timeout" }, { vmm.wait_any({ long }, -1) })
        assert.same({}, vmm.wait_all({}, math.huge))
        local endless = vmm.spawn(vmm.sleep, math.huge)
        assert.same({ nil, "timeout", "timeout" }, { endless:wait(0.01) })
    end)
end)
