-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- vm:login, where a getty that is none asks for names and passwords.

local core = require "vmm.core"
local fake_console = require "tests.spec.support.fake_console"
require "vmm.vm"

local methods = core.classes["vmm.vm"]

local MOTD = "\r\nLinux guest 6.1.0 #1 x86_64\r\n\r\nNo warranty: see /usr/share/doc.\r\n"

-- A console with a getty: users, by name, with their passwords ("": none). Returns it and what was
-- typed.
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
    console, print = fake_console.new(nil, function(bytes)
        line = line .. bytes
        for text in line:gmatch "([^\r]*)\r" do
            on_line(text)
        end
        line = line:match "[^\r]*$"
    end)
    greet()
    return console, typed
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
