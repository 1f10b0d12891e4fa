-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- From a command line to what is done, said and returned, on a fake host.

local cli = require "vmm.cli"

--- A machine that ends as told.
local function fake_vm(stop, log)
    local vm = setmetatable({ log = log }, { __close = function()
        log[#log + 1] = "close"
    end })
    function vm.start(_, options)
        log[#log + 1] = options and options.paused and "start paused" or "start"
        return true
    end
    function vm.gdb(_, where)
        if where.unix == "taken" then
            return nil, "it exists already", "EADDRINUSE"
        end
        log[#log + 1] = "gdb " .. (where.unix or where.host)
        return setmetatable({ path = where.unix, port = 1234 }, {
            __close = function() log[#log + 1] = "gdb closed" end,
        })
    end
    function vm.wait(_, options)
        log[#log + 1] = "wait " .. tostring(options.timeout)
        if type(stop) == "table" then
            return stop
        end
        return nil, stop, stop
    end
    function vm.stop(_, reason)
        log[#log + 1] = "stop " .. reason
    end
    return vm
end

--- A host; `given` replaces its parts.
local function fake_host(given)
    local host = { said = {}, written = {}, log = {}, lines = {},
        version = "1.2.3" }
    function host.write(text)
        table.insert(host.written, text)
    end
    function host.complain(message)
        table.insert(host.said, message)
    end
    host.note = host.complain
    function host.await_prompt() end
    function host.read_line()
        return table.remove(host.lines, 1)
    end
    function host.prompt(globals)
        require("vmm.prompt").run(host, globals)
    end
    function host.formats()
        return { "gzip", "xz" }
    end
    function host.interrupted() end
    function host.run(fn, ...)
        return xpcall(fn, function(err) return err end, ...)
    end
    function host.vmm()
        return { vm = function(config)
            host.config = config
            if host.refusal then
                return nil, host.refusal
            end
            return fake_vm(host.stop, host.log)
        end }
    end
    for key, value in pairs(given or {}) do
        host[key] = value
    end
    return host
end

local function run(words, given)
    local host = fake_host(given)
    return cli.main(words, host), host
end

local KERNEL = { "--kernel", "path=k" }

--- A script in a file of its own.
local function script_of(text)
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write(text)
    finally(function() os.remove(path) end)
    return path
end

describe("a machine that", function()
    -- Each: how it ends, the exit code, what is said.
    local ENDS = {
        { { reason = "reboot", text = "" }, 0 },
        { { reason = "poweroff", text = "ACPI S5" }, 0 },
        { { reason = "halt", text = "" }, 0 },
        { { reason = "closed", text = "quit by Ctrl-A x" }, 0 },
        { { reason = "panic", text = "Kernel panic - not syncing: VFS" }, 3,
            "vm: the guest's kernel panicked: Kernel panic - not syncing: VFS" },
        { { reason = "panic", text = "" }, 3,
            "vm: the guest's kernel panicked" },
        { { reason = "triple_fault", text = "rip 0x10" }, 1,
            "vm: the guest's CPU gave up (triple fault): rip 0x10" },
        { { reason = "error", text = "KVM_RUN: Bad\n address" }, 1,
            "vm: the machine failed: KVM_RUN: Bad  address" },
    }
    for _, case in ipairs(ENDS) do
        local stop, code, said = table.unpack(case)
        it(("ends by %s (%q) gives %d"):format(stop.reason, stop.text, code),
            function()
                local got, host = run(KERNEL, { stop = stop })
                assert.equal(code, got)
                assert.same({ said }, host.said)
                assert.same({ "start", "wait nil", "close" }, host.log)
            end)
    end

    it("outlives --timeout is stopped: 124", function()
        local code, host = run({ "--timeout", "2.5", "--name=web",
            table.unpack(KERNEL) }, { stop = "timeout" })
        assert.equal(124, code)
        assert.same({ "web: still running after 2.5 s (--timeout)" },
            host.said)
        assert.same({ "start", "wait 2.5", "stop closed", "close" }, host.log)
    end)

    it("can't be made gives 1 and why", function()
        local code, host = run(KERNEL,
            { refusal = "cannot open k: No such file or directory" })
        assert.equal(1, code)
        assert.same({ "cannot open k: No such file or directory" }, host.said)
    end)

    it("is interrupted gives the signal's code and no words", function()
        local code, host = run(KERNEL, {
            interrupted = function() return 130 end,
            run = function() return false, "interrupted by signal 2" end,
        })
        assert.equal(130, code)
        assert.same({}, host.said)
    end)

    it("gets the configuration that was given", function()
        local _, host = run({ "--vcpu", "num=4", table.unpack(KERNEL) },
            { stop = { reason = "reboot", text = "" } })
        assert.equal(4, host.config.vcpus.num)
        assert.equal("k", host.config.kernel.path)
        assert.equal("stdio", host.config.console)
    end)
end)

describe("--gdb", function()
    local POWEROFF = { reason = "poweroff", text = "" }

    it("serves the machine as long as it is there, and says where", function()
        local code, host = run({ "--gdb", "unix=/g", table.unpack(KERNEL) },
            { stop = POWEROFF })
        assert.equal(0, code)
        assert.same({ "vm: for gdb: target remote /g" }, host.said)
        assert.same({ "gdb /g", "start", "wait nil", "gdb closed", "close" },
            host.log)
    end)

    it("starts the machine paused with wait=true", function()
        local _, host = run({ "--gdb", "tcp=1234,wait=true",
            table.unpack(KERNEL) }, { stop = POWEROFF })
        assert.same({ "vm: for gdb: target remote 127.0.0.1:1234" }, host.said)
        assert.same({ "gdb 127.0.0.1", "start paused", "wait nil",
            "gdb closed", "close" }, host.log)
    end)

    it("that cannot listen gives 1 and why, and nothing is started", function()
        local code, host = run({ "--gdb", "unix=taken", table.unpack(KERNEL) },
            { stop = POWEROFF })
        assert.equal(1, code)
        assert.same({ "it exists already" }, host.said)
        assert.same({ "close" }, host.log)
    end)
end)

describe("-e beside a machine", function()
    it("runs before the start, with vm and vmm as globals", function()
        local code, host = run({ "-e", "vm.log[1] = type(vmm.vm)",
            table.unpack(KERNEL) }, { stop = { reason = "halt", text = "" } })
        assert.equal(0, code)
        assert.same({ "function", "start", "wait nil", "close" }, host.log)
    end)

    it("may start the machine itself", function()
        local code, host = run({ "-e", "vm.start()\nfunction vm.start()"
            .. " return nil, 'started already', 'EBUSY' end",
            table.unpack(KERNEL) }, { stop = { reason = "halt", text = "" } })
        assert.equal(0, code)
        assert.same({ "start", "wait nil", "close" }, host.log)
    end)

    it("may stop the start by an error, which gives 1", function()
        local code, host = run({ "-e", "error('no', 0)",
            table.unpack(KERNEL) })
        assert.equal(1, code)
        assert.same({ "no" }, host.said)
        assert.same({ "close" }, host.log)
    end)

    it("that closes the machine gives 0", function()
        local code, host = run({ "-e", "vm.closed = true",
            table.unpack(KERNEL) }, { stop = "interrupted" })
        assert.equal(0, code)
        assert.same({ "wait nil", "close" }, host.log)
    end)

    it("with a syntax error says where", function()
        local code, host = run({ "-e", "x =", table.unpack(KERNEL) })
        assert.equal(1, code)
        assert.same(
            { "(command line):1: unexpected symbol near <eof>" }, host.said)
    end)
end)

describe("a script", function()
    it("gets its words as ... and arg, and the options as arg.config",
        function()
            local path = script_of [[
                local a, b = ...
                seen = { a, b, arg[0], arg[1], arg[2], #arg,
                    arg.config.vcpus.num }
            ]]
            local code = run { "--vcpu", "num=3", path, "x", "--y" }
            assert.equal(0, code)
            assert.same({ "x", "--y", path, "x", "--y", 2, 3 }, _G.seen)
            _G.seen = nil
        end)

    it("may have a #! line", function()
        assert.equal(0, run { script_of "#!/usr/bin/vmm-reference\nx = 1" })
    end)

    it("that is not there gives 1 and its name", function()
        local code, host = run { "/nonexistent/a.lua" }
        assert.equal(1, code)
        assert.same({ "cannot open /nonexistent/a.lua:"
            .. " No such file or directory" }, host.said)
    end)

    it("that fails gives 1, its error and its traceback", function()
        local code, host = run({ "x.lua" }, {
            run = function() return false, "x.lua:3: no", "stack: y" end,
        })
        assert.equal(1, code)
        assert.same({ "x.lua:3: no\nstack: y" }, host.said)
    end)

    it("that fails by a timeout gives 124", function()
        local err = setmetatable({ code = "timeout" },
            { __tostring = function() return "expected login" end })
        local code, host = run({ "x.lua" }, {
            run = function() return false, err end,
        })
        assert.equal(124, code)
        assert.same({ "expected login" }, host.said)
    end)

    it("that raises a plain table says so", function()
        local _, host = run({ script_of "error {}" })
        assert.same({ "(error object is a table)" }, host.said)
    end)

    it("runs after -e and before -i", function()
        local path = script_of "order = order .. 'b'"
        run({ "-e", "order = 'a'", "-i", path },
            { lines = { "order = order .. 'c'" } })
        assert.equal("abc", _G.order)
        _G.order = nil
    end)

    it("that is an ELF kernel is refused with the way to boot it", function()
        local path = script_of "\127ELF..."
        local code, host = run { path }
        assert.equal(1, code)
        assert.same({ path .. " is a kernel, not a Lua script; boot it by"
            .. " --kernel path=" .. path }, host.said)
    end)

    it("that is a bzImage is refused with the way to boot it", function()
        local path = script_of(("\0"):rep(0x202) .. "HdrS")
        local _, host = run { path }
        assert.same({ path .. " is a kernel, not a Lua script; boot it by"
            .. " --kernel path=" .. path }, host.said)
    end)
end)

describe("the prompt", function()
    local function prompt(...)
        local _, host = run({ "-i" }, { lines = { ... } })
        return table.concat(host.written)
    end

    it("shows the values of an expression", function()
        assert.equal("1\tnil\ttrue\n", prompt "1, nil, true")
    end)

    it("shows nothing for a statement", function()
        assert.equal("", prompt "local x = 1")
    end)

    it("goes on to the end of a chunk of several lines", function()
        assert.equal("6\n", prompt("sum = 0", "for i = 1, 3 do",
            "sum = sum + i", "end", "sum"))
        _G.sum = nil
    end)

    it("shows an error and goes on", function()
        assert.equal("prompt:1: no\nstack traceback:\n"
            .. "\t[C]: in function 'error'\n\tprompt:1: in main chunk\n"
            .. "2\n", prompt("error 'no'", "1 + 1"))
    end)

    it("shows a syntax error and goes on", function()
        assert.equal("prompt:1: unexpected symbol near '?'\n2\n",
            prompt("?", "1 + 1"))
    end)
end)

describe("a wrong command line", function()
    it("gives 2 and one line", function()
        local code, host = run { "--vcpu", "num=0" }
        assert.equal(2, code)
        assert.same({
            '--vcpu num: "0" is out of range; allowed: 1 to 254' }, host.said)
    end)
end)

describe("--check", function()
    it("accepts a machine whose files can be read", function()
        local path = script_of "kernel"
        local code, host = run { "--check", "--kernel",
            "path=" .. path .. ",initrd=" .. path }
        assert.equal(0, code)
        assert.same({ "the command line is valid\n" }, host.written)
        assert.same({}, host.log)
    end)

    it("names a file that can't be read", function()
        local code, host = run { "--check", "--kernel",
            "path=/nonexistent/k" }
        assert.equal(1, code)
        assert.same({ "--kernel path: /nonexistent/k: No such file or"
            .. " directory" }, host.said)
    end)

    it("names a directory given as initrd", function()
        local _, host = run { "--check", "--kernel",
            "path=" .. script_of "k" .. ",initrd=/" }
        assert.same({ "--kernel initrd: /: Is a directory" }, host.said)
    end)

    it("compiles a script and does not run it", function()
        local path = script_of "seen = true x ="
        local code, host = run { "--check", path }
        assert.equal(1, code)
        assert.same({ path .. ":1: unexpected symbol near <eof>" }, host.said)
        assert.equal(0, run { "--check", script_of "seen = true" })
        assert.is_nil(_G.seen)
    end)

    it("compiles the code of -e", function()
        local code, host = run { "--check", "-e", "x = = 1" }
        assert.equal(1, code)
        assert.same({ "-e: (command line):1: unexpected symbol near '='" },
            host.said)
    end)
end)

describe("--version", function()
    it("prints the version and what is built in", function()
        local code, host = run { "--version" }
        assert.equal(0, code)
        local text, built = table.concat(host.written):match "^(.*)features:(.*)\n$"
        assert.equal([[
vmm-reference 1.2.3
Lua:           5.4
kernels:       ELF, raw, bzImage (unpacks gzip xz)
boot flows:    linux64 pvh flat
consoles:      stdio capture pty file unix
]], text)
        local names = {}
        for name in built:gmatch "%S+" do
            names[#names + 1] = name
        end
        assert.same(require("vmm.features").names(), names)
    end)
end)
