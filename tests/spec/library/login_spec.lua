-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vm:login, where a getty that is none asks for names and passwords.

local core = require "vmm.core"
local fake_console = require "tests.spec.support.fake_console"
local sched = require "vmm.sched"
require "vmm.vm"

local methods = core.classes["vmm.vm"]

local MOTD = "\r\nLinux guest 6.1.0 #1 x86_64\r\n\r\nNo warranty: see /usr/share/doc.\r\n"

-- Waits until a console has taken what its guest printed, beyond so many bytes.
local function await_seen(console, total)
    repeat
        local seen = sched.wait(function() return console.total > total or nil end, 0.01)
    until seen
end

-- A console with a getty: users, by name, with their passwords ("": none). It answers what is typed
-- once its echo was seen. Returns it and what was typed.
local function getty(users)
    local typed, line, user = {}, "", nil
    local console, print
    local function greet()
        user = nil
        print "\r\nDebian GNU/Linux 12 guest ttyS0\r\n\r\nguest login: "
    end
    local function welcome()
        print(MOTD .. user .. "@guest:~# ")
        user = false
    end
    local function on_line(text)
        typed[#typed + 1] = text
        if user == nil then
            print "\r\n"
            if text == "" then return greet() end
            user = text
            if users[user] == "" then return welcome() end
            print "Password: "
        elseif users[user] == text then
            welcome()
        else
            print "\r\n\r\nLogin incorrect\r\nguest login: "
            user = nil
        end
    end
    local function answer(text, total)
        if text ~= "" and user == nil then await_seen(console, total) end
        on_line(text)
        core.wake()
    end
    console, print = fake_console.new(nil, function(bytes)
        line = line .. bytes
        for text in line:gmatch "([^\r]*)\r" do
            if user == nil then print(text) end
            sched.spawn(answer, text, console.total)
        end
        line = line:match "[^\r]*$"
    end)
    greet()
    return console, typed
end

-- A console whose guest says what the test prints. Returns it, print, and a function that waits
-- until that was typed, in all.
local function listening()
    local typed = ""
    local console, print = fake_console.new(nil, function(bytes)
        typed = typed .. bytes
    end)
    return console, print, function(text)
        assert(sched.wait(function() return typed == text or nil end, 60),
            ("typed %q, not %q"):format(typed, text))
    end
end

local function vm_of(console, prepared)
    return setmetatable({ name = "fake", console = console, stopped = function() end,
        scenario = prepared and { prepared = prepared } }, { __index = methods })
end

describe("vm:login", function()
    it("gives name and password where they are asked for", function()
        local console, typed = getty { root = "secret" }
        assert.is_true(vm_of(console):login { user = "root", password = "secret" })
        assert.same({ "root", "secret" }, typed)
        assert.equal("", console:output())
    end)

    it("has another prompt shown when it was seen before", function()
        local console, typed = getty { root = "secret" }
        console:expect "login: "
        assert.is_true(vm_of(console):login { password = "secret" })
        assert.same({ "", "root", "secret" }, typed)
    end)

    it("gives no password where none is asked for", function()
        local console, typed = getty { guest = "" }
        assert.is_true(vm_of(console):login { user = "guest" })
        assert.same({ "guest" }, typed)
    end)

    for _, name in ipairs { "odd# ", "login: ", "password: ", "incorrect" } do
        it(("does not take the echo of a name for an answer: %q"):format(name), function()
            local console, typed = getty { [name] = "secret" }
            assert.is_true(vm_of(console):login { user = name, password = "secret" })
            assert.same({ name, "secret" }, typed)
        end)
    end

    it("does not take for an answer the echo behind a prompt that came meanwhile", function()
        local console, print, await_typed = listening()
        local vm, name = vm_of(console), "odd# "
        print "\r\nguest login: "
        local task = sched.spawn(vm.login, vm, { user = name, password = "secret" })
        await_typed(name .. "\r")
        for _, bytes in ipairs { "\r\n\r\nguest login: ", name, "\r\nPassword: " } do
            local total = console.total
            print(bytes)
            core.wake()
            await_seen(console, total)
            assert.is_false(task.done or false)
        end
        print "\r\nguest# "
        core.wake()
        assert.is_true(task:wait(60))
    end)

    it("takes the password's question behind another one for the name, after its echo", function()
        local console, print, await_typed = listening()
        print "\r\nguest login: "
        local vm = vm_of(console)
        local task = sched.spawn(vm.login, vm, { user = "root", password = "secret" })
        for _, case in ipairs {
            { "root\r", "root\r\nguest login: Password: " }, { "root\rsecret\r", "\r\nguest# " },
        } do
            await_typed(case[1])
            print(case[2])
            core.wake()
        end
        assert.is_true(task:wait(60))
    end)

    it("does not take for another question when the last login was", function()
        local console, print, await_typed = listening()
        local vm = vm_of(console)
        print "\r\nguest login: "
        local task = sched.spawn(vm.login, vm, { user = "root", password = "secret" })
        await_typed "root\r"
        for _, bytes in ipairs { "root\r\nPassword: ", "\r\nLinux guest\r\nLast login: " } do
            local total = console.total
            print(bytes)
            core.wake()
            await_seen(console, total)
        end
        print "Sun Nov 29 12:00:00 UTC on ttyS0\r\nguest# "
        core.wake()
        assert.is_true(task:wait(60))
    end)

    it("does not type an Enter ahead of a question that is on its way", function()
        local console, print, await_typed = listening()
        local vm = vm_of(console)
        print "\r\n\r\nLogin incorrect\r\n"
        local task = sched.spawn(vm.login, vm, { user = "root" })
        assert(sched.wait(function() return console.wanted > 0 or nil end, 60))
        print "guest login: "
        core.wake()
        await_typed "root\r"
        print "root\r\nguest# "
        core.wake()
        assert.is_true(task:wait(60))
    end)

    it("does not take for a getty's question what is typed at a shell", function()
        for _, before in ipairs { "", "\r\nroot@guest:~# " } do
            local typed = {}
            local console, print = fake_console.new(nil, function(bytes)
                typed[#typed + 1] = bytes
            end)
            print(before .. "echo login: ")
            assert.equal("timeout", select(3, vm_of(console):try_login { timeout = 0.01 }))
            assert.equal("\r", table.concat(typed))
        end
    end)

    it("knows who may log in to the scenario's guest", function()
        local console, typed = getty { root = "known" }
        local vm = vm_of(console, { login = { user = "root", password = "known" } })
        assert.is_true(vm:login())
        assert.same({ "root", "known" }, typed)
    end)

    it("says that a password is wrong; and may be tried again", function()
        local console = getty { root = "secret" }
        local vm = vm_of(console)
        local _, err, code = vm:try_login { password = "guess" }
        assert.equal("refused", code)
        assert.equal("fake: login as root was refused: is the password right?", tostring(err))
        assert.is_true(vm:login { password = "secret" })
    end)

    it("says that a password is wanted, when it has none", function()
        local _, err, code = vm_of(getty { root = "secret" }):try_login()
        assert.equal("refused", code)
        assert.equal("fake: login as root wants a password, and none is given", tostring(err))
    end)

    it("says what it waited for where nothing asks", function()
        local console = fake_console.new()
        local _, err, code = vm_of(console):try_login { timeout = 0.01 }
        assert.equal("timeout", code)
        assert.matches("[Ll]ogin: *$", tostring(err), 1, true)
    end)
end)
