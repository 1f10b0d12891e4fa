-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The dialogue with a tiny guest, which says what it is told to say. Several rounds of the same:
-- what depends on who is faster does not show in each. tests/stress/dialogue.lua has many.

local sched = require "vmm.sched"
local tiny = require "tests.spec.support.tiny"
local vmm = require "vmm"

local ROUNDS = tonumber(os.getenv "VMM_DIALOGUE_ROUNDS") or 5
local SECONDS = 20 -- of what is to come at once; times VMM_TIMEOUT_SCALE

local LIMIT = { timeout = SECONDS }

-- Kernel lines that may stand anywhere.
local CUT = "<6>[    1.234567] usb 1-1: new device\r\n"

local TALK = "guest# ls [x] <y> [ 12\r\n[root@x ~]# 1 < 2\r\n[1]+ Done\r\nguest# "

-- A guest that is ready to be told, whose kernel lines go to its log.
local function start()
    local vm = tiny.start "echo"
    vm.console:split_log(true)
    vm.console:expect("ready\n", LIMIT)
    return vm
end

-- Has the guest say a text, byte by byte.
local function say(vm, text, options)
    assert(vm.console:send(("echo %d\r"):format(#text)))
    assert(vm.console:send(text, options))
end

-- Waits until fn() is true, with no other wait that would look at the console.
local function await(fn)
    return sched.wait(function()
        return fn() or nil
    end, sched.scaled(SECONDS))
end

-- A dialogue with kernel lines in it at random, as the guest says it; what is the dialogue.
local function cut_at_random(random_seed)
    math.randomseed(random_seed)
    local parts, said, lines = {}, {}, 0
    for byte in TALK:gmatch "." do
        parts[#parts + 1], said[#said + 1] = byte, byte
        if math.random(6) == 1 then
            parts[#parts + 1] = CUT
            lines = lines + 1
        end
    end
    return table.concat(parts), table.concat(said), lines
end

local function round(number)
    it("tells which of a list came first, and goes on behind it", function()
        local vm <close> = start()
        say(vm, "Password: 12 login: ")
        local list = { "log(in): $", { plain = "Password:" }, { regex = "[0-9]+ " } }
        local order = {}
        for i = 1, 3 do
            order[i] = vm.console:expect(list, LIMIT).index
        end
        assert.same({ 2, 3, 1 }, order)
    end)

    it("ends at once by what is never to show, while the guest goes on", function()
        local vm <close> = start()
        say(vm, "cc: Error 2\n# ")
        local _, err, code = vm.console:try_expect("$ ", { never = "Error %d", timeout = 600 })
        assert.equal("never", code, tostring(err))
        assert.equal("cc: Error 2\n", vm.console:expect("# ", LIMIT).before)
    end)

    it("has prompts whole that kernel lines cut", function()
        local vm <close> = start()
        local output, said, lines = cut_at_random(number)
        say(vm, output)
        assert.equal(said, vm.console:expect("^.*Done\r\nguest# $", LIMIT).match)
        -- The last of them may come behind the dialogue; a subscription has the wait told of it.
        local told <const> = vm.console.log:on_line(function() end)
        await(function() return #vm.console.log:lines() == lines end)
        told:remove()
        assert.equal(lines, #vm.console.log:lines())
        for _, line in ipairs(vm.console.log:lines()) do
            assert.same({ 6, 1.234567, "usb 1-1: new device" },
                { line.level, line.stamp, line.text })
        end
    end)

    it("shows a prompt that looks like the beginning of a kernel line", function()
        local vm <close> = start()
        for _, prompt in ipairs { "[", "<", "[root@x ~]# ", "<1", "[    1." } do
            say(vm, "\n" .. prompt)
            assert.equal("", vm.console:expect({ plain = "\n" .. prompt }, LIMIT).before)
            say(vm, ".")
            assert.equal("", vm.console:expect({ plain = "." }, LIMIT).before)
        end
    end)

    it("sends byte by byte what is paced, and the keys of a terminal", function()
        local vm <close> = start()
        say(vm, "slowly", { pace = 0.001 })
        vm.console:expect("slowly", LIMIT)
        assert(vm.console:send "echo 4\r")
        assert(vm.console:control "c")
        assert(vm.console:control "up")
        vm.console:expect("^\3\27%[A$", LIMIT)
    end)

    it("settles, with what the guest has said so far", function()
        local vm <close> = start()
        local text = ("text "):rep(40) .. "end"
        say(vm, text)
        local said = vm.console:expect("^text ", LIMIT).match
            .. vm.console:settle { quiet = 0.05, timeout = SECONDS }
        if said ~= text then -- a slow one has more to say
            local more = vm.console:expect("end", LIMIT)
            said = said .. more.before .. more.match
        end
        assert.equal(text, said)
        assert.equal("", vm.console:output())
    end)

    it("loses nothing of a guest that ends before anybody has looked", function()
        local vm <close> = start()
        local text = ("0123456789"):rep(50)
        say(vm, text)
        assert(vm.console:send "end\r")
        assert(vm:wait(LIMIT))
        assert.equal(text, vm.console:expect("PASS\n$", LIMIT).before)
    end)

    it("loses nothing of a guest that ends while somebody waits", function()
        local vm <close> = start()
        local text = ("0123456789"):rep(50)
        say(vm, text)
        assert(vm.console:send "end\r")
        assert.equal(text, vm.console:expect("PASS\n$", LIMIT).before)
        local _, err, code = vm.console:try_expect("more", { timeout = 600 })
        assert.equal("ended", code, tostring(err))
    end)

    it("goes on with two guests at a time", function()
        local vms <close> = setmetatable({ start(), start() }, {
            __close = function(list)
                for _, vm in ipairs(list) do vm:close() end
            end,
        })
        local tasks = {}
        for i, vm in ipairs(vms) do
            tasks[i] = vmm.spawn(function()
                for turn = 1, 5 do
                    local text = ("vm %d, turn %d\n"):format(i, turn)
                    say(vm, text)
                    vm.console:expect({ plain = text }, LIMIT)
                end
                return "done"
            end)
        end
        assert.same({ "done", "done" }, vmm.wait_all(tasks, sched.scaled(3 * SECONDS)))
    end)

    it("tells of kernel lines while nobody looks at the console", function()
        local vm <close> = start()
        local told = {}
        local subscription = vm.console.log:on_line(function(line)
            told[#told + 1] = line.text
        end)
        say(vm, CUT .. "x" .. CUT)
        assert.is_true(await(function() return #told == 2 end), #told)
        subscription:remove()
        assert.equal("x", vm.console:expect("x", LIMIT).match)
    end)

    it("ends by the failure of a scenario's VM, which a kernel line tells of", function()
        local vm <close> = start()
        vm.scenario = {}
        vm.console.log:on_line(function(line)
            vm.scenario.failure = { code = "bug", text = line.text }
        end)
        local waiting = vmm.spawn(vm.console.try_expect, vm.console, "# ", { timeout = 600 })
        say(vm, "a" .. CUT)
        assert.equal(1, (vmm.wait_any({ waiting }, sched.scaled(SECONDS))), "the expect goes on")
        local _, err, code = waiting:wait()
        assert.same({ "usb 1-1: new device", "failed" }, { err and err.text, code })
    end)

    it("says in vain what was wanted, and what there was", function()
        local vm <close> = start()
        say(vm, "something else\n")
        vm.console:expect("else", LIMIT)
        local _, err, code = vm.console:try_expect({ "# ", { plain = "login:" } }, { timeout = 0 })
        assert.equal("timeout", code)
        assert.matches('expected "# " or the text "login:", timed out after %d.* '
            .. "%(limit 0 s%); the VM is running; last lines:\n.*%] something else", tostring(err))
    end)
end

for number = 1, ROUNDS do
    describe(("the dialogue with a tiny guest, round %d,"):format(number), function()
        round(number)
    end)
end
